import Foundation
import Sampling
import TestSupport

/// The file that `Goldens/make_goldens.py` writes.
struct SamplingGoldens: Decodable {
    struct Case: Decodable {
        struct Parameters: Decodable {
            var temperature: Float?
            var topK: Int?
            var topP: Float?
            var minP: Float?
            var repetitionPenalty: Float?
            var presencePenalty: Float?
            var frequencyPenalty: Float?
            var biases: [[Float]]?
            var typicalP: Float?
            var topNSigma: Float?
            var dynamicTemperatureRange: Float?
            var dynamicTemperatureExponent: Float?
            var xtcProbability: Float?
            var xtcThreshold: Float?
            var dryMultiplier: Float?
            var dryBase: Float?
            var dryAllowedLength: Int?
            var dryWindow: Int?
            var dryBreakers: [Int32]?
            var mirostat: Int?
            var mirostatTarget: Float?
            var mirostatRate: Float?
            var minimumTokens: Int?
            var endTokens: [Int32]?

            func samplerParameters(seed: UInt64) -> SamplerParameters {
                var parameters = SamplerParameters(
                    temperature: temperature ?? 1, topK: topK ?? 0, topP: topP ?? 1, minP: minP ?? 0,
                    repetitionPenalty: repetitionPenalty ?? 1, presencePenalty: presencePenalty ?? 0,
                    frequencyPenalty: frequencyPenalty ?? 0,
                    biases: (biases ?? []).map { .init(token: Int32($0[0]), value: $0[1]) }, seed: seed)
                parameters.typicalP = typicalP ?? 1
                parameters.topNSigma = topNSigma ?? 0
                parameters.dynamicTemperatureRange = dynamicTemperatureRange ?? 0
                parameters.dynamicTemperatureExponent = dynamicTemperatureExponent ?? 1
                parameters.xtcProbability = xtcProbability ?? 0
                parameters.xtcThreshold = xtcThreshold ?? 0.1
                parameters.dry.multiplier = dryMultiplier ?? 0
                parameters.dry.base = dryBase ?? 1.75
                parameters.dry.allowedLength = dryAllowedLength ?? 2
                parameters.dry.window = dryWindow
                parameters.dry.breakers = dryBreakers == nil ? [] : [[0]]
                parameters.mirostat.version = mirostat == 1 ? .one : mirostat == 2 ? .two : .off
                parameters.mirostat.target = mirostatTarget ?? 5
                parameters.mirostat.rate = mirostatRate ?? 0.1
                parameters.minimumTokens = minimumTokens ?? 0
                parameters.endTokens = endTokens ?? []
                return parameters
            }
        }

        var parameters: Parameters
        var logits: [Float]
        var prompt: [Int32]
        var answer: [Int32]
        var probabilities: [Float]
        var seed: String
        var choice: Int
        var picks: [Int32]

        var sampler: Sampler {
            get throws {
                let breakers = Set(parameters.dryBreakers ?? [])
                // The reference knows breakers as tokens: here they are the tokens that write a zero.
                var sampler = try Sampler(parameters.samplerParameters(seed: UInt64(seed) ?? 0)) {
                    breakers.contains($0) ? [0] : [UInt8(truncatingIfNeeded: $0 + 1)]
                }
                sampler.recordPrompt(prompt)
                for token in answer { sampler.recordAnswer(token) }
                return sampler
            }
        }
    }

    struct Number: Decodable {
        var seed: String
        var choice: String
        var position: String
        var uniform: Double
        var exclusion: Double
    }

    var cases: [Case]
    var numbers: [Number]

    static func load() throws -> SamplingGoldens {
        try JSONDecoder().decode(SamplingGoldens.self, from: goldenFile("sampling-goldens.json"))
    }
}

/// The file that `Goldens/make_llama_goldens.py` writes.
struct LlamaGoldens: Decodable {
    struct Filter: Decodable {
        var name: String
        var value: Float
        var logits: [Float]
        var probabilities: [Float]
    }

    struct Mirostat: Decodable {
        struct Step: Decodable {
            var kept: [Int]
            var token: Int
        }

        var version: Int
        var target: Float
        var rate: Float
        var logits: [Float]
        var steps: [Step]
    }

    struct DRY: Decodable {
        struct Case: Decodable {
            var multiplier: Float
            var base: Float
            var allowedLength: Int
            var window: Int
            var breakers: [[UInt8]]
            var tokens: [Int32]
            var logits: [Float]
        }

        var texts: [[UInt8]]
        var cases: [Case]
    }

    var filters: [Filter]
    var mirostat: [Mirostat]
    var dry: DRY

    static func load() throws -> LlamaGoldens {
        try JSONDecoder().decode(LlamaGoldens.self, from: goldenFile("llama-goldens.json"))
    }
}

private func goldenFile(_ name: String) throws -> Data {
    try Data(contentsOf: Fixtures.packageRoot.appendingPathComponent("Tests/SamplingTests/Goldens/\(name)"))
}

enum ChiSquare {
    static func statistic(counts: [Double], expected: [Double]) -> Double {
        zip(counts, expected).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) / $1.1 }
    }
}
