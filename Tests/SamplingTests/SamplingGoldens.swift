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
                let p = parameters
                var sampler = try Sampler(
                    SamplerParameters(
                        temperature: p.temperature ?? 1, topK: p.topK ?? 0, topP: p.topP ?? 1, minP: p.minP ?? 0,
                        repetitionPenalty: p.repetitionPenalty ?? 1, presencePenalty: p.presencePenalty ?? 0,
                        frequencyPenalty: p.frequencyPenalty ?? 0,
                        biases: (p.biases ?? []).map { .init(token: Int32($0[0]), value: $0[1]) },
                        seed: UInt64(seed) ?? 0))
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
    }

    var cases: [Case]
    var numbers: [Number]

    static func load() throws -> SamplingGoldens {
        let file = Fixtures.packageRoot.appendingPathComponent("Tests/SamplingTests/Goldens/sampling-goldens.json")
        return try JSONDecoder().decode(SamplingGoldens.self, from: Data(contentsOf: file))
    }
}

enum ChiSquare {
    static func statistic(counts: [Double], expected: [Double]) -> Double {
        zip(counts, expected).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) / $1.1 }
    }
}
