extension JSONValue {
    /// Reads one document: strict RFC 8259, within the limits.
    ///
    /// Time is linear in the length of the document; nothing is allocated before its size is checked.
    public static func parse(
        _ bytes: UnsafeRawBufferPointer, limits: JSONLimits = JSONLimits(), duplicateKeys: DuplicateKeys = .reject
    ) throws(JSONError) -> JSONValue {
        guard bytes.count <= limits.bytes else {
            throw JSONError(offset: limits.bytes, reason: .tooLong(bytes: bytes.count, limit: limits.bytes))
        }
        var reader = JSONReader(bytes: bytes, limits: limits, duplicateKeys: duplicateKeys)
        return try reader.document()
    }

    public static func parse(
        _ bytes: [UInt8], limits: JSONLimits = JSONLimits(), duplicateKeys: DuplicateKeys = .reject
    ) throws(JSONError) -> JSONValue {
        let result: Result<JSONValue, JSONError> = bytes.withUnsafeBytes { raw in
            Result { () throws(JSONError) in try parse(raw, limits: limits, duplicateKeys: duplicateKeys) }
        }
        return try result.get()
    }

    public static func parse(
        _ text: String, limits: JSONLimits = JSONLimits(), duplicateKeys: DuplicateKeys = .reject
    ) throws(JSONError) -> JSONValue {
        try parse([UInt8](text.utf8), limits: limits, duplicateKeys: duplicateKeys)
    }
}

/// A recursive-descent reader over bytes that stay in place while it runs.
///
/// Every read goes through `current` or checks `position` against the count itself.
struct JSONReader {
    let bytes: UnsafeRawBufferPointer
    let limits: JSONLimits
    let duplicateKeys: DuplicateKeys
    var position = 0
    private var depth = 0
    private var valueCount = 0

    init(bytes: UnsafeRawBufferPointer, limits: JSONLimits, duplicateKeys: DuplicateKeys) {
        self.bytes = bytes
        self.limits = limits
        self.duplicateKeys = duplicateKeys
    }

    /// The byte at the position; nil at the end.
    @inline(__always)
    var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    func error(_ reason: JSONError.Reason, at offset: Int? = nil) -> JSONError {
        JSONError(offset: offset ?? position, reason: reason)
    }

    func unexpected(_ expected: String) -> JSONError {
        current.map { error(.unexpectedByte($0, expected: expected)) } ?? error(.unexpectedEnd)
    }

    mutating func document() throws(JSONError) -> JSONValue {
        skipWhitespace()
        let value = try value()
        skipWhitespace()
        if position < bytes.count { throw error(.trailingBytes) }
        return value
    }

    @inline(__always)
    private mutating func skipWhitespace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    private mutating func value() throws(JSONError) -> JSONValue {
        valueCount += 1
        if valueCount > limits.values { throw error(.tooManyValues(limit: limits.values)) }
        guard let first = current else { throw error(.unexpectedEnd) }
        switch first {
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "{"): return .object(try object())
        case UInt8(ascii: "["): return .array(try array())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number())
        case UInt8(ascii: "t"):
            try literal("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try literal("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try literal("null")
            return .null
        default: throw unexpected("a value")
        }
    }

    private mutating func literal(_ word: StaticString) throws(JSONError) {
        for index in 0..<word.utf8CodeUnitCount {
            guard current == word.utf8Start[index] else { throw unexpected("\(word)") }
            position += 1
        }
    }

    private mutating func enter() throws(JSONError) {
        depth += 1
        if depth > limits.depth { throw error(.tooDeep(limit: limits.depth)) }
        position += 1
        skipWhitespace()
    }

    private mutating func array() throws(JSONError) -> [JSONValue] {
        try enter()
        defer { depth -= 1 }
        var elements: [JSONValue] = []
        if current == UInt8(ascii: "]") {
            position += 1
            return elements
        }
        while true {
            elements.append(try value())
            if try isLast(closing: UInt8(ascii: "]"), "',' or ']'") { return elements }
        }
    }

    private mutating func object() throws(JSONError) -> JSONObject {
        try enter()
        defer { depth -= 1 }
        var members = MemberList(rule: duplicateKeys)
        if current == UInt8(ascii: "}") {
            position += 1
            return JSONObject()
        }
        while true {
            let keyStart = position
            guard current == UInt8(ascii: "\"") else { throw unexpected("a key in quotes") }
            let key = try string()
            skipWhitespace()
            guard current == UInt8(ascii: ":") else { throw unexpected("':'") }
            position += 1
            skipWhitespace()
            guard members.add(JSONObject.Member(key: key, value: try value())) else {
                throw error(.duplicateKey(key), at: keyStart)
            }
            if try isLast(closing: UInt8(ascii: "}"), "',' or '}'") {
                return JSONObject(uniqueMembers: members.members)
            }
        }
    }

    /// Reads what stands after an element: true at the end of the container, false after a comma.
    private mutating func isLast(closing: UInt8, _ expected: String) throws(JSONError) -> Bool {
        skipWhitespace()
        guard let byte = current, byte == closing || byte == UInt8(ascii: ",") else { throw unexpected(expected) }
        position += 1
        if byte == closing { return true }
        skipWhitespace()
        return false
    }

    /// The grammar: `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`.
    private mutating func number() throws(JSONError) -> JSONNumber {
        let start = position
        if current == UInt8(ascii: "-") { position += 1 }
        if current == UInt8(ascii: "0") {
            position += 1
            if let next = current, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(next) {
                throw error(.invalidNumber)
            }
        } else {
            try digits()
        }
        if current == UInt8(ascii: ".") {
            position += 1
            try digits()
        }
        if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
            position += 1
            if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position += 1 }
            try digits()
        }
        return JSONNumber(checked: String(decoding: bytes[start..<position], as: UTF8.self))
    }

    private mutating func digits() throws(JSONError) {
        let start = position
        while let byte = current, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
        if position == start { throw current == nil ? error(.unexpectedEnd) : error(.invalidNumber) }
    }
}

/// Members of an object that is being read: few are compared one by one, many by a hash table.
private struct MemberList {
    private(set) var members: [JSONObject.Member] = []
    private var places: [ExactKey: Int] = [:]
    private let rule: DuplicateKeys
    private static let linearLimit = 16

    init(rule: DuplicateKeys) { self.rule = rule }

    /// False if the key is there already and the rule forbids that.
    mutating func add(_ member: JSONObject.Member) -> Bool {
        guard let place = place(of: member.key) else {
            if !places.isEmpty { places[ExactKey(text: member.key)] = members.count }
            members.append(member)
            if members.count == Self.linearLimit {
                for (index, member) in members.enumerated() { places[ExactKey(text: member.key)] = index }
            }
            return true
        }
        if rule == .reject { return false }
        members[place] = member
        return true
    }

    private func place(of key: String) -> Int? {
        places.isEmpty
            ? members.firstIndex { $0.key.hasSameBytes(as: key) } : places[ExactKey(text: key)]
    }
}

private struct ExactKey: Hashable {
    let text: String

    static func == (left: ExactKey, right: ExactKey) -> Bool { left.text.hasSameBytes(as: right.text) }

    func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}
