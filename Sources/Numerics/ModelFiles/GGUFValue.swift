/// The type of a metadata value, by the numbers of the GGUF format.
public enum GGUFValueType: UInt32, Sendable, CaseIterable {
    case uint8 = 0
    case int8 = 1
    case uint16 = 2
    case int16 = 3
    case uint32 = 4
    case int32 = 5
    case float32 = 6
    case bool = 7
    case string = 8
    case array = 9
    case uint64 = 10
    case int64 = 11
    case float64 = 12

    /// Bytes of one value; nil for strings and arrays, whose size varies.
    public var fixedSize: Int? {
        switch self {
        case .uint8, .int8, .bool: 1
        case .uint16, .int16: 2
        case .uint32, .int32, .float32: 4
        case .uint64, .int64, .float64: 8
        case .string, .array: nil
        }
    }
}

/// One metadata value: numbers are kept, strings and arrays are views into the file.
public enum GGUFValue: Sendable {
    case unsigned(UInt64, GGUFValueType)
    case signed(Int64, GGUFValueType)
    case float(Double, GGUFValueType)
    case bool(Bool)
    case string(GGUFString)
    case array(GGUFArray)

    public var type: GGUFValueType {
        switch self {
        case .unsigned(_, let type), .signed(_, let type), .float(_, let type): type
        case .bool: .bool
        case .string: .string
        case .array: .array
        }
    }
}

/// A view of a string in the file: bytes that should be UTF-8, but need not be.
public struct GGUFString: Sendable {
    let file: GGUFBytes
    let range: Range<Int>

    public var byteCount: Int { range.count }

    public func withBytes<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(rebasing: file.bytes[range]))
    }

    /// A copy as a String; invalid UTF-8 becomes U+FFFD.
    public var string: String { String(decoding: file.bytes[range], as: UTF8.self) }
}
