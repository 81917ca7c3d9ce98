import JSON

/// Shapes as JSON Schema, for the document that `rpc.discover` answers with.
extension Shape {
    func writeSchema(to writer: inout JSONWriter, help: String = "", default defaultValue: JSONValue? = nil) {
        writer.beginObject()
        writeMembers(to: &writer)
        if !help.isEmpty {
            writer.key("description")
            writer.string(help)
        }
        if let defaultValue {
            writer.key("default")
            writer.value(defaultValue)
        }
        writer.endObject()
    }

    private func writeMembers(to writer: inout JSONWriter) {
        func type(_ name: StaticString) {
            writer.key("type")
            writer.string("\(name)")
        }
        func member(_ key: StaticString, _ value: some BinaryInteger) {
            writer.key(key)
            writer.integer(value)
        }
        switch self {
        case .integer(let range):
            type("integer")
            member("minimum", range.lowerBound)
            member("maximum", range.upperBound)
        case .number(let range):
            type("number")
            writer.key("minimum")
            writer.double(range.lowerBound)
            writer.key("maximum")
            writer.double(range.upperBound)
        case .flag:
            writer.key("enum")
            writer.value(.array([.bool(false), .bool(true), .number(JSONNumber(0)), .number(JSONNumber(1))]))
        case .text(let maximumBytes):
            type("string")
            member("maxLength", maximumBytes)
        case .choice(let choices):
            writer.key("enum")
            writer.value(
                .array(choices.map { .string($0.name) } + choices.map { .number(JSONNumber($0.number)) }))
        case .object(let shape):
            writer.key("$ref")
            writer.string("#/components/schemas/\(shape.name)")
        case .list(let element, let maximum):
            type("array")
            writer.key("items")
            element.writeSchema(to: &writer)
            member("maxItems", maximum)
        case .oneOrMany(let element, let maximum):
            writer.key("oneOf")
            writer.beginArray()
            element.writeSchema(to: &writer)
            Shape.list(of: element, maximum: maximum).writeSchema(to: &writer)
            writer.endArray()
        case .tensor:
            writer.key("$ref")
            writer.string("#/components/schemas/Tensor")
        case .any: break
        case .nothing: type("null")
        }
    }

    /// The structs that the shape speaks of.
    var structs: [StructShape] {
        switch self {
        case .object(let shape): shape.structs
        case .list(let element, _), .oneOrMany(let element, _): element.structs
        default: []
        }
    }
}

extension StructShape {
    /// Itself and those of its fields, each after what it uses.
    var structs: [StructShape] { fields.flatMap(\.shape.structs) + [self] }

    func writeSchema(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("type")
        writer.string("object")
        writer.key("properties")
        writer.beginObject()
        for field in fields {
            writer.key(field.name)
            field.shape.writeSchema(to: &writer, help: field.help, default: field.defaultValue)
        }
        writer.endObject()
        let required = fields.filter(\.isRequired).map(\.name)
        if !required.isEmpty {
            writer.key("required")
            writer.value(.array(required.map { .string($0) }))
        }
        writer.key("additionalProperties")
        writer.bool(false)
        writer.endObject()
    }
}
