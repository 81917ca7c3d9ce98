import EngineProtocol
import JSON

/// What `rpc.discover` answers: the table of methods as OpenRPC 1.3 has it.
enum OpenRPCDocument {
    static let bytes: [UInt8] = {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("openrpc")
        writer.string("1.3.2")
        writer.key("info")
        writer.beginObject()
        writer.key("title")
        writer.string("Apus JSON-RPC")
        writer.key("version")
        writer.string(BuildIdentity.version)
        writer.endObject()
        writer.key("methods")
        writer.beginArray()
        for method in RPCMethod.all { write(method, to: &writer) }
        writer.endArray()
        writer.key("components")
        writer.beginObject()
        writer.key("schemas")
        writeSchemas(to: &writer)
        writer.endObject()
        writer.endObject()
        return writer.bytes
    }()

    private static func write(_ method: RPCMethod, to writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("name")
        writer.string(method.name)
        writer.key("summary")
        writer.string(method.summary)
        writer.key("paramStructure")
        writer.string("either")
        writer.key("params")
        writer.beginArray()
        for field in method.parameters.fields { write(field, to: &writer) }
        writer.endArray()
        writer.key("result")
        writer.beginObject()
        writer.key("name")
        writer.string("result")
        writer.key("description")
        writer.string(method.result)
        writer.key("schema")
        writer.beginObject()
        writer.endObject()
        writer.endObject()
        writer.key("x-kind")
        writer.string(method.kind.rawValue)
        writer.key("x-positional")
        writer.integer(method.positionalCount)
        writer.endObject()
    }

    private static func write(_ field: StructShape.Field, to writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("name")
        writer.string(field.name)
        writer.key("description")
        writer.string(field.help)
        writer.key("required")
        writer.bool(field.isRequired)
        writer.key("schema")
        field.shape.writeSchema(to: &writer, default: field.defaultValue)
        writer.endObject()
    }

    private static func writeSchemas(to writer: inout JSONWriter) {
        writer.beginObject()
        var written: Set<String> = []
        for shape in RPCMethod.all.flatMap({ $0.parameters.fields.flatMap(\.shape.structs) })
        where written.insert(shape.name).inserted {
            writer.key(shape.name)
            shape.writeSchema(to: &writer)
        }
        writer.key("Tensor")
        writer.raw(Array(tensor.utf8))
        writer.endObject()
    }

    private static let tensor =
        #"{"oneOf":[{"type":"array","items":{"type":"number"}},{"type":"object","properties":{"dtype":{"const":"f32"},"#
        + #""shape":{"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":2},"#
        + #""b64":{"type":"string","description":"little-endian, row after row"}},"#
        + #""required":["dtype","shape","b64"],"additionalProperties":false}]}"#
}
