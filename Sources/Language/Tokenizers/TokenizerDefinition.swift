/// What a token is, by the numbers of the GGUF format.
public enum TokenType: UInt8, Sendable {
    case normal = 1
    /// Stands for text that the vocabulary cannot express.
    case unknown = 2
    /// Structure, such as the begin of a text: never made from plain text.
    case control = 3
    /// A text that is always one token, wherever it occurs.
    case userDefined = 4
    case unused = 5
    /// One byte, written `<0x0A>`.
    case byte = 6
}

/// How text becomes tokens.
public enum TokenizerKind: String, Sendable {
    /// SentencePiece BPE: the adjacent pair whose joined text has the best score is merged first (`llama`).
    case sentencePiece = "llama"
    /// Byte-level BPE: words found by a pattern, pairs merged in the order of a list (`gpt2`).
    case byteLevelBPE = "gpt2"
}

/// A tokenizer as a model file describes it, not yet checked: what `Tokenizer` is made from.
public struct TokenizerDefinition: Sendable {
    public var kind: TokenizerKind
    /// The name of the rules that cut text into words; byte-level BPE only.
    public var preTokenizer = "default"
    /// The tokens as the vocabulary writes them, by id.
    public var tokens: ByteStrings
    /// By id; empty if the file says nothing.
    public var types: [TokenType] = []
    /// By id, higher is merged first; SentencePiece only.
    public var scores: [Float] = []
    /// Pairs as the vocabulary writes them, two tokens with a space between, first merged first; byte-level BPE only.
    public var merges = ByteStrings()

    public var beginOfSequence: Int?
    public var endOfSequence: Int?
    public var unknown: Int?
    /// Further tokens that end an answer, such as end of turn.
    public var otherEnds: [Int] = []

    /// Nil: as is usual for the kind and the pre-tokenizer.
    public var addsBeginOfSequence: Bool?
    public var addsEndOfSequence: Bool?
    /// SentencePiece: text is encoded as if a space stood before it; nil means yes.
    public var addsSpacePrefix: Bool?
    /// SentencePiece: runs of spaces count as one, and spaces at either end as none.
    public var removesExtraSpaces = false
    /// The white space after control tokens belongs to them: Phi-3.
    public var controlTokensTakeFollowingSpace = false

    public init(kind: TokenizerKind, tokens: ByteStrings) {
        self.kind = kind
        self.tokens = tokens
    }
}
