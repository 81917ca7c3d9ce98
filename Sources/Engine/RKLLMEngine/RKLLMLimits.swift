/// What the engine for the Rockchip runtime never exceeds.
public struct RKLLMLimits: Sendable, Equatable {
    /// Calls that wait for the one that runs.
    public var waitingCalls = 256
    /// Inputs times choices of one call; they run one after the other.
    public var runsPerCall = 64
    public var promptBytes = 4 << 20
    public var messages = 4096
    public var stopStrings = 64
    public var stopStringBytes = 4096
    public var stopTokens = 1024
    /// Inputs of one run of the runtime.
    public var batch: UInt8 = 100
    public var sessions = 4096
    public var adapters = 16
    /// Positions of an encoder's output.
    public var encoderTokens = 65536
    public var nameBytes = 256
    /// A prompt cache that is read or written.
    public var promptCacheBytes: UInt64 = 4 << 30
    /// How long a model may take to be loaded again, if that is more than four times the first time.
    public var reloadNanoseconds: UInt64 = 60_000_000_000
    /// Positions that the runtime's tools convert models for, at most.
    public var contextLength = 16384
    /// Columns of a matrix; a runtime that tells of more is not believed.
    public var columns = 1 << 20
    /// Bytes of rows that leave as one event.
    public var tensorBytesPerEvent = 8 << 20
    /// Between two aborts of a run that does not end.
    public var abortNanoseconds: UInt64 = 250_000_000
    /// How long the end of the worker waits for the end of a run.
    public var stopNanoseconds: UInt64 = 300_000_000
    /// Of what the runtime printed last, for an error.
    public var logLines = 4
    public var logLineBytes = 512
    /// After so long a refused request may be tried again.
    public var retryAfterMilliseconds: UInt32 = 1000

    public init() {}
}
