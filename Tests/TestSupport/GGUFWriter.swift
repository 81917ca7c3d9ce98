/// Writes GGUF files for tests, byte by byte, also ones that no sane program would write.
public struct GGUFWriter {
    public indirect enum Value: Sendable {
        case uint8(UInt8), int8(Int8), uint16(UInt16), int16(Int16), uint32(UInt32), int32(Int32)
        case uint64(UInt64), int64(Int64), float32(Float), float64(Double), bool(Bool)
        case string(String), bytes([UInt8])
        /// All elements must have the type of the first; an empty array is one of `emptyType`.
        case array([Value], emptyType: UInt32 = 4)

        public static func strings(_ values: [String]) -> Value { .array(values.map { .string($0) }, emptyType: 8) }
        public static func floats(_ values: [Float]) -> Value { .array(values.map { .float32($0) }, emptyType: 6) }
        public static func integers(_ values: [Int32]) -> Value { .array(values.map { .int32($0) }, emptyType: 5) }

        var type: UInt32 {
            switch self {
            case .uint8: 0
            case .int8: 1
            case .uint16: 2
            case .int16: 3
            case .uint32: 4
            case .int32: 5
            case .float32: 6
            case .bool: 7
            case .string, .bytes: 8
            case .array: 9
            case .uint64: 10
            case .int64: 11
            case .float64: 12
            }
        }
    }

    public struct Tensor {
        public var name: String
        public var type: UInt32
        /// Fastest-running dimension first.
        public var dimensions: [UInt64]
        public var data: [UInt8]
        /// Overrides the place in the data section that the writer would choose.
        public var offset: UInt64?
    }

    public var version: UInt32 = 3
    public var alignment = 32
    public var metadata: [(key: String, value: Value)] = []
    public var tensors: [Tensor] = []

    public init() {}

    /// Sets a key, replacing an earlier value.
    public mutating func set(_ key: String, _ value: Value) {
        if let place = metadata.firstIndex(where: { $0.key == key }) {
            metadata[place].value = value
        } else {
            metadata.append((key, value))
        }
    }

    public mutating func add(_ name: String, type: UInt32, dimensions: [Int], data: [UInt8], offset: UInt64? = nil) {
        tensors.append(
            Tensor(name: name, type: type, dimensions: dimensions.map(UInt64.init), data: data, offset: offset))
    }

    /// Adds an F32 tensor.
    public mutating func add(_ name: String, dimensions: [Int], floats: [Float]) {
        add(name, type: 0, dimensions: dimensions, data: floats.flatMap { littleEndian($0.bitPattern) })
    }

    /// The header alone.
    public func header() -> [UInt8] {
        var out = Array("GGUF".utf8) + littleEndian(version)
        out += littleEndian(UInt64(tensors.count)) + littleEndian(UInt64(metadata.count))
        for (key, value) in metadata {
            out += string(Array(key.utf8)) + littleEndian(value.type) + encode(value)
        }
        var next: UInt64 = 0
        for tensor in tensors {
            out += string(Array(tensor.name.utf8)) + littleEndian(UInt32(tensor.dimensions.count))
            for dimension in tensor.dimensions { out += littleEndian(dimension) }
            out += littleEndian(tensor.type) + littleEndian(tensor.offset ?? next)
            next += UInt64(padded(tensor.data.count))
        }
        return out
    }

    /// The whole file.
    public func bytes() -> [UInt8] {
        var out = header()
        out += [UInt8](repeating: 0, count: padded(out.count) - out.count)
        for tensor in tensors {
            out += tensor.data
            out += [UInt8](repeating: 0, count: padded(tensor.data.count) - tensor.data.count)
        }
        return out
    }

    private func padded(_ count: Int) -> Int { (count + alignment - 1) / alignment * alignment }

    private func string(_ bytes: [UInt8]) -> [UInt8] { littleEndian(UInt64(bytes.count)) + bytes }

    private func encode(_ value: Value) -> [UInt8] {
        switch value {
        case .uint8(let number): [number]
        case .int8(let number): [UInt8(bitPattern: number)]
        case .uint16(let number): littleEndian(number)
        case .int16(let number): littleEndian(number)
        case .uint32(let number): littleEndian(number)
        case .int32(let number): littleEndian(number)
        case .uint64(let number): littleEndian(number)
        case .int64(let number): littleEndian(number)
        case .float32(let number): littleEndian(number.bitPattern)
        case .float64(let number): littleEndian(number.bitPattern)
        case .bool(let truth): [truth ? 1 : 0]
        case .string(let text): string(Array(text.utf8))
        case .bytes(let bytes): string(bytes)
        case .array(let elements, let emptyType):
            littleEndian(elements.first?.type ?? emptyType) + littleEndian(UInt64(elements.count))
                + elements.flatMap(encode)
        }
    }
}

/// The bytes of an integer, lowest first.
public func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
}
