import JSON
import Tensors

extension GGUFFile {
    /// What the file holds, as one JSON object: metadata, a histogram of the tensor types, the tensor table.
    ///
    /// Long arrays and strings become an object that says their type and size and shows how they begin.
    public func describeJSON() -> String {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("format")
        writer.string("GGUF")
        writer.key("version")
        writer.integer(UInt64(version))
        writer.key("parts")
        writer.integer(parts.count)
        writer.key("file_bytes")
        writer.integer(parts.reduce(0) { $0 + $1.bytes.count })
        writer.key("parameters")
        writer.integer(tensors.reduce(UInt64(0)) { $0 &+ UInt64($1.elementCount) })
        writer.key("metadata")
        writer.beginObject()
        for entry in metadata.entries {
            writer.key(entry.key)
            describe(entry.value, &writer)
        }
        writer.endObject()
        describeTypes(&writer)
        describeTensors(&writer)
        writer.endObject()
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    private func describe(_ value: GGUFValue, _ writer: inout JSONWriter) {
        switch value {
        case .unsigned(let number, _): writer.integer(number)
        case .signed(let number, _): writer.integer(number)
        case .float(let number, let type):
            if type == .float32 { writer.float(Float(number)) } else { writer.double(number) }
        case .bool(let truth): writer.bool(truth)
        case .string(let text): describe(text, &writer)
        case .array(let array): describe(array, &writer)
        }
    }

    private func describe(_ text: GGUFString, _ writer: inout JSONWriter) {
        guard text.byteCount > limits.describedStringBytes else { return writer.string(text.string) }
        writer.beginObject()
        writer.key("type")
        writer.string("string")
        writer.key("bytes")
        writer.integer(text.byteCount)
        writer.key("begins")
        text.withBytes { writer.string(String(decoding: $0.prefix(80), as: UTF8.self)) }
        writer.endObject()
    }

    private func describe(_ array: GGUFArray, _ writer: inout JSONWriter) {
        guard array.count > limits.describedElements else { return describeElements(array, &writer) }
        writer.beginObject()
        writer.key("type")
        writer.string("array of \(array.elementType)")
        writer.key("count")
        writer.integer(array.count)
        writer.key("begins")
        describeElements(array, &writer)
        writer.endObject()
    }

    private func describeElements(_ array: GGUFArray, _ writer: inout JSONWriter) {
        writer.beginArray()
        for index in 0..<min(array.count, limits.describedElements) { describe(array.value(index), &writer) }
        writer.endArray()
    }

    private func describeTypes(_ writer: inout JSONWriter) {
        writer.key("tensor_types")
        writer.beginObject()
        for type in TensorType.allCases {
            let ofType = tensors.filter { $0.type == type }
            if ofType.isEmpty { continue }
            writer.key(type.name)
            writer.beginObject()
            writer.key("tensors")
            writer.integer(ofType.count)
            writer.key("bytes")
            writer.integer(ofType.reduce(UInt64(0)) { $0 &+ UInt64($1.byteCount) })
            writer.endObject()
        }
        writer.endObject()
    }

    private func describeTensors(_ writer: inout JSONWriter) {
        writer.key("tensors")
        writer.beginArray()
        for tensor in tensors {
            writer.beginObject()
            writer.key("name")
            writer.string(tensor.name)
            writer.key("type")
            writer.string(tensor.type.name)
            writer.key("dimensions")
            writer.beginArray()
            for dimension in tensor.dimensions { writer.integer(dimension) }
            writer.endArray()
            writer.key("part")
            writer.integer(tensor.part + 1)
            writer.key("offset")
            writer.integer(tensor.offset)
            writer.key("bytes")
            writer.integer(tensor.byteCount)
            writer.endObject()
        }
        writer.endArray()
    }
}
