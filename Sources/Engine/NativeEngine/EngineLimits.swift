/// What the engine never exceeds.
public struct EngineLimits: Sendable, Equatable {
    /// Positions per sequence where neither the request nor the model says fewer.
    public var defaultContextLength = 8192
    /// Sequences that decode together, where the request does not say.
    public var defaultParallel = 8
    public var maximumParallel = 256
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
    /// Prefill rows of a step: alone, and beside streams.
    public var prefillRows = 256
    public var prefillRowsBesideDecoding = 64
    /// Bytes of logits that a step of scored text may need.
    public var scoreLogitsBytes = 4 << 20
    /// Memory that is left for everything but weights and cache when a context length is chosen.
    public var reservedBytes: UInt64 = 64 << 20

    public init() {}
}
