/// A value as text: Python's `str` and `repr`.
extension Budget {
    func text(_ value: Value) throws(TemplateError) -> String {
        switch value {
        case .undefined: return ""
        case .string(let text), .markup(let text): return text
        default: return try representation(value)
        }
    }

    func representation(_ value: Value) throws(TemplateError) -> String {
        var writer = RepresentationWriter(budget: self)
        try writer.write(value)
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}

private struct RepresentationWriter {
    let budget: Budget
    var bytes: [UInt8] = []

    mutating func write(_ value: Value) throws(TemplateError) {
        try budget.enter()
        defer { budget.leave() }
        try budget.charge()
        switch value {
        case .undefined: append("Undefined")
        case .none: append("None")
        case .boolean(let value): append(value ? "True" : "False")
        case .integer(let value): append(String(value))
        case .bigInteger(let digits): append(digits)
        case .float(let value): append(PythonNumber.text(value))
        case .string(let text), .markup(let text): try write(quoting: text)
        case .list(let items): try write(items, open: "[", close: "]")
        case .tuple(let items): try write(items, open: "(", close: items.elements.count == 1 ? ",)" : ")")
        case .view(let items, let part): try write(items, open: "dict_\(part)([", close: "])")
        case .map(let map): try write(map)
        case .iterator, .namespace, .loop, .macro, .function: append("<\(value.typeName)>")
        }
        if bytes.count > budget.limits.outputBytes { try budget.charge(textBytes: bytes.count) }
    }

    private mutating func append(_ text: String) { bytes += Array(text.utf8) }

    private mutating func write(_ items: ValueList, open: String, close: String) throws(TemplateError) {
        append(open)
        for (index, item) in items.elements.enumerated() {
            if index > 0 { append(", ") }
            try write(item)
        }
        append(close)
    }

    private mutating func write(_ map: ValueMap) throws(TemplateError) {
        append("{")
        for (index, entry) in map.entries.enumerated() {
            if index > 0 { append(", ") }
            try write(entry.key)
            append(": ")
            try write(entry.value)
        }
        append("}")
    }

    private mutating func write(quoting text: String) throws(TemplateError) {
        try budget.charge(textBytes: text.utf8.count)
        let quote: Unicode.Scalar =
            text.utf8.contains(UInt8(ascii: "'")) && !text.utf8.contains(UInt8(ascii: "\"")) ? "\"" : "'"
        var result = String.UnicodeScalarView()
        result.append(quote)
        for scalar in text.unicodeScalars {
            switch scalar {
            case quote, "\\": result.append(contentsOf: ["\\", scalar])
            case "\n": result.append(contentsOf: "\\n".unicodeScalars)
            case "\r": result.append(contentsOf: "\\r".unicodeScalars)
            case "\t": result.append(contentsOf: "\\t".unicodeScalars)
            case _ where Self.isPrintable(scalar): result.append(scalar)
            default: result.append(contentsOf: Self.escape(scalar).unicodeScalars)
            }
        }
        result.append(quote)
        append(String(result))
    }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII { return scalar.value >= 0x20 && scalar.value < 0x7F }
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .spaceSeparator:
            return false
        default: return true
        }
    }

    private static func escape(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16)
        let (prefix, width) =
            scalar.value < 0x100 ? ("\\x", 2) : scalar.value < 0x1_0000 ? ("\\u", 4) : ("\\U", 8)
        return prefix + String(repeating: "0", count: width - digits.count) + digits
    }
}
