/// Byte-level BPE: words by pattern, then the listed pairs of tokens merged, first listed first.
final class ByteLevelEncoder: Sendable {
    private let vocabulary: Vocabulary
    private let merges: MergeTable
    private let preTokenizer: PreTokenizer
    private let limits: TokenizerLimits

    init(
        _ vocabulary: Vocabulary, _ definition: TokenizerDefinition, limits: TokenizerLimits
    ) throws(TokenizerError) {
        self.vocabulary = vocabulary
        self.limits = limits
        preTokenizer = try PreTokenizer(named: definition.preTokenizer, limits: limits)
        merges = try Self.mergeTable(definition.merges, vocabulary)
    }

    /// Whether vocabularies with these rules put a BOS token first when the file says nothing.
    var addsBeginOfSequence: Bool { preTokenizer.addsBeginOfSequence }

    private static func mergeTable(
        _ list: ByteStrings, _ vocabulary: Vocabulary
    ) throws(TokenizerError) -> MergeTable {
        func malformed(_ index: Int, _ reason: String) -> TokenizerError {
            .malformed(key: "tokenizer.ggml.merges", reason: "entry \(index) \(reason)")
        }
        var merges = MergeTable(capacity: list.count)
        var bytes: [UInt8] = []
        for index in 0..<list.count {
            let written = list[index]
            // A token may begin with a space, but not be empty.
            guard let space = written.dropFirst().firstIndex(of: UInt8(ascii: " ")), space + 1 < written.endIndex else {
                throw malformed(index, "is not a pair")
            }
            bytes.removeAll(keepingCapacity: true)
            appendBytes(of: written[..<space], to: &bytes)
            let border = bytes.count
            appendBytes(of: written[(space + 1)...], to: &bytes)
            let left = vocabulary.find(bytes.span, 0..<border)
            let right = vocabulary.find(bytes.span, border..<bytes.count)
            let merged = vocabulary.find(bytes.span, 0..<bytes.count)
            guard left >= 0, right >= 0, merged >= 0 else {
                throw malformed(index, "names a token that is not in the vocabulary")
            }
            merges.insert(left: left, right: right, rank: UInt32(index), merged: merged)
        }
        return merges
    }

    private static func appendBytes(of written: ArraySlice<UInt8>, to bytes: inout [UInt8]) {
        if !ByteAlphabet.decode(written, into: &bytes) { bytes.append(contentsOf: written) }
    }

    /// The working memory of one text.
    struct Session {
        fileprivate var cache: WordCache
        fileprivate var merging = PairMerging()

        init(textBytes: Int) { cache = WordCache(textBytes: textBytes) }
    }

    /// Appends the tokens of `text[range]`, a part without special tokens.
    ///
    /// A byte that the vocabulary has no token for is left out, as the models' own tokenizers do.
    func encode(
        _ range: Range<Int>, of text: UnsafeBufferPointer<UInt8>, _ session: inout Session, into ids: inout [Int32]
    ) throws(TokenizerError) {
        var words = try preTokenizer.words(of: text, range)
        while let word = try words.next() {
            if session.cache.recall(text.span, word, into: &ids) { continue }
            let firstToken = ids.count
            try encode(word: word, of: text.span, &session.merging, into: &ids)
            session.cache.remember(text.span, word, ids, from: firstToken)
        }
    }

    private func encode(
        word: Range<Int>, of text: borrowing Span<UInt8>, _ merging: inout PairMerging, into ids: inout [Int32]
    ) throws(TokenizerError) {
        if preTokenizer.wholeWordsFirst {
            let whole = vocabulary.find(text, word)
            if whole >= 0 { return ids.append(whole) }
        }
        try limits.checkWord(word)
        merging.symbols.removeAll(keepingCapacity: true)
        for index in word {
            merging.symbols.append(
                Symbol(id: vocabulary.byteTokens[Int(text[index])], start: Int32(index), length: 1))
        }
        merging.merge(by: ListedPairs(merges: merges))
        for symbol in merging.symbols where symbol.id >= 0 { ids.append(symbol.id) }
    }
}

private struct ListedPairs: MergeRule {
    let merges: MergeTable

    func merge(_ left: Symbol, _ right: Symbol) -> Merge { merges.find(left: left.id, right: right.id) }
}
