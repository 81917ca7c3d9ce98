/// Bounds of this room: a template comes from a model file or from a client, so it is hostile until rendered.
public struct TemplateLimits: Sendable, Equatable {
    /// Bytes of the template's source.
    public var sourceBytes = 1 << 20
    /// Brackets, operators and blocks inside each other in the source.
    public var nesting = 64
    /// Expressions, blocks, calls and containers inside each other while rendering.
    ///
    /// With the parser's `nesting` sized so that a 512 KiB stack is enough in a debug build.
    public var depth = 180
    /// Lists and maps inside each other.
    public var valueDepth = 150
    /// Units of work: one for each operation and each element made, and one for each 64 bytes of text made or searched.
    public var steps = 4_000_000
    /// Bytes of the result, and of any string on the way.
    public var outputBytes = 32 << 20
    /// Items of a `range`.
    public var rangeItems = 100_000

    public init() {}
}
