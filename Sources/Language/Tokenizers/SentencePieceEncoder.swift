/// SentencePiece BPE: of all neighbours whose joined text is a token, those with the best score are merged first.
///
/// What no token stands for becomes byte tokens, or without them the unknown token.
final class SentencePieceEncoder: Sendable {
    /// U+2581, which stands for a space.
    static let space: [UInt8] = [0xE2, 0x96, 0x81]

    private let vocabulary: Vocabulary
    /// By id: lower is merged first.
    private let ranks: [UInt32]
    private let unknown: Int32?
    private let addsSpacePrefix: Bool
    private let removesExtraSpaces: Bool
    /// No token has a space after something else: then no merge crosses the begin of a word.
    private let wordsAreApart: Bool
    private let hasAllBytes: Bool

    private let limits: TokenizerLimits

    init(
        _ vocabulary: Vocabulary, _ definition: TokenizerDefinition, limits: TokenizerLimits
    ) throws(TokenizerError) {
        guard definition.scores.count == vocabulary.count else {
            throw .malformed(
                key: "tokenizer.ggml.scores",
                reason: "it has \(definition.scores.count) entries for \(vocabulary.count) tokens")
        }
        if let index = definition.scores.firstIndex(where: \.isNaN) {
            throw .malformed(key: "tokenizer.ggml.scores", reason: "entry \(index) is not a number")
        }
        self.vocabulary = vocabulary
        self.limits = limits
        ranks = definition.scores.map(Self.rank)
        unknown = definition.unknown.map(Int32.init)
        addsSpacePrefix = definition.addsSpacePrefix ?? true
        removesExtraSpaces = definition.removesExtraSpaces
        hasAllBytes = vocabulary.byteTokens.allSatisfy { $0 >= 0 }
        wordsAreApart = (0..<vocabulary.count).allSatisfy { id in
            Self.wordStarts(vocabulary.strings[id]).allSatisfy { $0 == vocabulary.strings[id].startIndex }
        }
    }

    /// Turns a score into a number that is lower for higher scores, in the same order.
    private static func rank(_ score: Float) -> UInt32 {
        let bits = (score + 0).bitPattern
        return bits >> 31 == 0 ? ~(bits | 0x8000_0000) : bits
    }

    /// Where a space follows something that is no space, or begins the bytes.
    private static func wordStarts(_ bytes: ArraySlice<UInt8>) -> [Int] {
        var starts: [Int] = []
        var index = bytes.startIndex
        var followsSpace = false
        while index < bytes.endIndex {
            let isSpace = bytes[index...].starts(with: space)
            if isSpace, !followsSpace { starts.append(index) }
            followsSpace = isSpace
            index += isSpace ? space.count : 1
        }
        return starts
    }

    // MARK: encoding

    /// The working memory of one text.
    struct Session {
        /// All parts, normalised, one after the other: what the cache remembers stays where it is.
        fileprivate var normalized: [UInt8] = []
        fileprivate var cache: WordCache
        fileprivate var merging = PairMerging()

        init(textBytes: Int) {
            cache = WordCache(textBytes: textBytes)
            normalized.reserveCapacity(textBytes + textBytes / 2)
        }
    }

    /// Appends the tokens of `text[range]`, a part without special tokens; `followsToken`: it begins the text or follows one.
    func encode(
        _ range: Range<Int>, of text: UnsafeBufferPointer<UInt8>, followsToken: Bool, _ session: inout Session,
        into ids: inout [Int32]
    ) throws(TokenizerError) {
        var position = session.normalized.count
        normalize(text, range, prefix: addsSpacePrefix && followsToken, into: &session.normalized)
        try session.normalized.withUnsafeBufferPointer { (normalized) throws(TokenizerError) in
            while position < normalized.count {
                let word = position..<(wordsAreApart ? wordEnd(normalized, position) : normalized.count)
                position = word.upperBound
                if session.cache.recall(normalized.span, word, into: &ids) { continue }
                try limits.checkWord(word)
                let firstToken = ids.count
                encode(word, of: normalized, &session.merging, into: &ids)
                session.cache.remember(normalized.span, word, ids, from: firstToken)
            }
        }
    }

    /// Writes spaces as U+2581, with one more before the text if `prefix`.
    private func normalize(
        _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, prefix: Bool, into result: inout [UInt8]
    ) {
        var range = range
        if removesExtraSpaces {
            while let first = range.first, text[first] == 0x20 { range = range.dropFirst() }
            while let last = range.last, text[last] == 0x20 { range = range.dropLast() }
        }
        guard !range.isEmpty else { return }
        if prefix { result.append(contentsOf: Self.space) }
        for index in range {
            if text[index] != 0x20 {
                result.append(text[index])
            } else if !removesExtraSpaces || text[index - 1] != 0x20 {
                result.append(contentsOf: Self.space)
            }
        }
    }

    /// Where the word that begins at `start` ends: before the next space that follows something else.
    private func wordEnd(_ text: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int {
        var index = start
        while isSpace(text, index) { index += Self.space.count }
        while index < text.count, !isSpace(text, index) { index += 1 }
        return index
    }

    private func isSpace(_ text: UnsafeBufferPointer<UInt8>, _ index: Int) -> Bool {
        index + 2 < text.count && text[index] == 0xE2 && text[index + 1] == 0x96 && text[index + 2] == 0x81
    }

    private func encode(
        _ word: Range<Int>, of text: UnsafeBufferPointer<UInt8>, _ merging: inout PairMerging, into ids: inout [Int32]
    ) {
        merge(word, of: text, &merging, usesUnused: true)
        guard merging.symbols.contains(where: { $0.id >= 0 && vocabulary.types[Int($0.id)] == .unused }) else {
            return append(merging.symbols, of: text, into: &ids)
        }
        // Unused tokens only lead to longer ones: where one is left, its text is encoded without them.
        for symbol in merging.symbols {
            if symbol.id >= 0, vocabulary.types[Int(symbol.id)] == .unused {
                merge(Int(symbol.start)..<Int(symbol.start + symbol.length), of: text, &merging, usesUnused: false)
                append(merging.symbols, of: text, into: &ids)
            } else {
                append([symbol], of: text, into: &ids)
            }
        }
    }

    private func merge(
        _ range: Range<Int>, of text: UnsafeBufferPointer<UInt8>, _ merging: inout PairMerging, usesUnused: Bool
    ) {
        let rule = JoinedTexts(vocabulary: vocabulary, ranks: ranks, text: text, usesUnused: usesUnused)
        merging.symbols.removeAll(keepingCapacity: true)
        var index = range.lowerBound
        while index < range.upperBound {
            let length = min(Self.characterLength(text[index]), range.upperBound - index)
            merging.symbols.append(
                Symbol(id: rule.token(index..<index + length), start: Int32(index), length: Int32(length)))
            index += length
        }
        merging.merge(by: rule)
    }

    /// Bytes of a character of valid UTF-8, by its first byte.
    private static func characterLength(_ first: UInt8) -> Int {
        first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
    }

    private func append(_ symbols: [Symbol], of text: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
        var followsUnknown = false
        for symbol in symbols {
            if symbol.id >= 0 {
                ids.append(symbol.id)
                followsUnknown = false
            } else if hasAllBytes {
                for index in Int(symbol.start)..<Int(symbol.start + symbol.length) {
                    ids.append(vocabulary.byteTokens[Int(text[index])])
                }
            } else if let unknown, !followsUnknown {
                // A run of unknown characters is one unknown token.
                ids.append(unknown)
                followsUnknown = true
            }
        }
    }
}

private struct JoinedTexts: MergeRule {
    let vocabulary: Vocabulary
    let ranks: [UInt32]
    let text: UnsafeBufferPointer<UInt8>
    let usesUnused: Bool

    func token(_ range: Range<Int>) -> Int32 {
        let id = vocabulary.find(text.span, range)
        return id >= 0 && !usesUnused && vocabulary.types[Int(id)] == .unused ? -1 : id
    }

    func merge(_ left: Symbol, _ right: Symbol) -> Merge {
        let id = token(Int(left.start)..<Int(right.start + right.length))
        return id < 0 ? .none : Merge(rank: ranks[Int(id)], id: id)
    }
}
