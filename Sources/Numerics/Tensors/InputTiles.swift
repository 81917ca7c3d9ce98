import CKernels

/// Activations in the form that the kernels read: tiles of eight rows, quantised where the weights are.
///
/// The memory is reserved once, for the largest step. Laying out is cheap and belongs to one thread; then any number of
/// threads may prepare different tiles, and afterwards multiply. Rows may be cut into groups that are multiplied with
/// different matrices, such as the rows of each expert; a group begins a new tile.
public final class InputTiles: @unchecked Sendable {
    /// Columns of the rows that are laid out.
    public private(set) var columns = 0
    public private(set) var inputType: UInt32 = 0
    /// How many tiles there are to prepare.
    public private(set) var count = 0
    private(set) var instructionSet = InstructionSet.best
    private(set) var tileBytes = 0
    private var groups: [(rows: Range<Int>, firstTile: Int)] = []
    private let memory: ReservedMemory

    /// Bytes that are reserved.
    public var byteCount: Int { memory.byteCount }
    private let base: UnsafeMutableRawPointer

    /// - Parameter maximumGroups: groups that one layout may have.
    public init(
        maximumRows: Int, maximumColumns: Int, maximumGroups: Int = 1
    ) throws(MemoryError) {
        let tiles = maximumRows / Self.rowsPerTile + maximumGroups
        // No kind of tile is larger than that of plain floats.
        let (bytes, overflow) = apus_tile_bytes(TensorType.f32.rawValue, maximumColumns)
            .multipliedReportingOverflow(by: tiles)
        guard !overflow else { throw MemoryError(bytes: .max) }
        memory = try ReservedMemory(byteCount: bytes)
        guard let base = memory.bytes(offset: 0, count: bytes).baseAddress else { throw MemoryError(bytes: bytes) }
        self.base = base
        groups.reserveCapacity(maximumGroups)
    }

    public static let rowsPerTile = Int(APUS_TILE_ROWS)

    /// Begins anew, for the products of rows of `columns` elements with matrices of the input type.
    public func layOut(columns: Int, inputType: UInt32, instructionSet: InstructionSet) {
        self.instructionSet = instructionSet
        self.columns = columns
        self.inputType = inputType
        tileBytes = apus_tile_bytes(inputType, columns)
        count = 0
        groups.removeAll(keepingCapacity: true)
    }

    /// Adds the group of rows `rows` of the input.
    public func append(group rows: Range<Int>) {
        groups.append((rows, count))
        count += (rows.count + Self.rowsPerTile - 1) / Self.rowsPerTile
        precondition(count * tileBytes <= memory.byteCount, "\(count) tiles of \(tileBytes) bytes")
    }

    /// Prepares tile `index` from the input.
    public func prepare(tile index: Int, from input: FloatRows) {
        guard let group = groups.last(where: { $0.firstTile <= index }), index < count else {
            preconditionFailure("tile \(index) of \(count)")
        }
        let first = group.rows.lowerBound + (index - group.firstTile) * Self.rowsPerTile
        let rows = min(Self.rowsPerTile, group.rows.upperBound - first)
        precondition(input.columns == columns && first + rows <= input.rows, "prepares rows that are not there")
        apus_prepare_tile(
            instructionSet.kernels, inputType, input.pointer(first), columns, rows, columns, base + index * tileBytes)
    }

    func group(_ index: Int) -> (rows: Int, tiles: UnsafeMutableRawPointer) {
        (groups[index].rows.count, base + groups[index].firstTile * tileBytes)
    }
}
