import TestSupport
import Testing

@testable import Sampling

@Suite struct RepeatedSequencesTests {
    static func parameters(
        multiplier: Float = 1, base: Float = 2, allowed: Int = 1, window: Int? = nil, breakers: [String] = []
    ) -> SamplerParameters.DRY {
        var parameters = SamplerParameters.DRY()
        parameters.multiplier = multiplier
        parameters.base = base
        parameters.allowedLength = allowed
        parameters.window = window
        parameters.breakers = breakers.map { Array($0.utf8) }
        return parameters
    }

    /// What each logit of a row of zeros becomes after a text in which every character is a token.
    static func row(
        after text: String, of tokens: String, _ parameters: SamplerParameters.DRY
    ) throws -> [Character: Float] {
        let letters = Array(tokens)
        var sequences = try #require(
            RepeatedSequences(parameters, limits: SamplingLimits()) { Array(String(letters[Int($0)]).utf8) })
        sequences.record(try text.map { Int32(try #require(letters.firstIndex(of: $0))) })
        var row = [Float](repeating: 0, count: letters.count)
        row.withUnsafeMutableBufferPointer { sequences.apply(to: $0) }
        return Dictionary(uniqueKeysWithValues: zip(letters, row).filter { $0.1 != 0 })
    }

    @Test func `what would go on with a repetition costs more the longer it is`() throws {
        #expect(try Self.row(after: "abcd abc", of: "abcd ", Self.parameters()) == ["d": -4])
        #expect(try Self.row(after: "abcd abc", of: "abcd ", Self.parameters(allowed: 3)) == ["d": -1])
        #expect(try Self.row(after: "abcd abc", of: "abcd ", Self.parameters(allowed: 4)) == [:])
        // The longest repetition that a token would go on with counts.
        #expect(try Self.row(after: "xbc abc xbca xbc", of: "abcx ", Self.parameters()) == ["a": -8, " ": -4])
        #expect(try Self.row(after: "aaaa", of: "ab", Self.parameters()) == ["a": -4])
    }

    @Test func `only the window counts`() throws {
        #expect(try Self.row(after: "abcd   abc", of: "abcd ", Self.parameters(window: 5)) == [:])
        #expect(try Self.row(after: "abcd   abc", of: "abcd ", Self.parameters(window: 9)) == ["d": -2])
        #expect(RepeatedSequences(Self.parameters(window: 0), limits: SamplingLimits()) { _ in [] } == nil)
        #expect(RepeatedSequences(Self.parameters(multiplier: 0), limits: SamplingLimits()) { _ in [] } == nil)
    }

    @Test func `no repetition reaches over a breaker, and none is penalised`() throws {
        #expect(try Self.row(after: "ab.cd ab.c", of: "abcd. ", Self.parameters(breakers: ["."])) == ["d": -1])
        #expect(try Self.row(after: "ab.cd ab", of: "abcd. ", Self.parameters(breakers: ["."])) == [:])
        // A breaker of two tokens: the repetition starts after it, but each of its tokens alone is no breaker.
        #expect(try Self.row(after: "ab=>cd ab=>c", of: "abcd=> ", Self.parameters(breakers: ["=>"])) == ["d": -1])
        #expect(try Self.row(after: "ab=>cd ab=", of: "abcd=> ", Self.parameters(breakers: ["=>"])) == [">": -4])
    }

    @Test func `breakers are found across tokens and inside them`() {
        var breakers = SequenceBreakers(["\n\n", "aab", ""].map { Array($0.utf8) })
        func find(_ text: String) -> SequenceBreakers.Finding { breakers.advance(Array(text.utf8)) }
        #expect(find("x\n") == .init())
        #expect(find("\ny") == .init(ends: true, isInside: false))
        #expect(find("z\n\nz") == .init(ends: true, isInside: true))
        #expect(find("aa") == .init())
        #expect(find("ab") == .init(ends: true, isInside: false))
        #expect(find("") == .init())
    }

    @Test func `lengths are those of a plain comparison`() throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        var random = SeededRandom(seed: seed)
        for _ in 0..<200 {
            let count = Int.random(in: 2...60, using: &random)
            let kinds = Int32.random(in: 1...4, using: &random)
            let tokens = (0..<count).map { _ in Int32.random(in: 0..<kinds, using: &random) }
            let window = Int.random(in: 1...70, using: &random)
            let recent = Array(tokens.suffix(window))
            var expected: [Int32: Int] = [:]
            for place in recent.indices.dropLast() {
                var length = 0
                while length <= place, recent[place - length] == recent[recent.count - 1 - length] { length += 1 }
                if length > 0 { expected[recent[place + 1]] = max(expected[recent[place + 1]] ?? 0, length) }
            }
            var sequences = try #require(
                RepeatedSequences(Self.parameters(base: 1, window: window), limits: SamplingLimits()) { _ in [1] })
            sequences.record(tokens)
            // With base 1 every length costs 1; a long allowed length then tells whether it is reached.
            var row = [Float](repeating: 0, count: Int(kinds))
            row.withUnsafeMutableBufferPointer { sequences.apply(to: $0) }
            #expect(row.indices.allSatisfy { (row[$0] == -1) == (expected[Int32($0)] != nil) }, "seed \(seed)")
            let doubling = try #require(
                RepeatedSequences(Self.parameters(base: 1.5, window: window), limits: SamplingLimits()) { _ in [1] })
            var other = doubling
            for token in tokens { other.record(token) }
            row = [Float](repeating: 0, count: Int(kinds))
            row.withUnsafeMutableBufferPointer { other.apply(to: $0) }
            for (token, length) in expected {
                var power = 1.0
                for _ in 1..<length { power *= 1.5 }
                #expect(abs(Double(-row[Int(token)]) / power - 1) < 1e-6, "seed \(seed), token \(token)")
            }
        }
    }

    /// Without the Z algorithm this would take a thousand million comparisons for each token.
    @Test func `a text of one token is no more work than another`() throws {
        var limits = SamplingLimits()
        limits.repetitionWindow = 20_000
        var sequences = try #require(
            RepeatedSequences(Self.parameters(base: 10), limits: limits) { _ in [UInt8(ascii: "a")] })
        sequences.record([Int32](repeating: 0, count: 1_000_000))
        for _ in 0..<20 {
            var row: [Float] = [5, 0]
            row.withUnsafeMutableBufferPointer { sequences.apply(to: $0) }
            #expect(row[0] < -1e29 && row[0].isFinite && row[1] == 0)
            sequences.record(0)
        }
    }
}
