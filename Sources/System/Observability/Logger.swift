public import Platform
import Synchronization

/// Takes finished lines, on any thread.
public protocol LogSink: Sendable {
    func write(line: [UInt8])
    /// How many lines were dropped since the last time because nobody took them.
    func takeDroppedLines() -> Int
}

extension LogSink {
    public func takeDroppedLines() -> Int { 0 }
}

/// Writes structured events of one component.
///
/// One event is one line. A value type that is handed to whoever logs: it may be used on any thread. An event below the
/// level costs a comparison. The level belongs to all copies together.
public struct Logger: Sendable {
    public var component: String
    private let threshold: Threshold
    public var format: LogFormat
    private let sink: any LogSink
    private let clock: @Sendable () -> UInt64
    private let limits: ObservabilityLimits

    /// - Parameter clock: Unix time in nanoseconds.
    public init(
        component: String, level: LogLevel = .info, sink: any LogSink = StandardErrorSink(),
        format: LogFormat = .json, limits: ObservabilityLimits = ObservabilityLimits(),
        clock: @escaping @Sendable () -> UInt64 = WallClock.now
    ) {
        self.component = component
        threshold = Threshold(level)
        self.format = format
        self.sink = sink
        self.limits = limits
        self.clock = clock
    }

    /// The least level that is written.
    public var level: LogLevel { threshold.level }

    /// Changes the level of this log and of everyone who got it from here.
    public func setLevel(_ level: LogLevel) { threshold.level = level }

    /// The same log under another component's name.
    public func named(_ name: String) -> Logger {
        var copy = self
        copy.component = name
        return copy
    }

    public func trace(_ event: StaticString, _ fields: LogField..., requestID: String? = nil) {
        log(.trace, event, fields, requestID: requestID)
    }

    public func debug(_ event: StaticString, _ fields: LogField..., requestID: String? = nil) {
        log(.debug, event, fields, requestID: requestID)
    }

    public func info(_ event: StaticString, _ fields: LogField..., requestID: String? = nil) {
        log(.info, event, fields, requestID: requestID)
    }

    public func warning(_ event: StaticString, _ fields: LogField..., requestID: String? = nil) {
        log(.warning, event, fields, requestID: requestID)
    }

    public func error(_ event: StaticString, _ fields: LogField..., requestID: String? = nil) {
        log(.error, event, fields, requestID: requestID)
    }

    public func log(_ level: LogLevel, _ event: StaticString, _ fields: [LogField], requestID: String? = nil) {
        guard level >= self.level else { return }
        write(
            LogRecord(
                time: clock(), level: level, component: component, event: event.description, requestID: requestID,
                fields: fields))
    }

    /// Passes on a line from the standard error of a worker.
    ///
    /// A log line keeps its time, level and component and takes this log's format; anything else, such as the last
    /// words of a crash, becomes the text of a warning.
    public func relay(line: [UInt8], _ fields: LogField...) {
        var record =
            LogRecord(line: line, receivedAt: clock())
            ?? LogRecord(
                time: clock(), level: .warning, component: component, event: "worker.stderr",
                fields: [.string("text", String(decoding: line, as: UTF8.self))])
        guard record.level >= level else { return }
        record.fields += fields
        write(record)
    }

    private func write(_ record: LogRecord) {
        let dropped = sink.takeDroppedLines()
        if dropped > 0 {
            let loss = LogRecord(
                time: record.time, level: .warning, component: component, event: "log.lines_dropped",
                fields: [.int("lines", dropped)])
            sink.write(line: format.line(loss, fieldBytes: limits.fieldBytes))
        }
        sink.write(line: format.line(record, fieldBytes: limits.fieldBytes))
    }
}

/// A level that may change while other threads log.
private final class Threshold: Sendable {
    private let index: Atomic<Int>

    init(_ level: LogLevel) { index = Atomic(level.rawValue) }

    var level: LogLevel {
        get { LogLevel(rawValue: index.load(ordering: .relaxed)) ?? .info }
        set { index.store(newValue.rawValue, ordering: .relaxed) }
    }
}
