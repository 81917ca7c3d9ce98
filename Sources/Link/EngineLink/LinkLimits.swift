/// The bounds of one side of a link.
public struct LinkLimits: Sendable {
    /// Longer payloads travel as a sealed memory file instead of in the stream.
    public var inlinePayloadBytes = 256 << 10
    /// Bytes that wait for a peer that does not read; with more, the link counts as dead.
    public var outgoingBytes = 16 << 20
    /// Bytes in memory files that wait likewise.
    public var outgoingExternalBytes = 256 << 20
    /// Descriptors that were received and belong to a message that is not complete yet.
    public var incomingDescriptors = 256
    /// Bytes read from the socket at a time.
    public var readBytes = 64 << 10
    /// Reads before the loop's other work gets its turn.
    public var readsPerTurn = 16
    /// The same of a ring, whose records are smaller.
    public var recordsPerTurn = 256

    public init() {}
}
