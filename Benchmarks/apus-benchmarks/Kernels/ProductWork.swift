import Foundation
import Tensors

/// A matrix of one type in many copies, and rows to multiply with it.
struct ProductWork {
    let weightBytes: Int
    private let groups: [MatrixGroup]
    private let input: FloatRows
    private let output: FloatRows
    private let tiles: InputTiles
    private let memory: ReservedMemory

    init(_ type: TensorType, rows: Int, columns: Int, inputRows: Int, pool: ComputePool) throws {
        guard let rowBytes = type.rowBytes(columns: columns) else {
            throw KernelBenchmarks.Failure(description: "\(type.name) has no rows of \(columns)")
        }
        let source = try ReservedMemory(byteCount: rows * rowBytes)
        let bytes = source.bytes(offset: 0, count: rows * rowBytes)
        // Every byte from 0x08 to 0x3B: whatever bytes are read as a scale or a float, it is finite and not tiny.
        for index in bytes.indices { bytes[index] = UInt8.random(in: .min ... .max) & 0x33 | 0x08 }
        let weights = WeightMatrix(
            type: type, rows: rows, columns: columns, bytes: UnsafeRawBufferPointer(bytes), owner: source)
        guard let weights else { throw KernelBenchmarks.Failure(description: "\(type.name) cannot be read") }
        let first = PackedMatrix(weights, name: type.name)
        let copies = max(1, KernelBenchmarks.workingSet / first.byteCount)
        let matrices = [first] + (1..<copies).map { _ in PackedMatrix(weights, name: type.name) }
        try PackedMatrix.pack(matrices, pool: pool)
        groups = matrices.map { MatrixGroup([.init($0)]) }
        weightBytes = first.byteCount
        memory = try ReservedMemory(byteCount: 4 * inputRows * (rows + columns))
        let values = memory.floats(offset: 0, count: inputRows * columns)
        for index in values.indices { values[index] = Float.random(in: -1...1) }
        input = FloatRows(values, rows: inputRows, columns: columns)
        output = FloatRows(
            memory.floats(offset: 4 * inputRows * columns, count: inputRows * rows), rows: inputRows, columns: rows)
        tiles = try InputTiles(maximumRows: inputRows, maximumColumns: columns)
    }

    /// Preparing the rows is part of a product, as it is in a step.
    func multiply(turn: Int, rows: Int, pool: ComputePool) {
        groups[turn % groups.count].multiply(
            input.prefix(rows), into: [output.prefix(rows)], tiles: tiles, pool: pool)
    }
}
