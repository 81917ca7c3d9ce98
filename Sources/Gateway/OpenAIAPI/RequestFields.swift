public import JSON

/// The members of a request's object, each checked for type and range as it is taken.
///
/// A member with the value null counts as absent. What is left at the end is unknown, and refused by name: a field that is
/// silently ignored is a wish that is silently broken.
public struct RequestFields {
    private let object: JSONObject
    private var known: Set<String> = []

    public init(_ value: JSONValue) throws(APIError) {
        guard let object = value.objectValue else {
            throw .invalid(nil, "the body is a JSON object, not \(value.typeName)", code: "invalid_type")
        }
        self.object = object
    }

    /// The value of `name`, nil when it is absent or null.
    public mutating func value(_ name: String) -> JSONValue? {
        known.insert(name)
        guard let value = object[name], !value.isNull else { return nil }
        return value
    }

    public mutating func string(_ name: String, maximumBytes: Int) throws(APIError) -> String? {
        guard let value = value(name) else { return nil }
        guard let string = value.stringValue else { throw .wrongType(name, "a string", value) }
        guard string.utf8.count <= maximumBytes else {
            throw .invalid(name, "'\(name)' has \(string.utf8.count) bytes; the limit is \(maximumBytes)")
        }
        return string
    }

    public mutating func bool(_ name: String) throws(APIError) -> Bool? {
        guard let value = value(name) else { return nil }
        guard let bool = value.boolValue else { throw .wrongType(name, "a boolean", value) }
        return bool
    }

    public mutating func number(_ name: String, in range: ClosedRange<Double>) throws(APIError) -> Float? {
        guard let value = value(name) else { return nil }
        guard let number = value.doubleValue, number.isFinite else { throw .wrongType(name, "a number", value) }
        guard range.contains(number) else {
            let bounds = "between \(range.lowerBound.short) and \(range.upperBound.short)"
            throw .invalid(name, "'\(name)' is \(bounds), not \(number.short)")
        }
        return Float(number)
    }

    public mutating func integer(_ name: String, in range: ClosedRange<Int64>) throws(APIError) -> Int64? {
        guard let value = value(name) else { return nil }
        guard value.numberValue != nil else { throw .wrongType(name, "an integer", value) }
        guard let integer = value.int64Value else {
            throw .invalid(name, "'\(name)' is an integer of 64 bits", code: "invalid_type")
        }
        guard range.contains(integer) else {
            throw .invalid(name, "'\(name)' is between \(range.lowerBound) and \(range.upperBound), not \(integer)")
        }
        return integer
    }

    /// An array of strings, none of them empty.
    ///
    /// - Parameter otherForm: what else the caller takes, for the message.
    public mutating func strings(
        _ name: String, count limit: Int, bytes: Int, or otherForm: String = ""
    ) throws(APIError) -> [String]? {
        guard let value = value(name) else { return nil }
        guard let values = value.arrayValue else { throw .wrongType(name, otherForm + "an array of strings", value) }
        guard values.count <= limit else {
            throw .invalid(name, "'\(name)' holds at most \(limit) strings, not \(values.count)")
        }
        var strings: [String] = []
        for value in values {
            guard let string = value.stringValue else {
                throw .wrongType(name, otherForm + "an array of strings", value)
            }
            try Self.check(string, of: name, bytes: bytes)
            strings.append(string)
        }
        return strings
    }

    static func check(_ string: String, of name: String, bytes limit: Int) throws(APIError) {
        guard (1...limit).contains(string.utf8.count) else {
            throw .invalid(name, "a string of '\(name)' has 1 to \(limit) bytes, not \(string.utf8.count)")
        }
    }

    /// A field whose only supported values change nothing.
    public mutating func accept(
        _ name: String, only harmless: (JSONValue) -> Bool = { _ in true }, otherwise message: String = ""
    ) throws(APIError) {
        guard let value = value(name), !harmless(value) else { return }
        throw .unsupported(name, "'\(name)' is not supported\(message.isEmpty ? "" : ": \(message)")")
    }

    /// Refuses what was never asked for.
    public func finish() throws(APIError) {
        for member in object.members where !known.contains(member.key) {
            let name = String(member.key.prefix(64))
            throw .invalid(name, "unknown parameter: '\(name)'", code: "unknown_parameter")
        }
    }
}

extension APIError {
    static func wrongType(_ name: String, _ wanted: String, _ value: JSONValue) -> APIError {
        .invalid(name, "'\(name)' is \(wanted), not \(value.typeName)", code: "invalid_type")
    }
}

extension Double {
    /// Without a fraction that says nothing: 2 rather than 2.0.
    fileprivate var short: String { self == rounded() && abs(self) < 1e15 ? String(Int64(self)) : String(self) }
}
