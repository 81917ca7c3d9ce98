import Foundation
import Tensors

/// Keys and values of one sequence in many layers, and queries: sixteen heads that share eight, of 128 elements.
struct AttentionWork {
    private static let heads = 8
    private static let queryHeads = 16
    private static let headDimension = 128
    private static let maximumRows = 64

    /// Bytes of one layer.
    let cacheBytes: Int
    private let depth: Int
    private let table: [Int32]
    private let layers: Int
    private let layerBytes: Int
    private let type: CacheType
    private let cache: ReservedMemory
    private let memory: ReservedMemory
    private let queries: FloatRows
    private let output: FloatRows

    init(_ type: CacheType, depth: Int, pool: ComputePool) throws {
        self.type = type
        self.depth = depth
        layerBytes = KeyValueBlocks.byteCount(heads: Self.heads, headDimension: Self.headDimension, type: type)
        let blocks = depth / KeyValueBlocks.positions
        table = (0..<Int32(blocks)).map { $0 }
        cacheBytes = blocks * layerBytes
        layers = max(1, KernelBenchmarks.workingSet / cacheBytes)
        cache = try ReservedMemory(byteCount: layers * cacheBytes)
        let columns = Self.queryHeads * Self.headDimension
        memory = try ReservedMemory(byteCount: 8 * Self.maximumRows * columns)
        let values = memory.floats(offset: 0, count: Self.maximumRows * columns)
        for index in values.indices { values[index] = Float.random(in: -1...1) }
        queries = FloatRows(values, rows: Self.maximumRows, columns: columns)
        output = FloatRows(
            memory.floats(offset: 4 * Self.maximumRows * columns, count: Self.maximumRows * columns),
            rows: Self.maximumRows, columns: columns)
        fill(pool: pool)
    }

    private func fill(pool: ComputePool) {
        // The first half of the queries' elements serves as keys and values.
        let width = Self.heads * Self.headDimension
        let rows = FloatRows(memory.floats(offset: 0, count: 64 * width), rows: 64, columns: width)
        pool.run(parts: layers) { layer in
            let blocks = self.blocks(layer: layer, pool: pool)
            for position in 0..<depth {
                blocks.store(position: position, table: table, keys: rows, values: rows, row: position % rows.rows)
            }
        }
    }

    private func blocks(layer: Int, pool: ComputePool) -> KeyValueBlocks {
        KeyValueBlocks(
            memory: cache.bytes(offset: 0, count: cache.byteCount), blockBytes: layers * layerBytes,
            offset: layer * layerBytes, heads: Self.heads, headDimension: Self.headDimension, type: type,
            instructionSet: pool.instructionSet)
    }

    /// Multiplications and additions: each query with its keys, and the values with their weights.
    func operations(rows: Int) -> Double {
        let positions = (0..<rows).reduce(0) { $0 + depth - rows + $1 + 1 }
        return Double(4 * Self.headDimension * Self.queryHeads * positions)
    }

    /// The last `rows` positions of the sequence.
    func attend(turn: Int, rows: Int, pool: ComputePool) {
        let blocks = blocks(layer: turn % layers, pool: pool)
        pool.run(parts: Self.heads) { group in
            blocks.attend(
                rows: 0..<rows, groups: group..<group + 1, table: table, queries: queries, output: output, scale: 0.088
            ) { 0..<depth - rows + $0 + 1 }
        }
    }
}
