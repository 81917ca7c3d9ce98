import Platform
import Synchronization

/// Standard error, one line at a time.
public struct StandardErrorSink: LogSink {
    private static let sink = DescriptorSink(StandardIO.error)

    public init() {}

    public func write(line: [UInt8]) { Self.sink.write(line: line) }

    public func takeDroppedLines() -> Int { Self.sink.takeDroppedLines() }
}

/// A descriptor whose reader may stop reading without stopping the program.
///
/// The first line that is not taken waits a moment; it is dropped, and so are the next ones, without waiting, until the
/// descriptor takes something again.
final class DescriptorSink: LogSink {
    private struct State {
        var droppedLines = 0
        /// The last line was cut off in the middle.
        var isTorn = false
    }

    private let descriptor: Int32
    private let state = Mutex(State())

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    func write(line: [UInt8]) {
        state.withLock { state in
            let bytes = state.isTorn ? [0x0A] + line : line
            let patience = state.droppedLines == 0 ? ObservabilityLimits.patienceMilliseconds : 0
            // A line that cannot be written, as on a full disk, is lost: there is nowhere left to say so.
            guard let written = try? StandardIO.write(descriptor, bytes, patienceMilliseconds: patience) else { return }
            if written > 0 { state.isTorn = written < bytes.count }
            if written < bytes.count { state.droppedLines += 1 }
        }
    }

    /// How many lines were dropped, once there is a chance that somebody reads of it.
    func takeDroppedLines() -> Int {
        state.withLock { state in
            guard state.droppedLines > 0, StandardIO.isWritable(descriptor) else { return 0 }
            defer { state.droppedLines = 0 }
            return state.droppedLines
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
