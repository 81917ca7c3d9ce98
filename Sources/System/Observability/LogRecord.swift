import JSON

public enum LogLevel: Int, Comparable, Sendable, CaseIterable {
    case trace, debug, info, warning, error

    public static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }

    public var name: String {
        switch self {
        case .trace: "trace"
        case .debug: "debug"
        case .info: "info"
        case .warning: "warning"
        case .error: "error"
        }
    }

    public init?(name: String) {
        guard let level = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = level
    }
}

/// A named value in a log line.
///
/// Names are written in the source, so that no input can become one. Never put the text of a prompt into a field.
public struct LogField: Sendable, Equatable {
    public enum Value: Sendable, Equatable {
        case string(String)
        case int(Int64)
        case uint(UInt64)
        case double(Double)
        case bool(Bool)
    }

    public let name: String
    public let value: Value

    init(uncheckedName name: String, value: Value) {
        self.name = name
        self.value = value
    }

    public static func string(_ name: StaticString, _ value: String) -> LogField {
        LogField(uncheckedName: name.description, value: .string(value))
    }

    public static func int(_ name: StaticString, _ value: some BinaryInteger) -> LogField {
        if let small = Int64(exactly: value) {
            return LogField(uncheckedName: name.description, value: .int(small))
        }
        return LogField(uncheckedName: name.description, value: .uint(UInt64(clamping: value)))
    }

    public static func double(_ name: StaticString, _ value: Double) -> LogField {
        LogField(uncheckedName: name.description, value: .double(value))
    }

    public static func bool(_ name: StaticString, _ value: Bool) -> LogField {
        LogField(uncheckedName: name.description, value: .bool(value))
    }
}

/// One event, before it has a format.
public struct LogRecord: Sendable, Equatable {
    /// Unix time, nanoseconds.
    public var time: UInt64
    public var level: LogLevel
    public var component: String
    public var event: String
    public var requestID: String?
    public var fields: [LogField]

    public init(
        time: UInt64, level: LogLevel, component: String, event: String, requestID: String? = nil,
        fields: [LogField] = []
    ) {
        self.time = time
        self.level = level
        self.component = component
        self.event = event
        self.requestID = requestID
        self.fields = fields
    }
}

extension LogRecord {
    /// Reads back a line that another process of this program wrote; nil if it is something else.
    ///
    /// Members with values that are no field (arrays, objects, null) are dropped.
    init?(line: [UInt8], receivedAt time: UInt64) {
        let limits = JSONLimits(depth: 4, bytes: 64 << 10, values: 256)
        guard let object = try? JSONValue.parse(line, limits: limits, duplicateKeys: .lastWins).objectValue,
            let level = object["level"]?.stringValue.flatMap(LogLevel.init(name:)),
            let event = object["event"]?.stringValue
        else { return nil }
        self.init(
            time: object["time"]?.stringValue.flatMap(Timestamp.init(text:))?.nanoseconds ?? time, level: level,
            component: object["component"]?.stringValue ?? "worker", event: event,
            requestID: object["request_id"]?.stringValue)
        for member in object.members where !Self.ownNames.contains(member.key) {
            guard let value = LogField.Value(member.value) else { continue }
            fields.append(LogField(uncheckedName: member.key, value: value))
        }
    }

    static let ownNames = ["time", "level", "component", "event", "request_id"]
}

extension LogField.Value {
    fileprivate init?(_ value: JSONValue) {
        switch value {
        case .string(let text): self = .string(text)
        case .bool(let flag): self = .bool(flag)
        case .number(let number):
            self = number.int64.map(Self.int) ?? number.uint64.map(Self.uint) ?? .double(number.double)
        case .null, .array, .object: return nil
        }
    }
}
