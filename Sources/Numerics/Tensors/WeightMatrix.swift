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

    /// Packs up to sixteen rows into a panel; false if a scale is not finite.
    func pack(rows range: Range<Int>, into panel: UnsafeMutableRawPointer) -> Bool {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows && (1...16).contains(range.count), "\(range)")
        return apus_pack_panel(
            type.rawValue, base + range.lowerBound * rowBytes, rowBytes, range.count, columns, panel) == 0
    }

    /// Tells the owner that some rows are not needed in memory for now.
    func discard(rows range: Range<Int>) {
        guard let owner = owner as? any WeightOwner else { return }
        owner.discard(UnsafeRawBufferPointer(start: base + range.lowerBound * rowBytes, count: range.count * rowBytes))
    }
}
