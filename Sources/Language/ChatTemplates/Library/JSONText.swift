/// Values as JSON text, byte for byte as Python's `json.dumps` with `ensure_ascii=False` writes it.
struct JSONTextWriter {
    struct Style {
        /// What one level of indentation is; nil keeps all on one line.
        var indent: String?
        var itemSeparator: String
        var keySeparator = ": "
        var sortsKeys = false
        var escapesNonASCII = false
    }

    private let budget: Budget
    private let style: Style
    private var bytes: [UInt8] = []
    private var level = 0

    static func text(_ value: Value, _ style: Style, _ budget: Budget) throws(TemplateError) -> String {
        var writer = JSONTextWriter(budget: budget, style: style)
        try writer.write(value)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private init(budget: Budget, style: Style) {
        self.budget = budget
        self.style = style
    }

    private mutating func append(_ text: String) { bytes += Array(text.utf8) }

    private mutating func write(_ value: Value) throws(TemplateError) {
        try budget.enter()
        defer { budget.leave() }
        try budget.charge()
        switch value {
        case .none, .boolean, .integer, .bigInteger, .float: append(try scalar(value))
        case .string(let text), .markup(let text): try write(quoting: text)
        case .list(let items), .tuple(let items): try write(items.elements)
        case .map(let map): try write(map)
        default: throw budget.typeError("a \(value.typeName) cannot be written as JSON")
        }
        if bytes.count > budget.limits.outputBytes { try budget.charge(textBytes: bytes.count) }
    }

    private func scalar(_ value: Value) throws(TemplateError) -> String {
        switch value {
        case .none: return "null"
        case .boolean(let value): return value ? "true" : "false"
        case .float(let value) where value.isNaN: return "NaN"
        case .float(let value) where value.isInfinite: return value < 0 ? "-Infinity" : "Infinity"
        default: return try budget.text(value)
        }
    }

    private mutating func write(_ items: [Value]) throws(TemplateError) {
        guard !items.isEmpty else { return append("[]") }
        append("[")
        level += 1
        for (index, item) in items.enumerated() {
            if index > 0 { append(style.itemSeparator) }
            try breakLine()
            try write(item)
        }
        level -= 1
        try breakLine()
        append("]")
    }

    private mutating func write(_ map: ValueMap) throws(TemplateError) {
        guard !map.entries.isEmpty else { return append("{}") }
        var entries = map.entries
        if style.sortsKeys {
            entries = try StableSort.sorted(entries) { (left, right) throws(TemplateError) in
                try budget.isLess(left.key, right.key)
            }
        }
        append("{")
        level += 1
        for (index, entry) in entries.enumerated() {
            if index > 0 { append(style.itemSeparator) }
            try breakLine()
            try write(key: entry.key)
            append(style.keySeparator)
            try write(entry.value)
        }
        level -= 1
        try breakLine()
        append("}")
    }

    private mutating func write(key: Value) throws(TemplateError) {
        if case .tuple = key { throw budget.typeError("a tuple cannot be a key in JSON") }
        if let text = key.text { try write(quoting: text) } else { try write(quoting: try scalar(key)) }
    }

    private mutating func breakLine() throws(TemplateError) {
        guard let indent = style.indent else { return }
        try budget.charge(textBytes: indent.utf8.count, times: level)
        append("\n" + String(repeating: indent, count: level))
    }

    private mutating func write(quoting text: String) throws(TemplateError) {
        try budget.charge(textBytes: text.utf8.count)
        bytes.append(UInt8(ascii: "\""))
        if style.escapesNonASCII {
            for unit in text.utf16 {
                if unit < 0x80 { write(escaping: UInt8(unit)) } else { append(Self.escape(unit)) }
            }
        } else {
            for byte in text.utf8 { write(escaping: byte) }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func write(escaping byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
        case 0x0A: append("\\n")
        case 0x0D: append("\\r")
        case 0x09: append("\\t")
        case 0x08: append("\\b")
        case 0x0C: append("\\f")
        case 0..<0x20: append(Self.escape(UInt16(byte)))
        default: bytes.append(byte)
        }
    }

    private static func escape(_ unit: UInt16) -> String {
        let digits = String(unit, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }
}
