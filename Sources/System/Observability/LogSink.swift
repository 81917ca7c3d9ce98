import Platform
import Synchronization

/// Where finished lines go.
public protocol LogSink: Sendable {
    func write(line: [UInt8])
}

/// Standard error. A line is one write, so that lines of several processes do not mix.
public struct StandardErrorSink: LogSink {
    public init() {}

    public func write(line: [UInt8]) {
        // Who does not read the log must not stop the server: an error here has nowhere to go.
        try? StandardIO.writeAll(StandardIO.error, line)
    }
}

/// Keeps lines in memory: for tests.
public final class MemorySink: LogSink {
    private let collected = Mutex<[String]>([])

    public init() {}

    public func write(line: [UInt8]) {
        collected.withLock { $0.append(String(decoding: line, as: UTF8.self)) }
    }

    public var lines: [String] { collected.withLock { $0 } }
}
