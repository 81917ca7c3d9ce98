/// What a document may cost before the reader refuses it.
public struct JSONLimits: Sendable, Equatable {
    /// Deepest nesting of arrays and objects; values above 512 count as 512, because the reader recurses.
    public var depth: Int
    /// Longest document, in bytes.
    public var bytes: Int
    /// Most values in one document, containers included: it bounds memory, which costs about 24 bytes a value.
    public var values: Int

    public init(depth: Int = 128, bytes: Int = 32 << 20, values: Int = 1 << 20) {
        self.depth = min(depth, 512)
        self.bytes = bytes
        self.values = values
    }
}

/// What the reader does when an object names a member twice.
///
/// Two readers that pick different members see two different requests, so doors refuse such objects.
public enum DuplicateKeys: Sendable {
    case reject
    /// The last value stands, at the place of the first.
    case lastWins
}
