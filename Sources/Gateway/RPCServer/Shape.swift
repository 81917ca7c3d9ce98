import JSON

/// What a value may be: the one source of checks, defaults and the schema that clients read.
indirect enum Shape: Sendable {
    case integer(ClosedRange<Int64>)
    case number(ClosedRange<Double>)
    /// true and false, or 1 and 0 as C has it.
    case flag
    case text(maximumBytes: Int)
    /// One of some names, or its number where it has one.
    case choice([(name: String, number: Int64)])
    case object(StructShape)
    case list(of: Shape, maximum: Int)
    /// One value, or an array of them.
    case oneOrMany(Shape, maximum: Int)
    /// An array of numbers, or an object with `dtype`, `shape` and `b64`.
    case tensor
    case any
    /// Only null, which is the same as leaving it out.
    case nothing
}

/// A named set of fields, as a C struct has them.
struct StructShape: Sendable {
    struct Field: Sendable {
        /// The first is the field's own name; the others are what else clients call it.
        let names: [String]
        let shape: Shape
        /// What holds when it is absent; nil where nothing can be said in advance.
        let defaultValue: JSONValue?
        let isRequired: Bool
        let help: String

        init(
            _ name: String, or aliases: [String] = [], _ shape: Shape, default defaultValue: JSONValue? = nil,
            required: Bool = false, _ help: String
        ) {
            names = [name] + aliases
            self.shape = shape
            self.defaultValue = defaultValue
            isRequired = required
            self.help = help
        }

        var name: String { names[0] }
    }

    let name: String
    let fields: [Field]
}

/// A value that fits its shape.
indirect enum ShapedValue: Sendable {
    case integer(Int64)
    case number(Double)
    case flag(Bool)
    case text(String)
    case object(ShapedObject)
    case list([ShapedValue])
    case json(JSONValue)
}

/// An object whose members fit their fields; those that were absent or null are not in it.
struct ShapedObject: Sendable {
    /// How errors name it; empty for the parameters themselves.
    let place: String
    private var values: [String: ShapedValue] = [:]

    init(place: String = "") { self.place = place }

    mutating func set(_ name: String, _ value: ShapedValue) { values[name] = value }

    subscript(name: String) -> ShapedValue? { values[name] }

    func has(_ name: String) -> Bool { values[name] != nil }

    func integer(_ name: String) -> Int64? { if case .integer(let value)? = values[name] { value } else { nil } }

    func number(_ name: String) -> Float? { if case .number(let value)? = values[name] { Float(value) } else { nil } }

    func flag(_ name: String) -> Bool? { if case .flag(let value)? = values[name] { value } else { nil } }

    func text(_ name: String) -> String? { if case .text(let value)? = values[name] { value } else { nil } }

    func object(_ name: String) -> ShapedObject? { if case .object(let value)? = values[name] { value } else { nil } }

    func list(_ name: String) -> [ShapedValue]? { if case .list(let value)? = values[name] { value } else { nil } }

    func json(_ name: String) -> JSONValue? { if case .json(let value)? = values[name] { value } else { nil } }

    /// The name of a member in errors.
    func path(_ name: String) -> String { place.isEmpty ? name : "\(place).\(name)" }
}

// MARK: - Checking

extension StructShape {
    /// Checks every member; a member that no field has is refused by its name.
    func read(_ object: JSONObject, place: String) throws(RPCError) -> ShapedObject {
        var result = ShapedObject(place: place)
        for member in object.members {
            guard let field = fields.first(where: { $0.names.contains(member.key) }) else {
                let path = result.path(String(member.key.prefix(64)))
                throw .invalid(path, "unknown field '\(path)'")
            }
            if member.value.isNull { continue }
            guard !result.has(field.name) else {
                throw .invalid(result.path(member.key), "'\(result.path(field.name))' is given twice")
            }
            result.set(field.name, try field.shape.read(member.value, place: result.path(member.key)))
        }
        try checkRequired(result)
        return result
    }

    /// The parameters of a call by position.
    func read(positional values: [JSONValue], count: Int) throws(RPCError) -> ShapedObject {
        guard values.count <= count else {
            throw .invalid("params", "there are at most \(count) parameters by position, not \(values.count)")
        }
        var result = ShapedObject()
        for (field, value) in zip(fields, values) where !value.isNull {
            result.set(field.name, try field.shape.read(value, place: field.name))
        }
        try checkRequired(result)
        return result
    }

    private func checkRequired(_ object: ShapedObject) throws(RPCError) {
        for field in fields where field.isRequired && !object.has(field.name) {
            throw .invalid(object.path(field.name), "'\(object.path(field.name))' is missing")
        }
    }

    /// Every field: as given, or its default.
    func effective(_ object: ShapedObject?) -> JSONObject {
        JSONObject(
            uniqueMembers: fields.map { field in
                let value: JSONValue
                if case .object(let inner) = field.shape {
                    value = .object(inner.effective(object?.object(field.name)))
                } else {
                    value = object?[field.name].map(\.json) ?? field.defaultValue ?? .null
                }
                return JSONObject.Member(key: field.name, value: value)
            })
    }
}

extension ShapedValue {
    fileprivate var json: JSONValue {
        switch self {
        case .integer(let value): .number(JSONNumber(value))
        // What holds is a float: more digits than it has would be a promise.
        case .number(let value): JSONNumber(value).map { .number($0) } ?? .null
        case .flag(let value): .bool(value)
        case .text(let value): .string(value)
        case .list(let values): .array(values.map(\.json))
        case .json(let value): value
        case .object: .null
        }
    }
}

extension Shape {
    func read(_ value: JSONValue, place: String) throws(RPCError) -> ShapedValue {
        switch self {
        case .integer(let range): return .integer(try Self.integer(value, range, place))
        case .number(let range): return .number(try Self.number(value, range, place))
        case .flag:
            if let flag = value.boolValue { return .flag(flag) }
            guard let number = value.int64Value, number == 0 || number == 1 else {
                throw .wrongType(place, "true, false, 1 or 0", value)
            }
            return .flag(number == 1)
        case .text(let maximumBytes): return .text(try Self.text(value, maximumBytes, place))
        case .choice(let choices): return .integer(try Self.choice(value, choices, place))
        case .object(let shape):
            guard let object = value.objectValue else { throw .wrongType(place, "an object", value) }
            return .object(try shape.read(object, place: place))
        case .list(let element, let maximum):
            guard let values = value.arrayValue else { throw .wrongType(place, "an array", value) }
            return .list(try Self.list(values, of: element, maximum, place))
        case .oneOrMany(let element, let maximum):
            guard let values = value.arrayValue else { return .list([try element.read(value, place: place)]) }
            return .list(try Self.list(values, of: element, maximum, place))
        case .tensor, .any: return .json(value)
        case .nothing: throw .invalid(place, "'\(place)' is null")
        }
    }

    private static func integer(
        _ value: JSONValue, _ range: ClosedRange<Int64>, _ place: String
    ) throws(RPCError) -> Int64 {
        guard value.numberValue != nil else { throw .wrongType(place, "an integer", value) }
        guard let integer = value.int64Value else { throw .invalid(place, "'\(place)' is an integer of 64 bits") }
        guard range.contains(integer) else {
            throw .invalid(place, "'\(place)' is between \(range.lowerBound) and \(range.upperBound), not \(integer)")
                .with("value", integer)
        }
        return integer
    }

    private static func number(
        _ value: JSONValue, _ range: ClosedRange<Double>, _ place: String
    ) throws(RPCError) -> Double {
        guard let number = value.doubleValue, number.isFinite else { throw .wrongType(place, "a number", value) }
        guard range.contains(number) else {
            throw .invalid(place, "'\(place)' is between \(range.lowerBound) and \(range.upperBound), not \(number)")
                .with("value", value)
        }
        return number
    }

    private static func text(_ value: JSONValue, _ limit: Int, _ place: String) throws(RPCError) -> String {
        guard let text = value.stringValue else { throw .wrongType(place, "a string", value) }
        guard text.utf8.count <= limit else {
            throw .invalid(place, "'\(place)' has \(text.utf8.count) bytes; the limit is \(limit)")
                .with("limit", limit).with("value", text.utf8.count)
        }
        return text
    }

    private static func choice(
        _ value: JSONValue, _ choices: [(name: String, number: Int64)], _ place: String
    ) throws(RPCError) -> Int64 {
        let found = choices.first { value == .string($0.name) || value.int64Value == $0.number }
        guard let found else {
            let names = choices.map { "\($0.name) (\($0.number))" }.joined(separator: ", ")
            throw .invalid(place, "'\(place)' is one of \(names)")
        }
        return found.number
    }

    private static func list(
        _ values: [JSONValue], of element: Shape, _ maximum: Int, _ place: String
    ) throws(RPCError) -> [ShapedValue] {
        guard values.count <= maximum else {
            throw .invalid(place, "'\(place)' holds at most \(maximum) values, not \(values.count)")
                .with("limit", maximum).with("value", values.count)
        }
        var result: [ShapedValue] = []
        result.reserveCapacity(values.count)
        for (index, value) in values.enumerated() {
            // Token ids come by the thousand: no name is made for those that are right.
            if case .integer(let range) = element, let integer = value.int64Value, range.contains(integer) {
                result.append(.integer(integer))
                continue
            }
            result.append(try element.read(value, place: "\(place)[\(index)]"))
        }
        return result
    }
}
