/// Finds stop strings in a stream of bytes, whatever the pieces in which it comes.
///
/// Each string is followed by the automaton of Knuth, Morris and Pratt, so a byte costs amortised constant time per
/// string. The first string that is complete wins; among those that end at the same byte, the longest.
struct StopMatcher: Sendable {
    private struct Pattern: Sendable {
        let bytes: [UInt8]
        /// `borders[n]` is the length of the longest proper border of the first `n` bytes.
        let borders: [Int]
        /// How many bytes at the end of the stream are a prefix of the pattern.
        var matched = 0

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

        /// True when the pattern is complete.
        mutating func advance(_ byte: UInt8) -> Bool {
            while matched > 0, byte != bytes[matched] { matched = borders[matched] }
            if byte == bytes[matched] { matched += 1 }
            guard matched == bytes.count else { return false }
            // The search ends here, so there is no need to go on from the border.
            matched = 0
            return true
        }
    }

    private var patterns: [Pattern]

    /// Empty strings stop nothing.
    init(_ stopStrings: [String]) {
        patterns = stopStrings.filter { !$0.isEmpty }.map { Pattern(Array($0.utf8)) }
    }

    var isEmpty: Bool { patterns.isEmpty }

    /// How many bytes at the end of the stream may be the beginning of a stop string.
    var heldBack: Int { patterns.reduce(0) { max($0, $1.matched) } }

    /// Takes one byte and returns the length of the stop string that it completes.
    mutating func advance(_ byte: UInt8) -> Int? {
        var length: Int?
        for index in patterns.indices where patterns[index].advance(byte) {
            length = max(length ?? 0, patterns[index].bytes.count)
        }
        return length
    }
}
