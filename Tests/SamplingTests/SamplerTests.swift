import Foundation
import TestSupport
import Testing

@testable import Sampling

@Suite struct SamplerTests {
    @Test func `every filter and penalty gives the reference's probabilities`() throws {
        for golden in try SamplingGoldens.load().cases {
            var sampler = try golden.sampler
            var row = golden.logits
            try row.withUnsafeMutableBufferPointer { row throws in try sampler.distribution(row) }
            for (index, expected) in golden.probabilities.enumerated() {
                #expect((row[index] > 0) == (expected > 0), "token \(index) of \(golden.parameters)")
                #expect(abs(row[index] - expected) < 2e-6, "token \(index) of \(golden.parameters)")
            }
        }
    }

    @Test func `draws are the reference's draws while the answer grows`() throws {
        for golden in try SamplingGoldens.load().cases {
            var sampler = try golden.sampler
            let picks = try golden.picks.indices.map {
                try sampler.sample(golden.logits, position: $0, choice: golden.choice)
            }
            #expect(picks == golden.picks, "\(golden.parameters)")
        }
    }

    @Test(arguments: [
        SamplerParameters(seed: 11),
        SamplerParameters(temperature: 0.6, seed: 12),
        SamplerParameters(topK: 5, seed: 13),
        SamplerParameters(topP: 0.8, minP: 0.05, seed: 14),
    ])
    func `draws follow the exact probabilities`(parameters: SamplerParameters) throws {
        let logits: [Float] = [1.5, -0.25, 0.75, 2, 1.25, 0, 1.75, 0.5]
        var sampler = try Sampler(parameters)
        var probabilities = logits
        try probabilities.withUnsafeMutableBufferPointer { row throws in try sampler.distribution(row) }
        let draws = 4_000
        var counts = [Double](repeating: 0, count: logits.count)
        for position in 0..<draws {
            counts[Int(try sampler.sample(logits, position: position, choice: 0))] += 1
        }
        let kept = probabilities.indices.filter { probabilities[$0] > 0 }
        #expect(probabilities.indices.allSatisfy { probabilities[$0] > 0 || counts[$0] == 0 })
        let statistic = ChiSquare.statistic(
            counts: kept.map { counts[$0] }, expected: kept.map { Double(probabilities[$0]) * Double(draws) })
        // At most 7 degrees of freedom: 24.3 is passed once in a thousand times.
        #expect(statistic < 24.3)
    }

    @Test func `seed, choice and position alone decide the draw`() throws {
        var random = SeededRandom(seed: 5)
        let logits = (0..<500).map { _ in Float.random(in: -1...1, using: &random) }
        func tokens(seed: UInt64, choice: Int, positions: [Int]) throws -> [Int: Int32] {
            var sampler = try Sampler(SamplerParameters(seed: seed))
            return try Dictionary(
                uniqueKeysWithValues: positions.map { ($0, try sampler.sample(logits, position: $0, choice: choice)) })
        }
        let forward = try tokens(seed: 1, choice: 0, positions: Array(0..<50))
        #expect(try tokens(seed: 1, choice: 0, positions: Array((0..<50).reversed())) == forward)
        #expect(try tokens(seed: 2, choice: 0, positions: Array(0..<50)) != forward)
        #expect(try tokens(seed: 1, choice: 1, positions: Array(0..<50)) != forward)
    }

    @Test func `greedy takes the lowest id among equals`() throws {
        var sampler = try Sampler(SamplerParameters(temperature: 0))
        #expect(try sampler.sample([1, 3, 3, -2, 3], position: 0, choice: 0) == 1)
        #expect(try sampler.sample([-0.0, 0.0], position: 0, choice: 0) == 0)
    }

    @Test func `equal logits are cut at the lower ids`() throws {
        var sampler = try Sampler(SamplerParameters(topK: 2))
        var row: [Float] = [0, 5, 5, 5, 1]
        try row.withUnsafeMutableBufferPointer { row throws in try sampler.distribution(row) }
        #expect(row == [0, 0.5, 0.5, 0, 0])
        sampler = try Sampler(SamplerParameters(topP: 0.5))
        row = [2, 2, 2, 2]
        try row.withUnsafeMutableBufferPointer { row throws in try sampler.distribution(row) }
        #expect(row == [0.5, 0.5, 0, 0])
    }

    @Test(
        arguments: [
            ([Float.nan, 1, .nan], 1), ([-.infinity, -5, .nan], 1), ([.infinity, 9, 8], 0),
            ([3e38, -3e38, .infinity], 2), ([-.infinity, -.greatestFiniteMagnitude], 1),
        ] as [([Float], Int32)])
    func `values that are no numbers are never chosen`(logits: [Float], expected: Int32) throws {
        for temperature in [0, 1e-30, 0.001] as [Float] {
            var sampler = try Sampler(SamplerParameters(temperature: temperature, topK: 2, topP: 0.9, minP: 0.1))
            #expect(try sampler.sample(logits, position: 0, choice: 0) == expected)
        }
    }

    @Test(arguments: [[Float.nan, .nan], [-.infinity, -.infinity, .nan], []] as [[Float]])
    func `a row without candidates is an error`(logits: [Float]) throws {
        for temperature in [0, 1] as [Float] {
            var sampler = try Sampler(SamplerParameters(temperature: temperature))
            #expect(throws: SamplingError.noCandidate(vocabularySize: logits.count)) {
                try sampler.sample(logits, position: 0, choice: 0)
            }
        }
    }

    @Test func `ids outside the vocabulary are ignored`() throws {
        var sampler = try Sampler(
            SamplerParameters(
                temperature: 0, repetitionPenalty: 2,
                biases: [.init(token: -1, value: 5), .init(token: 9, value: 5), .init(token: .max, value: 1)]))
        sampler.recordPrompt([-7, 1_000_000, .min])
        #expect(try sampler.sample([1, 2], position: 0, choice: 0) == 1)
    }

    @Test(arguments: [
        (SamplerParameters(temperature: -1), "temperature"), (SamplerParameters(temperature: .nan), "temperature"),
        (SamplerParameters(topK: -1), "top_k"), (SamplerParameters(topP: 1.5), "top_p"),
        (SamplerParameters(minP: -0.5), "min_p"), (SamplerParameters(repetitionPenalty: 0), "repetition_penalty"),
        (SamplerParameters(presencePenalty: .infinity), "presence_penalty"),
        (SamplerParameters(frequencyPenalty: .nan), "frequency_penalty"),
        (SamplerParameters(biases: [.init(token: 0, value: .nan)]), "logit_bias"),
    ])
    func `parameters outside their range are named`(parameters: SamplerParameters, name: String) {
        let error = #expect(throws: SamplingError.self) { try Sampler(parameters) }
        #expect(error?.description.hasPrefix(name + " ") == true)
    }

    @Test func `a selection without sorting equals a full sort on random rows`() throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        var random = SeededRandom(seed: seed)
        for _ in 0..<40 {
            let size = Int.random(in: 1...300, using: &random)
            // Few different values, so that ties are common.
            var row = (0..<size).map { _ in Float(Int.random(in: -20...20, using: &random)) / 4 }
            let k = Int.random(in: 1...size, using: &random)
            let order = row.indices.sorted { (row[$0], $1) > (row[$1], $0) }
            let values = row
            let cut = row.withUnsafeMutableBufferPointer { row in
                var selector = PrefixSelector()
                return selector.cut(row, reaching: Double(k)) { _ in 1 }
            }
            let kept = values.indices.filter { cut.keeps(key: PrefixSelector.key(values[$0]), index: $0) }
            #expect(kept == order.prefix(k).sorted())
        }
    }
}

extension Sampler {
    /// Samples from a copy of `logits`.
    mutating func sample(_ logits: [Float], position: Int, choice: Int) throws -> Int32 {
        var row = logits
        return try row.withUnsafeMutableBufferPointer { row throws in
            try sample(logits: row, position: position, choice: choice)
        }
    }
}
