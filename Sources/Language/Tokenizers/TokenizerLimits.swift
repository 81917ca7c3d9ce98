/// What a tokenizer accepts at most.
public struct TokenizerLimits: Sendable {
    /// Tokens of a vocabulary.
    public var tokens = 4_194_304
    /// Merges of a vocabulary.
    public var merges = 8_388_608
    /// Bytes of one token.
    public var tokenBytes = 65_536
    /// Bytes of all tokens or of all merges together.
    public var vocabularyBytes = 256 << 20
    /// Bytes of a token that is searched for in texts (control and user-defined tokens).
    public var specialTokenBytes = 1024
    /// Bytes of a text to encode.
    public var textBytes = 64 << 20
    /// Bytes of a part of a text in which any neighbours may merge, such as a run of letters.
    public var wordBytes = 4 << 20
    /// Backtracking steps of one match of a pre-tokenizer's pattern.
    public var patternSteps: UInt32 = 200_000_000
    /// Memory of one match of a pre-tokenizer's pattern, in KiB.
    public var patternKibibytes: UInt32 = 65_536

    public init() {}

    func checkWord(_ range: Range<Int>) throws(TokenizerError) {
        guard range.count <= wordBytes else {
            throw .limitExceeded(
                what: "the length in bytes of a part of the text without a border between words", limit: wordBytes,
                value: range.count)
        }
    }
}
