/// A part of a text: a token that stands in it literally, or the text between two such tokens.
struct Fragment: Equatable {
    var range: Range<Int>
    /// Nil: text that is still to be encoded.
    var token: Int32?
}

/// The tokens that are searched for in a text before it is cut into words.
///
/// User-defined tokens are always found, control tokens only on request. The leftmost match counts, and of several that
/// begin at one place the longest.
struct SpecialTokens: Sendable {
    struct Entry: Sendable {
        var id: Int32
        var isControl: Bool
        /// White space after the token belongs to it.
        var takesFollowingSpace: Bool
    }

    /// In the order of their bytes, so that a match is narrowed down byte by byte.
    private let strings: ByteStrings
    private let entries: [Entry]
    private let canBegin: [Bool]

    init(_ tokens: [(text: [UInt8], entry: Entry)], limits: TokenizerLimits) throws(TokenizerError) {
        for (text, _) in tokens where text.count > limits.specialTokenBytes {
            throw .limitExceeded(
                what: "the length of a special token", limit: limits.specialTokenBytes, value: text.count)
        }
        let sorted = tokens.filter { !$0.text.isEmpty }.sorted { left, right in
            left.text == right.text ? left.entry.id < right.entry.id : left.text.lexicographicallyPrecedes(right.text)
        }
        var strings = ByteStrings()
        var canBegin = [Bool](repeating: false, count: 256)
        for (text, _) in sorted {
            strings.append(text)
            canBegin[Int(text[0])] = true
        }
        self.strings = strings
        self.canBegin = canBegin
        entries = sorted.map(\.entry)
    }

    /// Visits the tokens in a text and what lies between them, in order.
    func forEachFragment(
        of text: borrowing Span<UInt8>, parseSpecial: Bool, _ body: (Fragment) throws(TokenizerError) -> Void
    ) throws(TokenizerError) {
        var textStart = 0
        var position = 0
        while position < text.count {
            guard canBegin[Int(text[position])],
                let match = longestMatch(text, at: position, parseSpecial: parseSpecial)
            else {
                position += 1
                continue
            }
            if position > textStart { try body(Fragment(range: textStart..<position, token: nil)) }
            let end = position + match.length
            try body(Fragment(range: position..<end, token: match.entry.id))
            position = end
            if match.entry.takesFollowingSpace {
                while position < text.count, Self.isSpace(text[position]) { position += 1 }
            }
            textStart = position
        }
        if textStart < text.count { try body(Fragment(range: textStart..<text.count, token: nil)) }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

    private func longestMatch(
        _ text: borrowing Span<UInt8>, at position: Int, parseSpecial: Bool
    ) -> (entry: Entry, length: Int)? {
        var best: (entry: Entry, length: Int)?
        var candidates = 0..<entries.count
        var depth = 0
        while !candidates.isEmpty {
            // The shorter of two strings that begin alike comes first.
            if strings.range(candidates.lowerBound).count == depth {
                let entry = entries[candidates.lowerBound]
                if best?.length != depth, parseSpecial || !entry.isControl { best = (entry, depth) }
                candidates = candidates.dropFirst()
                continue
            }
            guard position + depth < text.count else { break }
            let byte = text[position + depth]
            let low = firstEntry(in: candidates, depth) { $0 >= byte }
            candidates = low..<firstEntry(in: low..<candidates.upperBound, depth) { $0 > byte }
            depth += 1
        }
        return best
    }

    /// Binary search for the first entry whose byte at `depth` fulfils a condition that, once true, stays true.
    private func firstEntry(in range: Range<Int>, _ depth: Int, _ condition: (UInt8) -> Bool) -> Int {
        var (low, high) = (range.lowerBound, range.upperBound)
        while low < high {
            let middle = (low + high) / 2
            if condition(strings.bytes[strings.range(middle).lowerBound + depth]) {
                high = middle
            } else {
                low = middle + 1
            }
        }
        return low
    }
}
