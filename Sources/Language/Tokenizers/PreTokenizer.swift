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

    /// The ends of the words of `text[range]`, in order; the last is the end of the range.
    ///
    /// Each pattern cuts the pieces that the one before it left.
    func wordEnds(_ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) throws(TokenizerError) -> [Int] {
        let matcher = try Matcher(limits: limits)
        var ends = [range.upperBound]
        for pattern in patterns {
            var finer: [Int] = []
            finer.reserveCapacity(max(ends.count, range.count / 4))
            var start = range.lowerBound
            for end in ends {
                try pattern.cut(text, start..<end, with: matcher, into: &finer)
                start = end
            }
            ends = finer
        }
        return ends
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
