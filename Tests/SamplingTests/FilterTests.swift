import Foundation
import Testing

@testable import Sampling

/// What the filters promise beyond single rows.
@Suite struct FilterTests {
    /// Probabilities that fall with the rank, as those of words do.
    static let zipf = (0..<2000).map { -log(Float($0 + 1)) }

    static func sampler(_ change: (inout SamplerParameters) -> Void) throws -> Sampler {
        var parameters = SamplerParameters(seed: 21)
        change(&parameters)
        return try Sampler(parameters)
    }

    @Test func `top choices are excluded as often as was asked for`() throws {
        // 0.6, 0.25 and 0.15: with the threshold 0.2 the first goes.
        let logits = [Float(0.6), 0.25, 0.15].map { log($0) }
        var sampler = try Self.sampler {
            $0.xtcProbability = 0.3
            $0.xtcThreshold = 0.2
        }
        var counts = [0.0, 0, 0]
        let draws = 6000.0
        for position in 0..<Int(draws) {
            counts[Int(try sampler.sample(logits, position: position, choice: 0))] += 1
        }
        let expected = [0.7 * 0.6, 0.7 * 0.25 + 0.3 * 0.625, 0.7 * 0.15 + 0.3 * 0.375].map { $0 * draws }
        // Two degrees of freedom: 13.8 is passed once in a thousand times.
        #expect(ChiSquare.statistic(counts: counts, expected: expected) < 13.8)
    }

    @Test func `among equal top choices one stays`() {
        var weights: [Float] = [1, 1, 0.1, 1]
        weights.withUnsafeMutableBufferPointer { ExcludeTopChoices.apply(threshold: 0.2, to: $0) }
        #expect(weights == [0, 0, 0.1, 1])
    }

    @Test(arguments: [SamplerParameters.Mirostat.Version.one, .two], [2, 4, 6] as [Float])
    func `Mirostat keeps the average surprise at its target`(
        version: SamplerParameters.Mirostat.Version, target: Float
    ) throws {
        var sampler = try Self.sampler {
            $0.mirostat.version = version
            $0.mirostat.target = target
        }
        var surprise = 0.0
        var counted = 0.0
        for position in 0..<1500 {
            var row = Self.zipf
            let probability = try row.withUnsafeMutableBufferPointer { row throws in
                try sampler.pick(row, position: position, choice: 0).probability
            }
            // The bound needs some tokens to find its place.
            guard position >= 100 else { continue }
            surprise -= log2(probability)
            counted += 1
        }
        #expect(abs(surprise / counted - Double(target)) < 0.15)
    }

    @Test func `Mirostat survives rows that have no slope`() throws {
        for version in [SamplerParameters.Mirostat.Version.one, .two] {
            for row in [[1, 1, 1, 1], [5], [-3, -.infinity, .nan], [3e38, 3e38, -3e38], [0, 80, -80]] as [[Float]] {
                var sampler = try Self.sampler {
                    $0.mirostat.version = version
                    $0.mirostat.rate = 1
                }
                for position in 0..<300 {
                    let token = try sampler.sample(row, position: position, choice: 0)
                    #expect(row[Int(token)] > -.infinity)
                }
            }
        }
    }

    @Test func `the temperature follows the certainty`() throws {
        func temperature(_ logits: [Float], exponent: Float = 1) -> Double {
            var parameters = SamplerParameters(temperature: 0.8)
            parameters.dynamicTemperatureRange = 0.5
            parameters.dynamicTemperatureExponent = exponent
            var row = logits
            return row.withUnsafeMutableBufferPointer { row in
                DynamicTemperature(parameters).temperature(for: row, peak: row.max() ?? 0)
            }
        }
        #expect(abs(temperature([2, 2, 2, 2]) - 1.3) < 1e-6)
        #expect(abs(temperature([90, 0, 0, 0]) - 0.3) < 1e-6)
        // What is barred already is no alternative.
        #expect(abs(temperature([2, 2, -.infinity, 2]) - 1.3) < 1e-6)
        #expect(temperature([2, 1, 0]) < temperature([2, 1, 0], exponent: 0.5))
        #expect(abs(temperature([90, 0], exponent: 0) - 1.3) < 1e-6)
    }

    @Test func `a temperature that reaches zero takes the likeliest token`() throws {
        var sampler = try Self.sampler {
            $0.temperature = 0.5
            $0.dynamicTemperatureRange = 2
        }
        for position in 0..<50 { #expect(try sampler.sample([0, 300, 0], position: position, choice: 0) == 1) }
    }

    @Test func `typical-p may drop the likeliest token, and what follows works on what is left`() throws {
        // One token at 0.3 among hundreds at 0.0014: its surprise is far below the expected one.
        let logits = [log(Float(0.3))] + [Float](repeating: log(0.7 / 500), count: 500)
        var sampler = try Self.sampler {
            $0.typicalP = 0.5
            $0.minP = 0.9
        }
        var row = logits
        try row.withUnsafeMutableBufferPointer { row throws in try sampler.distribution(row) }
        #expect(row[0] == 0)
        #expect(row.count { $0 > 0 } == 358)
    }

    @Test(
        arguments: [
            ([Float.nan, 1, .nan], 1), ([-.infinity, -5, .nan], 1), ([.infinity, 9, 8], 0),
            ([3e38, -3e38, .infinity], 2),
        ] as [([Float], Int32)])
    func `values that are no numbers pass every filter unchosen`(logits: [Float], expected: Int32) throws {
        for version in [SamplerParameters.Mirostat.Version.off, .one, .two] {
            var sampler = try Self.sampler {
                $0.temperature = 0.001
                $0.topNSigma = 1
                $0.typicalP = 0.9
                $0.xtcProbability = 1
                $0.xtcThreshold = 0.6
                $0.dry.multiplier = 1
                $0.mirostat.version = version
            }
            #expect(try sampler.sample(logits, position: 0, choice: 0) == expected)
        }
    }
}
