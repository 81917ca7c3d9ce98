/// What logs and metrics may cost.
public struct ObservabilityLimits: Sendable, Equatable {
    /// Longest line that is taken from a child's standard error; the rest of the line is cut off.
    public var lineBytes = 8192
    /// Lines of a child that are kept for a crash record.
    public var keptLines = 64
    /// Lines of a child that go into the log, per second and at once.
    public var linesPerSecond = 50.0
    public var lineBurst = 200
    /// Longest text field of a log line.
    public var fieldBytes = 16 << 10
    /// How long the log waits for its reader before it drops lines.
    public static let patienceMilliseconds: Int32 = 100
    /// Metric families in a registry, and label sets in a family.
    public var families = 256
    public var seriesPerFamily = 256

    public init() {}
}
