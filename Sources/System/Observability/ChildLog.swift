/// Turns the bytes of a child's standard error into lines for the log and a record for a crash.
///
/// Pure: the caller reads the pipe and hands in bytes and time. Every line goes into the record; the log gets as many as
/// the rate allows, and a line of its own that counts those it did not get.
public struct ChildLog: Sendable {
    private let limits: ObservabilityLimits
    private var ring: LineRing
    private var limiter: RateLimiter
    private var partial: [UInt8] = []
    private var suppressed = 0

    public init(limits: ObservabilityLimits = ObservabilityLimits()) {
        self.limits = limits
        ring = LineRing(capacity: limits.keptLines, lineBytes: limits.lineBytes)
        limiter = RateLimiter(perSecond: limits.linesPerSecond, burst: limits.lineBurst)
    }

    /// The last lines, oldest first.
    public var lastLines: [String] { ring.lines }

    /// - Parameter now: monotonic clock, nanoseconds.
    public mutating func append(_ bytes: ArraySlice<UInt8>, now: UInt64, emit: ([UInt8]) -> Void) {
        var rest = bytes
        while let end = rest.firstIndex(of: 0x0A) {
            extend(rest[..<end])
            finishLine(now: now, emit: emit)
            rest = rest[(end + 1)...]
        }
        extend(rest)
    }

    /// Takes a last line that has no end.
    public mutating func finish(now: UInt64, emit: ([UInt8]) -> Void) {
        finishLine(now: now, emit: emit)
        reportSuppressed(emit)
    }

    private mutating func extend(_ bytes: ArraySlice<UInt8>) {
        partial += bytes.prefix(limits.lineBytes - partial.count)
    }

    private mutating func finishLine(now: UInt64, emit: ([UInt8]) -> Void) {
        if partial.last == 0x0D { partial.removeLast() }
        guard !partial.isEmpty else { return }
        ring.append(partial)
        if limiter.allow(now: now) {
            reportSuppressed(emit)
            emit(partial)
        } else {
            suppressed += 1
        }
        partial.removeAll(keepingCapacity: true)
    }

    private mutating func reportSuppressed(_ emit: ([UInt8]) -> Void) {
        guard suppressed > 0 else { return }
        emit(Array(#"{"level":"warning","event":"log.lines_dropped","lines":\#(suppressed)}"#.utf8))
        suppressed = 0
    }
}
