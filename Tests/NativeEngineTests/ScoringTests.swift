import EngineProtocol
import Foundation
import ModelFiles
import Models
import NativeEngine
import Tensors
import TestSupport
import Testing

/// Scored texts on a real engine.
@Suite struct ScoringTests {
    static func score(
        _ text: String, window: UInt32? = nil, limits: EngineLimits = EngineLimits(), tiny: TinyModel = TinyModel()
    ) throws -> (tokens: UInt64, mean: Double) {
        let harness = try EngineHarness(tiny, limits: limits)
        let events = try harness.log.finished(harness.score(ScoreRequest(text: text, window: window)))
        guard case .result(.scored(let tokens, let mean)) = try #require(events.last) else {
            throw EventLog.Timeout(events: events)
        }
        return (tokens, mean)
    }

    static let text = String(repeating: "the quick brown fox jumps over a lazy dog and ", count: 8)

    @Test func `windows and chunks change the sum only where they must`() throws {
        let whole = try Self.score(Self.text, window: 100)
        #expect(whole.mean > 0)
        var small = EngineLimits()
        small.prefillRows = 4
        small.scoreLogitsBytes = 1
        let chunked = try Self.score(Self.text, window: 100, limits: small)
        #expect(chunked.tokens == whole.tokens)
        #expect(chunked.mean == whole.mean)
        let cut = try Self.score(Self.text, window: 50)
        #expect(cut.tokens < whole.tokens)
        #expect(cut.mean != whole.mean)
    }

    @Test func `the mean is that of the model's own logits`() throws {
        let window = 40
        let model = try EngineHarness.load(TinyModel().bytes())
        let tokens = try model.tokenize(TokenizeRequest(text: Self.text, addSpecial: false, parseSpecial: false))
        var sum = 0.0
        var count = 0
        for start in stride(from: 0, to: tokens.count, by: window) {
            let part = Array(tokens[start..<min(start + window, tokens.count)])
            let rows = try Self.logProbabilities(after: [TinyModel.bos] + part.dropLast())
            for index in part.indices.dropFirst() {
                sum -= rows[index][Int(part[index])]
                count += 1
            }
        }
        let scored = try Self.score(Self.text, window: UInt32(window))
        #expect(scored.tokens == UInt64(count))
        #expect(abs(scored.mean - sum / Double(count)) < 1e-9)
    }

    /// Log-probabilities of the next token after each row, computed row by row, without the engine.
    static func logProbabilities(after tokens: [Int32]) throws -> [[Double]] {
        let decoder = try ModelRegistry.load(GGUFFile(parts: [GGUFBytes(copying: TinyModel().bytes())]))
        let cache = try KeyValueCache(configuration: decoder.configuration, blocks: 2)
        precondition(tokens.count <= 2 * KeyValueCache.blockPositions)
        let workspace = try ForwardWorkspace(configuration: decoder.configuration, maximumRows: 1, maximumLogitRows: 1)
        let pool = ComputePool(threads: 1)
        try decoder.pack(pool: pool)
        return try tokens.enumerated().map { position, token in
            let row = ForwardRow(token: token, position: Int32(position), sequence: 0, wantsLogits: true)
            let step = ForwardStep(rows: [row], blockTables: [[1, 0]])
            try decoder.forward(step, cache: cache, workspace: workspace, pool: pool)
            let logits = try #require(workspace.logits(row: 0)).map(Double.init)
            let total = logits.map { exp($0) }.reduce(0, +)
            return logits.map { $0 - log(total) }
        }
    }

    @Test func `windows out of range are refused`() throws {
        for window: UInt32 in [0, 1, 257] {
            #expect(throws: EngineError.self) { try Self.score(Self.text, window: window) }
        }
        #expect(throws: EngineError.self) { try Self.score("") }
    }
}
