import Foundation
import TestSupport
import Testing

@testable import Sampling

@Suite struct SamplerTests {
    @Test func `every filter and penalty gives the reference's probabilities`() throws {
        for golden in try SamplingGoldens.load().cases {
            var sampler = try golden.sampler
            var row = golden.logits
            try row.withUnsafeMutableBufferPointer { row throws in
                try sampler.distribution(row, position: 0, choice: golden.choice)
            }
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
        (changed { $0.typicalP = 1.5 }, "typical_p"), (changed { $0.topNSigma = -1 }, "top_n_sigma"),
        (changed { $0.dynamicTemperatureRange = .nan }, "dynatemp_range"),
        (changed { $0.dynamicTemperatureExponent = -1 }, "dynatemp_exponent"),
        (changed { $0.xtcProbability = 2 }, "xtc_probability"), (changed { $0.xtcThreshold = -0.1 }, "xtc_threshold"),
        (changed { $0.mirostat.target = .infinity }, "mirostat_tau"),
        (changed { $0.mirostat.rate = 2 }, "mirostat_eta"),
        (changed { $0.dry.multiplier = -1 }, "dry_multiplier"), (changed { $0.dry.base = 0.5 }, "dry_base"),
        (changed { $0.dry.allowedLength = 0 }, "dry_allowed_length"),
        (changed { $0.dry.window = -5 }, "dry_penalty_last_n"),
        (changed { $0.dry.breakers = Array(repeating: [1], count: 33) }, "dry_sequence_breakers"),
        (changed { $0.dry.breakers = [Array(repeating: 1, count: 129)] }, "dry_sequence_breakers"),
    ])
    func `parameters outside their range are named`(parameters: SamplerParameters, name: String) {
        let error = #expect(throws: SamplingError.self) { try Sampler(parameters) }
        #expect(error?.description.hasPrefix(name + " ") == true)
    }

    static func changed(_ change: (inout SamplerParameters) -> Void) -> SamplerParameters {
        var parameters = SamplerParameters()
        change(&parameters)
        return parameters
    }

    @Test func `end tokens are never drawn before the least length, whatever speaks for them`() throws {
        for temperature in [0, 1] as [Float] {
            var sampler = try Sampler(
                Self.changed {
                    $0.temperature = temperature
                    $0.biases = [.init(token: 2, value: 1000)]
                    $0.repetitionPenalty = 0.1
                    $0.presencePenalty = -100
                    $0.minimumTokens = 5
                    $0.endTokens = [2, 3, 99, -1]
                })
            sampler.recordPrompt([2, 3])
            let tokens = try (0..<8).map { try sampler.sample([1, 0, 9, 30], position: $0, choice: 0) }
            #expect(tokens.prefix(5).allSatisfy { $0 < 2 })
            #expect(tokens.suffix(3).allSatisfy { $0 == 2 })
        }
        var nothing = try Sampler(
            Self.changed {
                $0.minimumTokens = 1
                $0.endTokens = [0, 1]
            })
        #expect(throws: SamplingError.noCandidate(vocabularySize: 2)) {
            try nothing.sample([1, 2], position: 0, choice: 0)
        }
    }

    /// Every option at once: what state there is must follow from rows and tokens alone.
    @Test func `rows sampled ahead on a copy are sampled again the same`() throws {
        var random = SeededRandom(seed: 9)
        let rows = (0..<60).map { _ in (0..<80).map { _ in Float.random(in: -3...3, using: &random) } }
        var sampler = try Sampler(
            Self.changed {
                $0.repetitionPenalty = 1.1
                $0.dry.multiplier = 0.5
                $0.dry.allowedLength = 1
                $0.mirostat.version = .two
                $0.mirostat.target = 3
                $0.xtcProbability = 0.5
                $0.typicalP = 0.95
                $0.dynamicTemperatureRange = 0.3
                $0.minimumTokens = 20
                $0.endTokens = [7]
                $0.seed = 4
            }
        ) { [UInt8(truncatingIfNeeded: $0)] }
        sampler.recordPrompt([1, 2, 3, 1, 2])
        var alone = sampler
        let expected = try rows.indices.map { try alone.sample(rows[$0], position: $0, choice: 0) }
        var position = 0
        while position < rows.count {
            // Four rows ahead, of which only the first counts.
            var ahead = sampler
            let draft = try (position..<min(position + 4, rows.count)).map {
                try ahead.sample(rows[$0], position: $0, choice: 0)
            }
            #expect(draft == Array(expected[position..<position + draft.count]))
            #expect(try sampler.sample(rows[position], position: position, choice: 0) == expected[position])
            position += 1
        }
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
