import ModelFiles
import Models
import Tensors
import TestSupport
import Testing

/// Drives a model as an engine does, and keeps the logits of every row.
final class DecoderRunner {
    let model: any DecoderModel
    let cache: KeyValueCache
    let workspace: ForwardWorkspace
    let pool: ComputePool
    /// Blocks of the cache: each slot has its own.
    let tables: [[Int32]]

    init(
        _ file: GGUFFile, slots: Int = 1, positions: Int = 64, rows: Int = 64, threads: Int = 1,
        cacheType: CacheType = .f16, instructionSet: InstructionSet = .best
    ) throws {
        model = try ModelRegistry.load(file)
        let blocks = (positions + KeyValueCache.blockPositions - 1) / KeyValueCache.blockPositions
        cache = try KeyValueCache(configuration: model.configuration, blocks: slots * blocks, type: cacheType)
        // Neither in order nor side by side.
        tables = (0..<slots).map { slot in (0..<blocks).map { Int32((blocks - 1 - $0) * slots + slot) } }
        workspace = try ForwardWorkspace(
            configuration: model.configuration, maximumRows: rows, maximumLogitRows: rows)
        pool = ComputePool(threads: threads, instructionSet: instructionSet)
        try model.pack(pool: pool)
    }

    func step(_ rows: [ForwardRow]) throws -> [[Float]] {
        try forward(ForwardStep(rows: rows, blockTables: tables))
        return try rows.indices.map { row in Array(try #require(workspace.logits(row: row))) }
    }

    func forward(_ step: ForwardStep) throws {
        try model.forward(step, cache: cache, workspace: workspace, pool: pool)
    }

    /// Logits after each token, computed in chunks of `chunk` rows.
    func logits(_ tokens: [Int], chunk: Int, slot: Int32 = 0) throws -> [[Float]] {
        try stride(from: 0, to: tokens.count, by: chunk).flatMap { start in
            try step(Self.rows(tokens, start..<min(start + chunk, tokens.count), slot: slot))
        }
    }

    static func rows(_ tokens: [Int], _ positions: Range<Int>, slot: Int32 = 0) -> [ForwardRow] {
        positions.map {
            ForwardRow(token: Int32(tokens[$0]), position: Int32($0), sequence: slot, wantsLogits: true)
        }
    }
}

func read(_ writer: GGUFWriter) throws -> GGUFFile {
    try GGUFFile(parts: [GGUFBytes(copying: writer.bytes())])
}

func fixture(_ path: String) throws -> GGUFFile {
    try GGUFFile(parts: [GGUFBytes(copying: try Fixtures.bytes(path))])
}

func largestDifference(_ a: [Float], _ b: [Double]) -> Double {
    a.count == b.count ? zip(a, b).map { abs(Double($0) - $1) }.max() ?? 0 : .infinity
}

func bits(_ logits: [[Float]]) -> [[UInt32]] { logits.map { $0.map(\.bitPattern) } }
