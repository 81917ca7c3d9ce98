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

    init(_ file: GGUFFile, slots: Int = 1, positions: Int = 64, rows: Int = 64, threads: Int = 1) throws {
        model = try ModelRegistry.load(file)
        cache = try KeyValueCache(configuration: model.configuration, slots: slots, positions: positions)
        workspace = try ForwardWorkspace(
            configuration: model.configuration, maximumRows: rows, maximumLogitRows: rows)
        pool = ComputePool(threads: threads)
    }

    func step(_ rows: [ForwardRow]) throws -> [[Float]] {
        try model.forward(ForwardStep(rows: rows), cache: cache, workspace: workspace, pool: pool)
        return try rows.indices.map { row in Array(try #require(workspace.logits(row: row))) }
    }

    /// Logits after each token, computed in chunks of `chunk` rows.
    func logits(_ tokens: [Int], chunk: Int, slot: Int32 = 0) throws -> [[Float]] {
        cache.clear(slot: Int(slot))
        return try stride(from: 0, to: tokens.count, by: chunk).flatMap { start in
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
