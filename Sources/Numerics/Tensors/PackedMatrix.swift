import CKernels

/// Why weights could not be packed.
public enum PackingFailure: Error, Sendable, Equatable {
    case memory(MemoryError)
    /// One of the sixteen rows from `row` on has a scale that is infinite or not a number.
    case scale(tensor: String, row: Int)
}

/// Whoever keeps the bytes of weights, and can drop pages of them that are read again from the file when needed.
public protocol WeightOwner: AnyObject {
    func discard(_ bytes: UnsafeRawBufferPointer)
}

/// A matrix of weights, packed into panels of sixteen rows for the kernels.
///
/// It begins as a view of the rows in the model file; `pack` makes the panels, and from then on it can multiply. Its
/// panels never change afterwards, so any number of threads may use it.
public final class PackedMatrix: @unchecked Sendable {
    public let name: String
    public let type: TensorType
    public let rows: Int
    public let columns: Int
    public let panelCount: Int
    let panelBytes: Int
    private let source: WeightMatrix
    private var memory: ReservedMemory?
    private var base: UnsafeMutableRawPointer?

    public init(_ source: WeightMatrix, name: String) {
        self.name = name
        self.source = source
        type = source.type
        rows = source.rows
        columns = source.columns
        panelCount = (rows + 15) / 16
        panelBytes = apus_panel_bytes(type.rawValue, columns)
    }

    /// Bytes of the panels.
    public var byteCount: Int { panelCount * panelBytes }

    /// Matrices with the same number take the same `InputTiles`.
    public var inputType: UInt32 { apus_input_type(type.rawValue) }

    var panels: UnsafeMutableRawPointer {
        guard let base else { preconditionFailure("\(name) is used before it is packed") }
        return base
    }

    /// Writes one row as F32, with the bits that the row in the file stands for.
    public func unpack(row: Int, into output: FloatRows, row target: Int) {
        precondition(row >= 0 && row < rows, "row \(row) of \(rows)")
        precondition(output.columns == columns, "unpacks \(columns) into \(output.columns) elements")
        apus_unpack_panel_row(
            type.rawValue, panels + row / 16 * panelBytes, row % 16, columns, output.pointer(target))
    }

    /// Sixteen rows of the output for some groups of prepared rows, on the calling thread.
    ///
    /// Adds to the output if `adds`, replaces it otherwise. `output` has a row for each row of the group.
    public func multiply(
        _ tiles: InputTiles, group: Int = 0, panels range: Range<Int>, bias: FloatVector? = nil,
        into output: FloatRows, adds: Bool = false
    ) {
        let input = tiles.group(group)
        precondition(tiles.columns == columns && tiles.inputType == inputType, "\(name): tiles for another matrix")
        precondition(range.lowerBound >= 0 && range.upperBound <= panelCount, "panels \(range) of \(panelCount)")
        precondition(output.columns == rows && output.rows >= input.rows, "\(rows) results in \(output.columns)")
        precondition(bias == nil || bias?.count == rows, "a bias of another length")
        var product = apus_product()
        product.panels = UnsafeRawPointer(panels)
        product.columns = columns
        product.first_panel = range.lowerBound
        product.end_panel = range.upperBound
        product.tiles = UnsafeRawPointer(input.tiles)
        product.tile_bytes = tiles.tileBytes
        product.rows = input.rows
        product.bias = bias.map { UnsafePointer($0.base) }
        product.output = output.base
        product.output_stride = output.columns
        product.output_columns = rows
        product.adds = adds ? 1 : 0
        apus_multiply(tiles.instructionSet.kernels, type.rawValue, &product)
    }

    // MARK: packing

    /// Packs all matrices on all threads into one piece of memory.
    ///
    /// Pages of the file are dropped as soon as they are packed, so that the weights are in memory about once.
    public static func pack(_ matrices: [PackedMatrix], pool: ComputePool) throws(PackingFailure) {
        // Matrices begin on pages of their own.
        let sizes = matrices.map { ($0.byteCount + 4095) / 4096 * 4096 }
        let memory: ReservedMemory
        do {
            memory = try ReservedMemory(byteCount: sizes.reduce(0, +), hugePages: true)
        } catch {
            throw .memory(error)
        }
        var offset = 0
        for (matrix, size) in zip(matrices, sizes) {
            matrix.memory = memory
            matrix.base = memory.bytes(offset: offset, count: matrix.byteCount).baseAddress
            offset += size
        }
        for matrix in matrices {
            if let row = matrix.packPanels(pool: pool) { throw .scale(tensor: matrix.name, row: row) }
        }
    }

    /// Returns the first row of a panel that cannot be packed.
    private func packPanels(pool: ComputePool) -> Int? {
        let perPart = max(1, Self.packedBytesPerPart / panelBytes)
        let failed = FirstFailure()
        pool.run(parts: (panelCount + perPart - 1) / perPart) { [self] part in
            for panel in part * perPart..<min((part + 1) * perPart, panelCount) {
                let packed = source.pack(
                    rows: panel * 16..<min(panel * 16 + 16, rows), into: panels + panel * panelBytes)
                if !packed { failed.note(panel * 16) }
            }
            source.discard(rows: part * perPart * 16..<min((part + 1) * perPart * 16, rows))
        }
        return failed.row
    }

    private static let packedBytesPerPart = 1 << 20
}
