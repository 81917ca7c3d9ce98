import JSON

/// How a record becomes a line.
public enum LogFormat: Sendable, Equatable {
    /// One JSON object: `time`, `level`, `component`, `event`, `request_id`, then the fields.
    case json
    /// For people at a terminal.
    case text(coloured: Bool)

    /// The line with its end.
    public func line(_ record: LogRecord, fieldBytes: Int = ObservabilityLimits().fieldBytes) -> [UInt8] {
        switch self {
        case .json: Self.json(record, fieldBytes)
        case .text(let coloured): Self.text(record, fieldBytes, coloured: coloured)
        }
    }

    private static func json(_ record: LogRecord, _ fieldBytes: Int) -> [UInt8] {
        var time: [UInt8] = []
        Timestamp(nanoseconds: record.time).append(to: &time)
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("time")
        time.withUnsafeBytes { writer.string(utf8: $0) }
        writer.key("level")
        writer.string(record.level.name)
        writer.key("component")
        writer.string(record.component)
        writer.key("event")
        writer.string(record.event)
        if let requestID = record.requestID {
            writer.key("request_id")
            writer.string(requestID)
        }
        for field in record.fields {
            writer.key(field.name)
            field.value.write(to: &writer, limit: fieldBytes)
        }
        writer.endObject()
        return writer.bytes + [0x0A]
    }

    private static func text(_ record: LogRecord, _ fieldBytes: Int, coloured: Bool) -> [UInt8] {
        var line: [UInt8] = []
        Timestamp(nanoseconds: record.time).appendTime(to: &line)
        line.append(0x20)
        if coloured { line += Array(record.level.colour.utf8) }
        line += Array(record.level.padded.utf8)
        if coloured { line += Array("\u{1B}[0m".utf8) }
        line += Array(" \(printable(record.component)) \(printable(record.event))".utf8)
        for field in record.fields {
            line += Array(" \(printable(field.name))=".utf8)
            field.value.appendText(to: &line, limit: fieldBytes)
        }
        if let requestID = record.requestID { line += Array(" request_id=\(printable(requestID))".utf8) }
        line.append(0x0A)
        return line
    }
}

extension LogLevel {
    fileprivate var padded: String {
        switch self {
        case .trace: "TRACE"
        case .debug: "DEBUG"
        case .info: "INFO "
        case .warning: "WARN "
        case .error: "ERROR"
        }
    }

    fileprivate var colour: String {
        switch self {
        case .trace, .debug: "\u{1B}[2m"
        case .info: "\u{1B}[32m"
        case .warning: "\u{1B}[33m"
        case .error: "\u{1B}[31m"
        }
    }
}

extension LogField.Value {
    fileprivate func write(to writer: inout JSONWriter, limit: Int) {
        switch self {
        case .string(let text): writer.string(text.cut(toBytes: limit))
        case .int(let number): writer.integer(number)
        case .uint(let number): writer.integer(number)
        case .double(let number): writer.double(number)
        case .bool(let flag): writer.bool(flag)
        }
    }

    fileprivate func appendText(to line: inout [UInt8], limit: Int) {
        switch self {
        case .string(let text): line += Array(printable(text.cut(toBytes: limit)).utf8)
        case .int(let number): line += Array(String(number).utf8)
        case .uint(let number): line += Array(String(number).utf8)
        case .double(let number): line += Array(number.description.utf8)
        case .bool(let flag): line += Array(String(flag).utf8)
        }
    }
}

/// The text as it is if it is one plain word, else in quotes and escaped: nothing can steer a terminal.
private func printable(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { $0 > 0x20 && $0 != UInt8(ascii: "\"") && $0 < 0x7F }
    if isPlain, !text.isEmpty { return text }
    var quoted = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"", "\\": quoted += "\\\(scalar)"
        case "\n": quoted += "\\n"
        case "\t": quoted += "\\t"
        default:
            let isControl =
                scalar.properties.generalCategory == .control || scalar.properties.generalCategory == .format
            quoted += isControl ? "\\u{\(String(scalar.value, radix: 16))}" : String(scalar)
        }
    }
    return quoted + "\""
}

extension String {
    /// A prefix of at most `limit` bytes that does not cut a character, with its loss marked.
    func cut(toBytes limit: Int) -> String {
        guard utf8.count > limit else { return self }
        var end = utf8.index(utf8.startIndex, offsetBy: limit)
        while end > utf8.startIndex, end.samePosition(in: unicodeScalars) == nil { end = utf8.index(before: end) }
        return String(self[..<end]) + "…"
    }
}
