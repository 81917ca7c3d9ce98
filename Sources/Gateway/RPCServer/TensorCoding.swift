import EngineProtocol
import JSON

/// How tensors are written to a client.
enum TensorEncoding: String, Sendable, CaseIterable {
    /// An array of numbers for small ones, base64 for larger ones.
    case auto
    case array
    case base64
}

extension Tensor {
    /// Reads an array of numbers, whose rows are counted elsewhere, or `{"dtype": "f32", "shape": […], "b64": "…"}`.
    ///
    /// - Parameter rows: nil if nothing else tells them.
    init(_ value: JSONValue, rows: Int?, place: String) throws(RPCError) {
        switch value {
        case .array(let numbers): try self.init(numbers, rows: rows, place: place)
        case .object(let object): try self.init(object, rows: rows, place: place)
        default: throw .wrongType(place, "an array of numbers or an object with dtype, shape and b64", value)
        }
    }

    private init(_ numbers: [JSONValue], rows: Int?, place: String) throws(RPCError) {
        guard let rows else { throw .invalid("n_tokens", "'n_tokens' is needed with an array of numbers") }
        guard numbers.count > 0, numbers.count % rows == 0 else {
            throw .invalid(place, "'\(place)' has \(numbers.count) numbers, which are not \(rows) rows")
                .with("rows", rows).with("value", numbers.count)
        }
        var values: [Float] = []
        values.reserveCapacity(numbers.count)
        for (index, number) in numbers.enumerated() {
            guard let value = number.doubleValue else { throw .wrongType("\(place)[\(index)]", "a number", number) }
            values.append(Float(value))
        }
        self.init(rows: UInt32(rows), columns: UInt32(numbers.count / rows), values: values)
    }

    private init(_ object: JSONObject, rows: Int?, place: String) throws(RPCError) {
        let known: Set<String> = ["dtype", "shape", "b64"]
        if let unknown = object.members.first(where: { !known.contains($0.key) }) {
            let path = "\(place).\(unknown.key.prefix(64))"
            throw .invalid(path, "unknown field '\(path)'")
        }
        guard object["dtype"] == .string("f32") else { throw .invalid("\(place).dtype", "'\(place).dtype' is \"f32\"") }
        let shape = (object["shape"]?.arrayValue ?? []).map(\.int64Value)
        guard shape.count == 2, let height = shape[0], let width = shape[1], (1...(1 << 24)).contains(height),
            (1...(1 << 24)).contains(width)
        else { throw .invalid("\(place).shape", "'\(place).shape' is an array of two positive integers") }
        guard rows == nil || rows == Int(height) else {
            throw .invalid("\(place).shape", "'\(place).shape' has \(height) rows, but 'n_tokens' is \(rows ?? 0)")
        }
        guard let text = object["b64"]?.stringValue, let bytes = Base64.decode(text) else {
            throw .invalid("\(place).b64", "'\(place).b64' is not base64")
        }
        guard bytes.count == Int(height * width) * 4 else {
            throw .invalid(
                "\(place).b64",
                "'\(place).b64' has \(bytes.count) bytes; \(height) rows of \(width) need \(height * width * 4)")
        }
        self.init(rows: UInt32(height), columns: UInt32(width), values: Self.floats(bytes))
    }

    /// Numbers in any number of dimensions, as one row: whoever takes them knows their order.
    init(flat value: JSONValue, place: String) throws(RPCError) {
        guard case .object(let object) = value, let shape = object["shape"]?.arrayValue, shape.count != 2 else {
            try self.init(value, rows: value.arrayValue == nil ? nil : 1, place: place)
            return
        }
        let sizes = shape.map { $0.int64Value ?? 0 }
        let count = sizes.reduce(Int64(1)) { $0 > 1 << 24 || $1 > 1 << 24 ? 1 << 25 : $0 * $1 }
        guard (1...8).contains(sizes.count), sizes.allSatisfy({ $0 > 0 }), count <= 1 << 24 else {
            throw .invalid("\(place).shape", "'\(place).shape' is an array of at most 8 positive integers")
        }
        var row = object
        row.set("shape", .array([.number(JSONNumber(1)), .number(JSONNumber(count))]))
        try self.init(row, rows: nil, place: place)
    }

    /// Rows of little-endian floats in base64.
    init(base64 text: String, rows: Int64, place: String) throws(RPCError) {
        guard let bytes = Base64.decode(text) else { throw .invalid(place, "'\(place)' is not base64") }
        guard rows > 0, rows <= 1 << 24, !bytes.isEmpty, bytes.count % (4 * Int(rows)) == 0 else {
            throw .invalid(place, "'\(place)' has \(bytes.count) bytes, which are not \(rows) rows of floats")
        }
        self.init(
            rows: UInt32(rows), columns: UInt32(bytes.count / 4 / Int(rows)), values: Self.floats(bytes))
    }

    private static func floats(_ bytes: [UInt8]) -> [Float] {
        bytes.withUnsafeBytes { raw in
            (0..<raw.count / 4).map {
                Float(bitPattern: UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)))
            }
        }
    }

    func write(to writer: inout JSONWriter, _ encoding: TensorEncoding, inlineValues: Int) {
        let isArray = encoding == .array || (encoding == .auto && values.count <= inlineValues)
        guard !isArray else {
            writer.beginArray()
            for value in values { writer.float(value) }
            writer.endArray()
            return
        }
        writer.beginObject()
        writer.key("dtype")
        writer.string("f32")
        writer.key("shape")
        writer.beginArray()
        writer.integer(rows)
        writer.integer(columns)
        writer.endArray()
        writer.key("b64")
        writer.raw(values.withUnsafeBytes { Base64.quoted($0) })
        writer.endObject()
    }
}

/// RFC 4648, section 4, with padding.
enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let invalid: UInt8 = 0xFF
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: invalid, count: 256)
        for (index, byte) in alphabet.enumerated() { values[Int(byte)] = UInt8(index) }
        return values
    }()

    /// The text as a JSON string, quotes included.
    static func quoted(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        let quote = UInt8(ascii: "\"")
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count + 2) / 3 * 4 + 2)
        text.append(quote)
        var place = 0
        while place + 3 <= bytes.count {
            let group = UInt32(bytes[place]) << 16 | UInt32(bytes[place + 1]) << 8 | UInt32(bytes[place + 2])
            for shift in [18, 12, 6, 0] as [UInt32] { text.append(alphabet[Int(group >> shift & 63)]) }
            place += 3
        }
        if place < bytes.count {
            let isPair = place + 2 == bytes.count
            let group = UInt32(bytes[place]) << 16 | (isPair ? UInt32(bytes[place + 1]) << 8 : 0)
            text.append(alphabet[Int(group >> 18 & 63)])
            text.append(alphabet[Int(group >> 12 & 63)])
            text.append(isPair ? alphabet[Int(group >> 6 & 63)] : UInt8(ascii: "="))
            text.append(UInt8(ascii: "="))
        }
        text.append(quote)
        return text
    }

    /// Nil for anything but whole groups of the alphabet, with padding at the end only.
    static func decode(_ text: String) -> [UInt8]? {
        var text = text
        return text.withUTF8 { decode($0) }
    }

    private static func decode(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        let padding = text.reversed().prefix(2).prefix { $0 == UInt8(ascii: "=") }.count
        let digits = text.count - padding
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits * 3 / 4)
        var (group, bits): (UInt32, UInt32) = (0, 0)
        for place in 0..<digits {
            let value = values[Int(text[place])]
            guard value != invalid else { return nil }
            group = (group << 6 | UInt32(value)) & 0xFFFF
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: group >> bits))
            }
        }
        // Bits that no byte takes are zero, so that a value has only one spelling.
        return group & ((1 << bits) - 1) == 0 ? bytes : nil
    }
}
