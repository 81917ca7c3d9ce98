import Foundation
import Testing

@testable import Sampling

@Suite struct CounterRandomTests {
    /// The known answers that the authors of Philox publish with their reference implementation.
    @Test(
        arguments: [
            ([0, 0, 0, 0], [0, 0], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            (
                [.max, .max, .max, .max], [.max, .max],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
            ),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
            ),
        ] as [([UInt32], [UInt32], [UInt32])])
    func `Philox gives the published answers`(counter: [UInt32], key: [UInt32], expected: [UInt32]) {
        let words = CounterRandom.philox(
            counter: (counter[0], counter[1], counter[2], counter[3]), key: (key[0], key[1]))
        #expect([words.0, words.1, words.2, words.3] == expected)
    }

    @Test func `numbers agree with the independent implementation`() throws {
        for number in try SamplingGoldens.load().numbers {
            let seed = try #require(UInt64(number.seed))
            let choice = try #require(UInt64(number.choice))
            let position = try #require(UInt64(number.position))
            #expect(CounterRandom.uniform(seed: seed, choice: choice, position: position) == number.uniform)
            #expect(
                CounterRandom.uniform(seed: seed, choice: choice, position: position, stream: .exclusion)
                    == number.exclusion)
        }
    }

    @Test func `numbers are even over 0 to 1 for neighbouring counters`() {
        var buckets = [Double](repeating: 0, count: 16)
        for position in 0..<1600 {
            for choice in 0..<10 {
                let number = CounterRandom.uniform(seed: 7, choice: UInt64(choice), position: UInt64(position))
                #expect(number >= 0 && number < 1)
                buckets[Int(number * 16)] += 1
            }
        }
        // 15 degrees of freedom: 37.7 is passed once in a thousand times.
        #expect(ChiSquare.statistic(counts: buckets, expected: [Double](repeating: 1000, count: 16)) < 37.7)
    }

    @Test func `the two streams of a place do not know of each other`() {
        var cells = [Double](repeating: 0, count: 16)
        for position in 0..<16_000 {
            let token = CounterRandom.uniform(seed: 3, choice: 0, position: UInt64(position))
            let exclusion = CounterRandom.uniform(seed: 3, choice: 0, position: UInt64(position), stream: .exclusion)
            cells[Int(token * 4) * 4 + Int(exclusion * 4)] += 1
        }
        #expect(ChiSquare.statistic(counts: cells, expected: [Double](repeating: 1000, count: 16)) < 37.7)
    }

    @Test func `the logarithm agrees with the C library's`() {
        #expect(abs(Logarithm.natural(.leastNonzeroMagnitude) - log(.leastNonzeroMagnitude)) < 1e-12)
        var x = Double.leastNormalMagnitude
        while x < 1e300 {
            let expected = log(x)
            #expect(abs(Logarithm.natural(x) - expected) <= 4e-16 * max(1, abs(expected)), "at \(x)")
            x *= 1.37
        }
        #expect(Logarithm.natural(1) == 0)
        #expect(Logarithm.natural(0) == -.infinity)
        #expect(Exponential.of(2) == 1 / Exponential.ofNonPositive(-2))
        #expect(Exponential.of(200) == .infinity)
    }

    @Test func `the exponential agrees with the C library's`() {
        var x = 0.0
        while x > -104 {
            let relative = abs(Exponential.ofNonPositive(x) / exp(x) - 1)
            #expect(relative < 1e-11, "at \(x)")
            x -= 0.0137
        }
        #expect(Exponential.ofNonPositive(0) == 1)
        #expect(Exponential.ofNonPositive(-105) == 0)
        #expect(Exponential.ofNonPositive(-.infinity) == 0)
    }
}
