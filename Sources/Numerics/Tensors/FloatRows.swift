import CKernels

/// A view of F32 rows in memory that somebody else owns, one row after the other.
///
/// Every operation checks its shapes. Several threads may work on a view at the same time if they write to different
/// rows or columns.
public struct FloatRows: @unchecked Sendable {
    public let rows: Int
    public let columns: Int
    let base: UnsafeMutablePointer<Float>

    /// `values` holds at least `rows` · `columns` elements.
    public init(_ values: UnsafeMutableBufferPointer<Float>, rows: Int, columns: Int) {
        let (count, overflow) = rows.multipliedReportingOverflow(by: columns)
        precondition(rows >= 0 && columns > 0 && !overflow, "\(rows) rows of \(columns)")
        guard let base = values.baseAddress, count <= values.count else {
            preconditionFailure("\(rows) rows of \(columns) do not fit into \(values.count) elements")
        }
        self.base = base
        self.rows = rows
        self.columns = columns
    }

    public subscript(row: Int) -> UnsafeMutableBufferPointer<Float> {
        UnsafeMutableBufferPointer(start: pointer(row), count: columns)
    }

    /// The first `count` rows.
    public func prefix(_ count: Int) -> FloatRows {
        FloatRows(UnsafeMutableBufferPointer(start: base, count: rows * columns), rows: count, columns: columns)
    }

    /// Some rows in the middle.
    public func rows(_ range: Range<Int>) -> FloatRows {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows \(range) of \(rows)")
        let start = base + range.lowerBound * columns
        return FloatRows(
            UnsafeMutableBufferPointer(start: start, count: range.count * columns), rows: range.count, columns: columns)
    }

    func pointer(_ row: Int) -> UnsafeMutablePointer<Float> {
        precondition(row >= 0 && row < rows, "row \(row) of \(rows)")
        return base + row * columns
    }

    // MARK: operations on one row

    /// Row `target` of `output` becomes row `row` / sqrt(mean of squares + `epsilon`) · `weight`.
    public func normalize(
        row: Int, weight: FloatVector, epsilon: Float, into output: FloatRows, row target: Int
    ) {
        precondition(weight.count == columns && output.columns == columns, "norm of \(columns) elements")
        apus_rms_norm(pointer(row), weight.base, output.pointer(target), columns, epsilon)
    }

    /// Normalises each head of a row by itself; `weight` is as long as one head.
    public func normalizeHeads(row: Int, weight: FloatVector, epsilon: Float) {
        precondition(columns % weight.count == 0, "heads of \(weight.count) in \(columns) elements")
        let row = pointer(row)
        for head in stride(from: 0, to: columns, by: weight.count) {
            apus_rms_norm(row + head, weight.base, row + head, weight.count, epsilon)
        }
    }

    /// Adds row `other` of `rows` to row `row`.
    public func add(row: Int, _ rows: FloatRows, row other: Int) {
        precondition(rows.columns == columns, "adds \(rows.columns) to \(columns) elements")
        apus_add(pointer(row), rows.pointer(other), columns)
    }

    /// Adds row `other` of `rows`, each element times `scale`, to row `row`.
    public func add(row: Int, _ rows: FloatRows, row other: Int, scaledBy scale: Float) {
        precondition(rows.columns == columns, "adds \(rows.columns) to \(columns) elements")
        apus_add_scaled(pointer(row), rows.pointer(other), scale, columns)
    }

    /// Adds a vector, such as a bias, to a row.
    public func add(row: Int, _ vector: FloatVector) {
        precondition(vector.count == columns, "adds \(vector.count) to \(columns) elements")
        apus_add(pointer(row), vector.base, columns)
    }

    /// The row becomes row · sigmoid(row) · the same row of `up`.
    public func siluMultiply(row: Int, by up: FloatRows) { siluMultiply(row: row, columns: 0..<columns, by: up) }

    /// The same for some elements of the row.
    public func siluMultiply(row: Int, columns range: Range<Int>, by up: FloatRows) {
        precondition(up.columns == columns, "multiplies \(up.columns) with \(columns) elements")
        precondition(range.lowerBound >= 0 && range.upperBound <= columns, "columns \(range) of \(columns)")
        apus_silu_multiply(pointer(row) + range.lowerBound, up.pointer(row) + range.lowerBound, range.count)
    }

    /// The row becomes e^row / (sum of e^row).
    public func softmax(row: Int) { apus_softmax(pointer(row), columns) }

    /// Turns the first 2 · `cosines.columns` elements of each head by the angles in row `row` of the tables.
    ///
    /// With `split`, element i is paired with the one half a rotation further, otherwise with its neighbour.
    public func rotateHeads(row: Int, headDimension: Int, cosines: FloatRows, sines: FloatRows, split: Bool) {
        let pairs = cosines.columns
        precondition(sines.columns == pairs && 2 * pairs <= headDimension, "\(pairs) pairs in \(headDimension)")
        precondition(columns % headDimension == 0, "heads of \(headDimension) in \(columns) elements")
        let values = pointer(row)
        for head in stride(from: 0, to: columns, by: headDimension) {
            apus_rotate(values + head, cosines.pointer(row), sines.pointer(row), pairs, split ? 1 : 0)
        }
    }
}
