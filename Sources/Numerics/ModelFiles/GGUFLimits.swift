/// Bounds on what the reader of GGUF files accepts.
public struct GGUFLimits: Sendable {
    /// Parts of one split model.
    public var parts = 1024
    /// Metadata entries of one part.
    public var metadataEntries = 65_536
    /// Bytes from the start of a part to the end of its tensor table.
    public var headerBytes = 1 << 30
    /// Bytes of one metadata key.
    public var keyBytes = 65_535
    /// Bytes of one metadata string.
    public var stringBytes = 64 << 20
    /// How deep arrays may hold arrays.
    public var arrayDepth = 4
    /// Arrays inside arrays, in one part.
    public var nestedArrays = 65_536
    /// Tensors of one part.
    public var tensors = 262_144
    /// Bytes of one tensor's name.
    public var tensorNameBytes = 1024
    /// Largest accepted `general.alignment`.
    public var alignment = 65_536
    /// Elements of arrays that `describeJSON` prints; longer ones are summarised.
    public var describedElements = 8
    /// Bytes of a string that `describeJSON` prints; longer ones are summarised.
    public var describedStringBytes = 32_768

    public init() {}
}
