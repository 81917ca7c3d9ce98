/// One typed value of a log line.
///
/// Prompts, answers and keys are never put into one.
public struct LogField: Sendable {
    enum Value: Sendable {
        case string(String)
        case int(Int64)
        case double(Double)
        case bool(Bool)
    }

    let key: StaticString
    let value: Value

    public static func string(_ key: StaticString, _ value: String) -> LogField {
        LogField(key: key, value: .string(value))
    }

    public static func int(_ key: StaticString, _ value: some BinaryInteger) -> LogField {
        LogField(key: key, value: .int(Int64(clamping: value)))
    }

    public static func double(_ key: StaticString, _ value: Double) -> LogField {
        LogField(key: key, value: .double(value))
    }

    public static func bool(_ key: StaticString, _ value: Bool) -> LogField {
        LogField(key: key, value: .bool(value))
    }
}
