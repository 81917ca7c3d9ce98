/// The last lines of something that writes many.
public struct LineRing: Sendable {
    private var kept: [[UInt8]] = []
    private var oldest = 0
    public let capacity: Int
    public let lineBytes: Int

    /// - Parameters:
    ///   - capacity: lines that are kept, at least 1.
    ///   - lineBytes: longer lines are cut.
    public init(
        capacity: Int = ObservabilityLimits().keptLines, lineBytes: Int = ObservabilityLimits().lineBytes
    ) {
        self.capacity = max(1, capacity)
        self.lineBytes = lineBytes
    }

    public mutating func append(_ line: [UInt8]) {
        let line = line.count > lineBytes ? Array(line[..<lineBytes]) : line
        if kept.count < capacity {
            kept.append(line)
        } else {
            kept[oldest] = line
            oldest = (oldest + 1) % capacity
        }
    }

    /// The lines, oldest first.
    ///
    /// Bytes that are no UTF-8 show as U+FFFD.
    public var lines: [String] {
        (kept[oldest...] + kept[..<oldest]).map { String(decoding: $0, as: UTF8.self) }
    }
}
