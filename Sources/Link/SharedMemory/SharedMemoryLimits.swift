/// The bounds of a shared-memory connection; both sides know them, they are part of the agreement.
public enum SharedMemoryLimits {
    /// Bytes of a ring, a power of two: the least, the most, and what is asked for by default.
    public static let smallestCapacity = 16 << 10
    public static let largestCapacity = 4 << 20
    public static let defaultCapacity = 256 << 10
    /// Bytes of a record's body: a message is at least its header.
    public static let smallestBody = 24
    /// Bytes of the longest message, in a record or in a memory file.
    public static let messageBytes = 64 << 20
    /// Payload files that were sent and whose record has not been consumed.
    public static let waitingFiles = 16
    /// Bytes of a client's token.
    public static let tokenBytes = 4096
    /// Bytes of the words with which a server refuses a client.
    public static let refusalTextBytes = 255
    /// From the connection to the agreement.
    public static let handshakeMilliseconds = 1_000

    /// The longest body that a ring of this capacity carries: a record is at most a quarter of it.
    public static func largestBody(capacity: Int) -> Int { capacity / 4 - SegmentLayout.prefixBytes }

    static func isCapacity(_ value: Int) -> Bool {
        value >= smallestCapacity && value <= largestCapacity && value & (value - 1) == 0
    }
}
