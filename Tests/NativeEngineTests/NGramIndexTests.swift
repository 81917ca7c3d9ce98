import TestSupport
import Testing

@testable import NativeEngine

@Suite struct NGramIndexTests {
    /// What is expected after a text, letter by letter.
    private func prediction(after text: String, _ count: Int = 4) -> String {
        let tokens = text.unicodeScalars.map { Int32($0.value) }
        var index = NGramIndex(tokens: 100)
        index.extend(to: tokens)
        var drafts: [Int32] = [1, 2, 3]
        index.predict(count, after: tokens, into: &drafts)
        return String(String.UnicodeScalarView(drafts.compactMap { Unicode.Scalar(UInt32($0)) }))
    }

    @Test(
        arguments: [
            ("", ""), ("a", ""), ("ab", ""), ("abc", ""), ("abcd", ""),
            // A single token is not enough.
            ("axya", ""),
            ("abxyzab", "xyza"),
            // The latest occurrence counts.
            ("abx_aby_ab", "y_ab"),
            // Three tokens say more than two, even if they are further back.
            ("cabx_.abyz_cab", "x_.a"),
            // At the end the text goes on with itself.
            ("aaa", "aaaa"), ("xabab", "abab"), ("abcabc", "abca"), ("_abc_abc", "_abc"),
        ])
    func `the tokens after the latest occurrence of the longest end come`(text: String, expected: String) {
        #expect(prediction(after: text) == expected)
    }

    @Test func `as many as are wanted`() {
        for count in 0...9 { #expect(prediction(after: "abcdabcd", count).count == count) }
        #expect(prediction(after: "abcdabcd", 9) == "abcdabcda")
    }

    @Test func `token by token or at once is the same`() {
        var random = SeededRandom(seed: 3)
        let tokens = (0..<400).map { _ in Int32.random(in: 0..<4, using: &random) }
        var stepwise = NGramIndex(tokens: 400)
        for end in 1...tokens.count {
            let part = Array(tokens[..<end])
            stepwise.extend(to: part)
            var atOnce = NGramIndex(tokens: 400)
            atOnce.extend(to: part)
            var (left, right): ([Int32], [Int32]) = ([], [])
            stepwise.predict(5, after: part, into: &left)
            atOnce.predict(5, after: part, into: &right)
            #expect(left == right)
        }
    }

    /// Against a search from the end to the beginning.
    @Test func `what is found is an occurrence, and hardly any is missed`() {
        var random = SeededRandom(seed: 9)
        let tokens = (0..<300).map { _ in Int32.random(in: 0..<6, using: &random) }
        var index = NGramIndex(tokens: 10_000)
        var missed = 0
        for end in 1...tokens.count {
            let part = Array(tokens[..<end])
            index.extend(to: part)
            var drafts: [Int32] = []
            index.predict(1, after: part, into: &drafts)
            let followers = [3, 2].compactMap { length -> Int32? in
                guard end > length else { return nil }
                return (length..<end).last { part[$0 - length..<$0] == part[(end - length)...] }.map { part[$0] }
            }
            if let draft = drafts.first { #expect(followers.contains(draft)) }
            if drafts.first != followers.first { missed += 1 }
        }
        // Two n-grams may meet in the table.
        #expect(missed < 15)
    }

    @Test func `a sequence that is longer than the table still finds what is near`() {
        var random = SeededRandom(seed: 5)
        var tokens = (0..<100_000).map { _ in Int32.random(in: 0..<50_000, using: &random) }
        tokens += tokens.suffix(20).prefix(10)
        var index = NGramIndex(tokens: 1_000)
        index.extend(to: tokens)
        var drafts: [Int32] = []
        index.predict(5, after: tokens, into: &drafts)
        #expect(drafts == Array(tokens[99_990..<99_995]))
    }
}
