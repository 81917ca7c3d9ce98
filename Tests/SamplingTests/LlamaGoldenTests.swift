import Testing

@testable import Sampling

/// Against llama.cpp, for the samplers that mean the same in both programs.
@Suite struct LlamaGoldenTests {
    @Test func `filters leave the same probabilities`() throws {
        for golden in try LlamaGoldens.load().filters {
            var parameters = SamplerParameters()
            switch golden.name {
            case "typicalP": parameters.typicalP = golden.value
            case "topNSigma": parameters.topNSigma = golden.value
            case "dynamicTemperatureRange":
                parameters.dynamicTemperatureRange = golden.value
                parameters.dynamicTemperatureExponent = 1.5
            default:
                parameters.xtcProbability = 1
                parameters.xtcThreshold = golden.value
            }
            var sampler = try Sampler(parameters)
            var row = golden.logits
            try row.withUnsafeMutableBufferPointer { row throws in try sampler.distribution(row) }
            for (index, expected) in golden.probabilities.enumerated() {
                #expect((row[index] > 0) == (expected > 0), "token \(index) of \(golden.name) \(golden.value)")
                #expect(abs(row[index] - expected) < 2e-6, "token \(index) of \(golden.name) \(golden.value)")
            }
        }
    }

    /// llama.cpp draws with another generator, so its tokens are fed to the bound.
    @Test func `Mirostat's bound goes the same way`() throws {
        for golden in try LlamaGoldens.load().mirostat {
            var parameters = SamplerParameters.Mirostat()
            parameters.version = golden.version == 1 ? .one : .two
            parameters.target = golden.target
            parameters.rate = golden.rate
            var mirostat = try #require(Mirostat(parameters))
            var selector = PrefixSelector()
            let peak = try #require(golden.logits.max())
            for (number, step) in golden.steps.enumerated() {
                var row = golden.logits.map { Float(Exponential.ofNonPositive(Double($0) - Double(peak))) }
                row.withUnsafeMutableBufferPointer { row in
                    mirostat.apply(to: row, vocabularySize: row.count, selector: &selector)
                    mirostat.observe(probability: Double(row[step.token]) / row.total)
                }
                #expect(
                    row.indices.filter { row[$0] > 0 } == step.kept,
                    "step \(number) of version \(golden.version), target \(golden.target)")
            }
        }
    }

    @Test func `DRY finds the same repetitions and breakers`() throws {
        let goldens = try LlamaGoldens.load().dry
        for golden in goldens.cases {
            var parameters = SamplerParameters.DRY()
            parameters.multiplier = golden.multiplier
            parameters.base = golden.base
            parameters.allowedLength = golden.allowedLength
            parameters.window = golden.window
            parameters.breakers = golden.breakers
            var sequences = try #require(
                RepeatedSequences(parameters, limits: SamplingLimits()) { goldens.texts[Int($0)] })
            sequences.record(golden.tokens)
            var row = [Float](repeating: 0, count: golden.logits.count)
            row.withUnsafeMutableBufferPointer { sequences.apply(to: $0) }
            for (token, expected) in golden.logits.enumerated() {
                #expect(
                    abs(row[token] - expected) <= 1e-5 * max(1, abs(expected)),
                    "token \(token) of \(golden.multiplier) \(golden.base) \(golden.allowedLength) \(golden.window)")
            }
        }
    }
}
