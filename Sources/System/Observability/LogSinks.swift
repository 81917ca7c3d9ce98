import Platform
import Synchronization

/// Standard error, one line at a time.
public struct StandardErrorSink: LogSink {
    private static let lock = Mutex(())

    public init() {}

    /// A line that cannot be written is lost: there is nowhere left to say so.
    public func write(line: [UInt8]) {
        Self.lock.withLock { _ in
            try? StandardIO.writeAll(StandardIO.error, line)
        }
    }
}

/// Keeps lines in memory: for tests.
public final class MemorySink: LogSink {
    private let stored = Mutex<[[UInt8]]>([])

    public init() {}

    public func write(line: [UInt8]) { stored.withLock { $0.append(line) } }

    /// The lines without their ends.
    public var lines: [String] {
        stored.withLock { lines in lines.map { String(decoding: $0.dropLast(), as: UTF8.self) } }
    }
}
