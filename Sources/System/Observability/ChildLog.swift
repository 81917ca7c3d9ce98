/// The log of a child process as it comes through a pipe: cut into lines, limited in length and rate, the end kept.
///
/// A worker that writes without measure costs the gateway neither memory nor log space: lines beyond the rate are counted
/// and the count is told once there is room again.
public struct ChildLog: Sendable {
    public static let lineBytesLimit = 8 << 10
    /// Kept for the record of a crash.
    public static let keptLines = 64

    private var partial: [UInt8] = []
    private var isCut = false
    private var ring = LineRing(capacity: Self.keptLines)
    private var rate: RateLimiter
    private var suppressed = 0

    public init(linesPerSecond: Double = 100, burst: Double = 200) {
        rate = RateLimiter(perSecond: linesPerSecond, burst: burst)
    }

    /// The last lines, oldest first, whether they were passed on or not.
    public var lastLines: [String] { ring.lines }

    /// - Parameters:
    ///   - now: monotonic clock, nanoseconds.
    ///   - emit: gets each line that is within the rate.
    public mutating func append(_ bytes: some Sequence<UInt8>, now: UInt64, emit: (String) -> Void) {
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                finishLine(now: now, emit: emit)
            } else if partial.count < Self.lineBytesLimit {
                partial.append(byte)
            } else {
                isCut = true
            }
        }
    }

    private mutating func finishLine(now: UInt64, emit: (String) -> Void) {
        defer {
            partial.removeAll(keepingCapacity: true)
            isCut = false
        }
        guard !partial.isEmpty else { return }
        let line = String(decoding: partial, as: UTF8.self) + (isCut ? " [cut]" : "")
        ring.append(line)
        guard rate.allows(now: now) else {
            suppressed += 1
            return
        }
        if suppressed > 0 {
            emit("\(suppressed) lines were left out: more than the rate allows")
            suppressed = 0
        }
        emit(line)
    }
}

/// The last lines of something that goes on.
public struct LineRing: Sendable {
    private let capacity: Int
    private var stored: [String] = []
    private var next = 0

    public init(capacity: Int) { self.capacity = max(capacity, 1) }

    public mutating func append(_ line: String) {
        if stored.count < capacity {
            stored.append(line)
        } else {
            stored[next] = line
            next = (next + 1) % capacity
        }
    }

    /// Oldest first.
    public var lines: [String] { Array(stored[next...] + stored[..<next]) }
}

/// A token bucket. The clock is handed in.
public struct RateLimiter: Sendable {
    private let perNanosecond: Double
    private let burst: Double
    private var available: Double
    private var last: UInt64?

    public init(perSecond: Double, burst: Double) {
        perNanosecond = perSecond / 1e9
        self.burst = burst
        available = burst
    }

    /// Takes one token if there is one.
    ///
    /// - Parameter now: monotonic clock, nanoseconds.
    public mutating func allows(now: UInt64) -> Bool {
        if let last, now > last { available = min(burst, available + Double(now - last) * perNanosecond) }
        last = now
        guard available >= 1 else { return false }
        available -= 1
        return true
    }
}
