import Platform

/// Writes one line per event.
public struct Logger: Sendable {
    public let component: String
    public let level: LogLevel
    private let format: LogFormat
    private let sink: any LogSink

    public init(component: String, level: LogLevel, format: LogFormat, sink: any LogSink = StandardErrorSink()) {
        self.component = component
        self.level = level
        self.format = format
        self.sink = sink
    }

    /// The same log under another name.
    public func named(_ component: String) -> Logger {
        Logger(component: component, level: level, format: format, sink: sink)
    }

    public func trace(_ event: StaticString, _ fields: LogField..., requestID: String? = nil) {
        log(.trace, event, fields, requestID)
    }

    public func debug(_ event: StaticString, _ fields: LogField..., requestID: String? = nil) {
        log(.debug, event, fields, requestID)
    }

    public func info(_ event: StaticString, _ fields: LogField..., requestID: String? = nil) {
        log(.info, event, fields, requestID)
    }

    public func warning(_ event: StaticString, _ fields: LogField..., requestID: String? = nil) {
        log(.warning, event, fields, requestID)
    }

    public func error(_ event: StaticString, _ fields: LogField..., requestID: String? = nil) {
        log(.error, event, fields, requestID)
    }

    private func log(_ level: LogLevel, _ event: StaticString, _ fields: [LogField], _ requestID: String?) {
        guard level >= self.level else { return }
        sink.write(
            line: format.line(
                time: WallClock.now(), level: level, component: component, event: event, requestID: requestID,
                fields: fields))
    }

    /// Passes on a line of another process: as it is if both write JSON, as a field otherwise.
    public func relay(line: String) {
        if format == .json, line.hasPrefix("{"), line.hasSuffix("}") {
            sink.write(line: Array(line.utf8) + [UInt8(ascii: "\n")])
        } else {
            log(.info, "worker.said", [.string("line", line)], nil)
        }
    }
}
