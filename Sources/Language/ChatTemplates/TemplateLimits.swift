/// Bounds of this room: a template comes from a model file or from a client, so it is hostile until rendered.
public struct TemplateLimits: Sendable, Equatable {
    /// Bytes of the template's source.
    public var sourceBytes = 1 << 20
    /// Brackets, operators and blocks inside each other in the source.
    public var nesting = 64
    /// Expressions, blocks, calls and levels of a value inside each other while rendering.
    ///
    /// The templates of real models stay below 30. A level costs up to 4.5 KB of stack in a debug build, so that this
    /// many fit 512 KiB.
    public var depth = 100
    /// Lists and maps inside each other.
    public var valueDepth = 64
    /// Units of work: one for each operation and each element made, and one for each 64 bytes of text made or searched.
    public var steps = 4_000_000
    /// Bytes of the result, and of any string on the way.
    public var outputBytes = 32 << 20
    /// Items of a `range`.
    public var rangeItems = 100_000

    public init() {}
}
