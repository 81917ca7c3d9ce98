import Foundation
import TestSupport
import Testing

@testable import Sampling

@Suite struct LogProbabilityTests {
    private func read(
        _ sampler: inout Sampler, _ logits: [Float], top: Int, _ stage: LogProbabilityReader.Stage, position: Int = 0
    ) throws -> ScoredChoice {
        var reader = LogProbabilityReader()
        var row = logits
        return try row.withUnsafeMutableBufferPointer { row throws in
            try reader.sample(with: &sampler, logits: row, position: position, choice: 0, top: top, stage: stage)
        }
    }

    /// By the C library, over a full sort.
    private func reference(_ logits: [Float]) -> [ScoredToken] {
        let total = logits.reduce(0) { $0 + exp(Double($1)) }
        return logits.indices.sorted { (logits[$0], $1) > (logits[$1], $0) }
            .map { ScoredToken(id: Int32($0), logProbability: Float(Double(logits[$0]) - log(total))) }
    }

    private func expect(_ tokens: [ScoredToken], equal others: some Sequence<ScoredToken>) {
        let others = Array(others)
        #expect(tokens.map(\.id) == others.map(\.id))
        for (token, other) in zip(tokens, others) {
            #expect(abs(token.logProbability - other.logProbability) < 2e-6 * max(1, abs(other.logProbability)))
        }
    }

    @Test func `the model's probabilities are those before bias, penalties and filters, and change no draw`() throws {
        var random = SeededRandom(seed: 8)
        var parameters = SamplerParameters(
            temperature: 0.7, topK: 5, topP: 0.9, repetitionPenalty: 1.3, biases: [.init(token: 3, value: 4)], seed: 5)
        parameters.mirostat.version = .two
        var sampler = try Sampler(parameters)
        var plain = sampler
        for position in 0..<40 {
            // Coarse values, so that ties occur.
            let logits = (0..<70).map { _ in Float(Int.random(in: -12...12, using: &random)) / 3 }
            let scored = try read(&sampler, logits, top: 8, .model, position: position)
            #expect(scored.chosen.id == (try plain.sample(logits, position: position, choice: 0)))
            let expected = reference(logits)
            expect(scored.top, equal: expected.prefix(8))
            expect([scored.chosen], equal: expected.filter { $0.id == scored.chosen.id })
        }
    }

    @Test func `probabilities after sampling are those of the draw`() throws {
        var random = SeededRandom(seed: 18)
        var parameters = SamplerParameters(temperature: 0.7, topK: 9, minP: 0.05, seed: 6)
        parameters.typicalP = 0.97
        var sampler = try Sampler(parameters)
        for position in 0..<40 {
            let logits = (0..<50).map { _ in Float.random(in: -4...4, using: &random) }
            var row = logits
            var copy = sampler
            try row.withUnsafeMutableBufferPointer { row throws in try copy.distribution(row) }
            let expected = row.indices.filter { row[$0] > 0 }.sorted { row[$0] > row[$1] }
                .map { ScoredToken(id: Int32($0), logProbability: log(row[$0])) }
            let scored = try read(&sampler, logits, top: 20, .sampling, position: position)
            expect(scored.top, equal: expected)
            expect([scored.chosen], equal: expected.filter { $0.id == scored.chosen.id })
        }
        var greedy = try Sampler(SamplerParameters(temperature: 0))
        let certain = ScoredToken(id: 1, logProbability: 0)
        #expect(try read(&greedy, [1, 3, 2], top: 2, .sampling) == ScoredChoice(chosen: certain, top: [certain]))
        #expect(try read(&greedy, [1, 3, 2], top: 0, .sampling).top.isEmpty)
    }

    @Test func `what has no probability is not listed, and no value is infinite`() throws {
        var sampler = try Sampler(SamplerParameters(biases: [.init(token: 2, value: 1e38)]))
        let scored = try read(&sampler, [.nan, 1, -200_000, -.infinity], top: 20, .model)
        #expect(scored.top.map(\.id) == [1, 2])
        #expect(scored.chosen == ScoredToken(id: 2, logProbability: LogProbabilityReader.least))
        var other = try Sampler(SamplerParameters())
        let infinite = try read(&other, [.infinity, 0], top: 1, .model)
        #expect(
            infinite == ScoredChoice(chosen: .init(id: 0, logProbability: 0), top: [.init(id: 0, logProbability: 0)]))
        #expect(throws: SamplingError.noCandidate(vocabularySize: 1)) { try read(&other, [.nan], top: 1, .model) }
    }
}
