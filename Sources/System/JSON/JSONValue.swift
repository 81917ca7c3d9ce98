/// A JSON document as read: members keep their order, numbers keep their text.
///
/// Use it where a document is looked at member by member, and `JSONWriter` where one is made: building values only to
/// write them costs an allocation each.
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(JSONNumber)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    public var isNull: Bool { self == .null }

    public var boolValue: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    public var numberValue: JSONNumber? {
        if case .number(let value) = self { value } else { nil }
    }

    public var int64Value: Int64? { numberValue?.int64 }

    public var doubleValue: Double? { numberValue?.double }

    public var stringValue: String? {
        if case .string(let value) = self { value } else { nil }
    }

    public var arrayValue: [JSONValue]? {
        if case .array(let value) = self { value } else { nil }
    }

    public var objectValue: JSONObject? {
        if case .object(let value) = self { value } else { nil }
    }

    /// The member `key` if this is an object that has one.
    public subscript(key: String) -> JSONValue? { objectValue?[key] }

    /// What this is, in the words of error messages.
    public var typeName: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }

    /// The document as compact JSON text.
    public var serialized: [UInt8] {
        var writer = JSONWriter()
        writer.value(self)
        return writer.bytes
    }

    /// The document as compact JSON text.
    public var serializedText: String { String(decoding: serialized, as: UTF8.self) }
}

/// Members in the order of the document, each key once.
///
/// Keys are compared byte by byte: Swift's own comparison would call some different keys equal. Looking a key up is
/// linear, which suits the few dozen members of a request.
public struct JSONObject: Sendable, Equatable {
    public struct Member: Sendable, Equatable {
        public let key: String
        public let value: JSONValue

        public init(key: String, value: JSONValue) {
            self.key = key
            self.value = value
        }
    }

    public private(set) var members: [Member]

    public init() { members = [] }

    /// - Parameter members: their keys must differ.
    public init(uniqueMembers members: [Member]) { self.members = members }

    public subscript(key: String) -> JSONValue? {
        members.first { $0.key.hasSameBytes(as: key) }?.value
    }

    /// Replaces the member `key` at its place, or adds it at the end.
    public mutating func set(_ key: String, _ value: JSONValue) {
        let member = Member(key: key, value: value)
        if let index = members.firstIndex(where: { $0.key.hasSameBytes(as: key) }) {
            members[index] = member
        } else {
            members.append(member)
        }
    }

    public mutating func remove(_ key: String) {
        members.removeAll { $0.key.hasSameBytes(as: key) }
    }
}

extension String {
    func hasSameBytes(as other: String) -> Bool {
        utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
    }
}
