import JSON

extension Budget {
    /// A client's JSON as a value; numbers follow Python's reader: a point or an exponent makes a float.
    func value(_ json: JSONValue) throws(TemplateError) -> Value {
        try enter()
        defer { leave() }
        try charge()
        switch json {
        case .null: return .none
        case .bool(let value): return .boolean(value)
        case .number(let number): return Self.value(number)
        case .string(let text):
            try charge(textBytes: text.utf8.count)
            return .string(text)
        case .array(let items):
            var elements: [Value] = []
            for item in items { elements.append(try value(item)) }
            return try list(elements)
        case .object(let object):
            var entries: [ValueMap.Entry] = []
            for member in object.members { entries.append((.string(member.key), try value(member.value))) }
            return try map(entries)
        }
    }

    private static func value(_ number: JSONNumber) -> Value {
        let isFloat = number.text.utf8.contains { ".eE".utf8.contains($0) }
        if isFloat { return .float(number.double) }
        if let integer = Int(number.text) { return .integer(integer) }
        return .bigInteger(number.text)
    }
}
