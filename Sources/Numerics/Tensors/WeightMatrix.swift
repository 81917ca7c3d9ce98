import CKernels

/// A matrix of packed weight rows, as it lies in the model file.
///
/// `owner` keeps the bytes alive. The bytes need no alignment.
public struct WeightMatrix: @unchecked Sendable {
    public let type: TensorType
    public let rows: Int
    public let columns: Int
    private let rowBytes: Int
    private let base: UnsafeRawPointer
    private let owner: AnyObject?

    /// Nil if the type cannot be read or the bytes are not exactly the rows.
    public init?(type: TensorType, rows: Int, columns: Int, bytes: UnsafeRawBufferPointer, owner: AnyObject?) {
        guard type.isComputable, rows > 0, columns > 0, let rowBytes = type.rowBytes(columns: columns),
            let base = bytes.baseAddress
        else { return nil }
        let (byteCount, overflow) = rowBytes.multipliedReportingOverflow(by: rows)
        guard !overflow, byteCount == bytes.count else { return nil }
        self.type = type
        self.rows = rows
        self.columns = columns
        self.rowBytes = rowBytes
        self.base = base
        self.owner = owner
    }

    public var byteCount: Int { rows * rowBytes }

    /// Unpacks one row, as an embedding lookup does.
    public func unpack(row: Int, into output: FloatRows, row target: Int) {
        precondition(row >= 0 && row < rows, "row \(row) of \(rows)")
        precondition(output.columns == columns, "unpacks \(columns) into \(output.columns) elements")
        _ = apus_dequantise(type.rawValue, base + row * rowBytes, output.pointer(target), columns)
    }

    /// output[m][r] = row r of the weights · input[m], for all rows m of the input.
    ///
    /// Shapes: input rows × `columns`, output rows × `rows`. Threads share out weight rows, never a sum, so the result
    /// for an input row depends neither on the pool nor on the other rows.
    public func multiply(_ input: FloatRows, into output: FloatRows, pool: ComputePool) {
        guard input.rows > 0 else { return }
        let rowsPerPart = rowsPerPart(inputRows: input.rows, threads: pool.threads)
        pool.run(parts: (rows + rowsPerPart - 1) / rowsPerPart) { [self] part in
            let first = part * rowsPerPart
            multiply(input, rows: first..<min(first + rowsPerPart, rows), into: output)
        }
    }

    /// The part of a product that some of the weight rows make, on the calling thread.
    public func multiply(_ input: FloatRows, rows range: Range<Int>, into output: FloatRows) {
        precondition(input.columns == columns, "multiplies \(columns) with \(input.columns) columns")
        precondition(
            output.columns == rows && output.rows >= input.rows, "\(rows) results in \(output.columns) columns")
        precondition(range.lowerBound >= 0 && range.upperBound <= rows, "rows \(range) of \(rows)")
        _ = apus_multiply(
            type.rawValue, base, rowBytes, columns, range.lowerBound, range.upperBound, input.base, input.columns,
            input.rows, output.base, output.columns)
    }

    /// Parts large enough to be worth handing over, and small enough that threads end together.
    private func rowsPerPart(inputRows: Int, threads: Int) -> Int {
        let smallestPart = 65_536
        let work = columns * (inputRows + 1)
        return max(max(smallestPart / work, 1), min(rows, (rows + 8 * threads - 1) / (8 * threads)))
    }
}
