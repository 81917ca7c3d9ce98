/// Cuts text into words, each of which is merged by itself: the named rules of byte-level vocabularies.
struct PreTokenizer: Sendable {
    private let patterns: [Pattern]
    /// A word that is a token is that token, even if the merges would give something else.
    let wholeWordsFirst: Bool
    /// Whether the vocabularies with these rules put a BOS token first when the file says nothing.
    let addsBeginOfSequence: Bool
    private let limits: TokenizerLimits

    /// The rules named `name` in `tokenizer.ggml.pre`.
    init(named name: String, limits: TokenizerLimits) throws(TokenizerError) {
        guard let rules = PreTokenizerRules.named(name) else {
            throw .unsupported(feature: "pre-tokenizer", name: name)
        }
        var patterns: [Pattern] = []
        for expression in rules.patterns { patterns.append(try Pattern(Self.withExactSpaces(expression))) }
        self.patterns = patterns
        wholeWordsFirst = rules.wholeWordsFirst
        addsBeginOfSequence = rules.addsBeginOfSequence
        self.limits = limits
    }

    /// The words of `text[range]`, in order.
    func words(of text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) throws(TokenizerError) -> Words {
        Words(patterns, text, range, try Matcher(limits: limits))
    }

    /// Writes `\s` and `\S` as exactly Unicode's White_Space.
    ///
    /// PCRE2's own `\s` also takes U+180E, which has not been white space since Unicode 6.3.
    static func withExactSpaces(_ expression: String) -> String {
        let spaces = #"\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"#
        var result = ""
        var isInClass = false
        var characters = expression.unicodeScalars.makeIterator()
        while let character = characters.next() {
            switch character {
            case "\\":
                switch characters.next() {
                case "s": result += isInClass ? spaces : "[\(spaces)]"
                case "S" where !isInClass: result += "[^\(spaces)]"
                case let escaped?: result += "\\" + String(escaped)
                case nil: result += "\\"
                }
                continue
            case "[": isInClass = true
            case "]": isInClass = false
            default: break
            }
            result.unicodeScalars.append(character)
        }
        return result
    }
}

/// Finds the words of a text one after the other: each pattern cuts the pieces that the one before it left.
///
/// A pattern cuts a piece at the borders of all its matches, as if nothing stood around the piece: into the matches and
/// what lies between them. Only one piece per pattern is kept.
struct Words: ~Copyable {
    /// A piece that a pattern is cutting.
    private struct Piece {
        let range: Range<Int>
        /// Up to here it is cut.
        var position: Int
        /// A match that was found already, after the part that was given out last.
        var match: Range<Int>?

        init(_ range: Range<Int>) {
            self.range = range
            position = range.lowerBound
        }
    }

    private let patterns: [Pattern]
    private let text: UnsafeBufferPointer<UInt8>
    private let matcher: Matcher
    /// One for each pattern that is at work: the second cuts a part of the first one's piece, and so on.
    private var pieces: [Piece]

    fileprivate init(
        _ patterns: [Pattern], _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ matcher: consuming Matcher
    ) {
        self.patterns = patterns
        self.text = text
        self.matcher = matcher
        pieces = [Piece(range)]
    }

    /// The next word; nil after the last.
    mutating func next() throws(TokenizerError) -> Range<Int>? {
        while let piece = pieces.last {
            if piece.position == piece.range.upperBound {
                pieces.removeLast()
                continue
            }
            let part = try nextPart()
            if pieces.count == patterns.count { return part }
            pieces.append(Piece(part))
        }
        return nil
    }

    /// Cuts the next part off the last piece.
    private mutating func nextPart() throws(TokenizerError) -> Range<Int> {
        let level = pieces.count - 1
        let piece = pieces[level]
        let match = if let match = piece.match { match } else { try firstMatch(in: piece, by: patterns[level]) }
        let isGap = match.lowerBound > piece.position
        let part = isGap ? piece.position..<match.lowerBound : match
        pieces[level].position = part.upperBound
        pieces[level].match = isGap ? match : nil
        return part
    }

    /// The next match, or without one the rest of the piece.
    private func firstMatch(in piece: Piece, by pattern: Pattern) throws(TokenizerError) -> Range<Int> {
        let start = piece.range.lowerBound
        let found = try pattern.firstMatch(
            in: UnsafeBufferPointer(rebasing: text[piece.range]), from: piece.position - start, with: matcher)
        // No pattern in use matches the empty text; if one did, it must not hold the loop.
        guard let found, !found.isEmpty else { return piece.position..<piece.range.upperBound }
        return start + found.lowerBound..<start + found.upperBound
    }
}
