/// What the engine never exceeds.
public struct EngineLimits: Sendable, Equatable {
    /// Positions per sequence where neither the request nor the model says fewer.
    public var defaultContextLength = 8192
    /// Sequences that run together where the request does not say: at most, and at least, however small the cache is.
    public var defaultParallel = 64
    public var leastParallel = 8
    public var maximumParallel = 256
    /// Sequences of the whole context that the cache has room for where the request does not say how many run together.
    public var defaultWholeSequences = 8
    /// Blocks of the cache, at most.
    public var cacheBlocks = 1 << 20
    public var maximumThreads = 256
    /// Sequences that wait for a slot.
    public var waitingSequences = 512
    /// Choices of one call, over all its inputs.
    public var sequencesPerCall = 256
    public var stopStrings = 64
    public var stopStringBytes = 4096
    public var stopTokens = 1024
    /// Log-probabilities that one request may make: those of all tokens of all choices, rivals included.
    public var logProbabilities = 2 << 20
    /// Bytes of one text to tokenize for a generation.
    public var promptBytes = 32 << 20
    /// Bytes of a text to score.
    public var scoreBytes = 64 << 20
    /// Prefill rows of a step: alone, and beside streams before any step was measured.
    public var prefillRows = 256
    public var prefillRowsBesideDecoding = 64
    /// Beside streams prefill may add so many hundredths of their time to a step, and computes at least so many rows or some
    /// layers of them: one and two take the same time, which is that of reading the keys and values.
    public var prefillPercentBesideDecoding = 75
    public var leastPrefillRows = 2
    /// Draft tokens of one sequence in one step.
    public var draftTokens = 7
    /// Bytes of logits that scored text and drafts may need in one step.
    public var scoreLogitsBytes = 16 << 20
    /// Bytes of rows that one sequence gives away in one step: they leave as one event.
    public var tensorBytesPerStep = 8 << 20
    /// Sessions that are open.
    public var sessions = 1024
    /// What all of them keep: tokens, rows of embeddings, and the text and the messages of chats.
    public var sessionBytes = 64 << 20
    /// Memory that is left for everything but weights and cache when a context length is chosen.
    public var reservedBytes: UInt64 = 64 << 20

    public init() {}
}
