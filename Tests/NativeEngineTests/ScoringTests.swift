import EngineProtocol
import NativeEngine
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
            throw EventLog.Timeout(events: events.count)
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

    @Test func `the mean is that of the sampler's own probabilities`() throws {
        // Every continuation of a forced prefix: their probabilities must add up to one.
        let harness = try EngineHarness()
        var total = 0.0
        for letter in TinyModel.letters {
            let call = try harness.score(ScoreRequest(text: "x\(letter)"))
            guard case .result(.scored(let tokens, let mean))? = try harness.log.finished(call).last else { continue }
            total += 1 / exp(mean * Double(tokens))
        }
        #expect(total > 0 && total < 1)
    }

    @Test func `windows out of range are refused`() throws {
        for window: UInt32 in [0, 1, 257] {
            #expect(throws: EngineError.self) { try Self.score(Self.text, window: window) }
        }
        #expect(throws: EngineError.self) { try Self.score("") }
    }
}
