import JSON

/// Turns an event into a line, for programs or for people.
public enum LogFormat: Sendable, Equatable {
    /// One JSON object.
    case json
    /// Words; coloured on a terminal.
    case text(coloured: Bool)

    /// - Parameter time: Unix time in nanoseconds.
    func line(
        time: UInt64, level: LogLevel, component: String, event: StaticString, requestID: String?, fields: [LogField]
    ) -> [UInt8] {
        switch self {
        case .json: jsonLine(time, level, component, event, requestID, fields)
        case .text(let coloured): textLine(time, level, component, event, requestID, fields, coloured)
        }
    }

    private func jsonLine(
        _ time: UInt64, _ level: LogLevel, _ component: String, _ event: StaticString, _ requestID: String?,
        _ fields: [LogField]
    ) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("time")
        writer.string(Timestamp(unixNanoseconds: time).text)
        writer.key("level")
        writer.string(level.name)
        writer.key("component")
        writer.string(component)
        writer.key("event")
        writer.string(event.description)
        if let requestID {
            writer.key("request_id")
            writer.string(requestID)
        }
        for field in fields {
            writer.key(field.key)
            switch field.value {
            case .string(let value): writer.string(value)
            case .int(let value): writer.integer(value)
            case .double(let value): writer.double(value)
            case .bool(let value): writer.bool(value)
            }
        }
        writer.endObject()
        return writer.bytes + [UInt8(ascii: "\n")]
    }

    private func textLine(
        _ time: UInt64, _ level: LogLevel, _ component: String, _ event: StaticString, _ requestID: String?,
        _ fields: [LogField], _ coloured: Bool
    ) -> [UInt8] {
        var line = "\(Timestamp(unixNanoseconds: time).clock) "
        line += coloured ? "\u{1B}[\(level.colour)m\(level.name)\u{1B}[0m" : level.name
        line += " \(component): \(event)"
        if let requestID { line += " request_id=\(Self.visible(requestID))" }
        for field in fields {
            line += " \(field.key)="
            switch field.value {
            case .string(let value): line += Self.visible(value)
            case .int(let value): line += String(value)
            case .double(let value): line += String(value)
            case .bool(let value): line += String(value)
            }
        }
        return Array(line.utf8) + [UInt8(ascii: "\n")]
    }

    /// One line stays one line, and no text can move the cursor of the terminal it is shown on.
    private static func visible(_ text: String) -> String {
        let harmless = text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7F && $0 != "\"" }
        if harmless && !text.isEmpty { return text }
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": quoted += "\\n"
            case "\"": quoted += "\\\""
            case _ where scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value): quoted += "?"
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}

extension LogLevel {
    fileprivate var colour: Int {
        switch self {
        case .trace, .debug: 90
        case .info: 36
        case .warning: 33
        case .error: 31
        }
    }
}
