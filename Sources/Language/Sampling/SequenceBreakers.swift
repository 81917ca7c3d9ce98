/// Finds the tokens with which a sequence breaker ends, in the text that the tokens write together.
///
/// Each breaker is followed by the automaton of Knuth, Morris and Pratt, so it may begin in one token and end in another,
/// and a byte costs amortised constant time per breaker.
struct SequenceBreakers: Sendable {
    struct Finding: Equatable {
        /// A breaker ends in the token.
        var ends = false
        /// A whole breaker is in the token.
        var isInside = false
    }

    private struct Pattern: Sendable {
        let bytes: [UInt8]
        /// `borders[n]` is the length of the longest proper border of the first `n` bytes.
        let borders: [Int]

        init(_ bytes: [UInt8]) {
            self.bytes = bytes
            var borders = Array(repeating: 0, count: bytes.count + 1)
            var border = 0
            for index in bytes.indices.dropFirst() {
                while border > 0, bytes[index] != bytes[border] { border = borders[border] }
                if bytes[index] == bytes[border] { border += 1 }
                borders[index + 1] = border
            }
            self.borders = borders
        }
    }

    private let patterns: [Pattern]
    /// For each pattern: how many of its bytes end the text so far.
    private var matched: [Int]

    /// Empty breakers break nothing.
    init(_ breakers: [[UInt8]]) {
        patterns = breakers.filter { !$0.isEmpty }.map(Pattern.init)
        matched = Array(repeating: 0, count: patterns.count)
    }

    /// Takes the next token's bytes.
    mutating func advance(_ bytes: [UInt8]) -> Finding {
        var finding = Finding()
        for index in patterns.indices {
            let pattern = patterns[index]
            var length = matched[index]
            for (place, byte) in bytes.enumerated() {
                while length > 0, byte != pattern.bytes[length] { length = pattern.borders[length] }
                if byte == pattern.bytes[length] { length += 1 }
                guard length == pattern.bytes.count else { continue }
                finding.ends = true
                if length <= place + 1 { finding.isInside = true }
                length = pattern.borders[length]
            }
            matched[index] = length
        }
        return finding
    }
}
