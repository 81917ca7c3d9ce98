/// What the worker host never exceeds.
public struct WorkerLimits: Sendable, Equatable {
    /// Requests that wait for the preparation thread.
    public var waitingRequests = 256
    /// Bytes of text and ids in these requests.
    public var waitingBytes = 64 << 20
    /// After so long a refused request may be tried again.
    public var retryAfterMilliseconds: UInt32 = 1000
    /// Between two snapshots of the statistics.
    public var statisticsIntervalNanoseconds: UInt64 = 250_000_000
    /// Stack of the preparation thread: templates and JSON nest as deep as their limits allow.
    public var preparationStackBytes = 2 << 20
    /// Bytes of one tool call, held back until it is whole; a longer one is content.
    public var toolCallBytes = 256 << 10
    /// Parts of a split model.
    public var modelFiles = 512

    public init() {}
}
