/// Why a text is no JSON document within the limits, and at which byte.
public struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Reason: Error, Sendable, Equatable {
        case unexpectedEnd
        /// `expected` says what could have stood here.
        case unexpectedByte(UInt8, expected: String)
        case trailingBytes
        case invalidNumber
        case invalidEscape
        /// Half of a UTF-16 surrogate pair.
        case loneSurrogate
        /// A character below U+0020 inside a string.
        case controlCharacter(UInt8)
        case invalidUTF8
        case duplicateKey(String)
        case tooDeep(limit: Int)
        case tooLong(bytes: Int, limit: Int)
        case tooManyValues(limit: Int)
    }

    /// Byte position in the document, from 0.
    public let offset: Int
    public let reason: Reason

    public init(offset: Int, reason: Reason) {
        self.offset = offset
        self.reason = reason
    }

    public var description: String { "invalid JSON at byte \(offset): \(reason.description)" }
}

extension JSONError.Reason: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unexpectedEnd: "the document ends too early"
        case .unexpectedByte(let byte, let expected): "found \(Self.name(byte)), expected \(expected)"
        case .trailingBytes: "there is more after the end of the document"
        case .invalidNumber: "this is not a JSON number"
        case .invalidEscape: "unknown escape in a string"
        case .loneSurrogate: "an escape is half of a surrogate pair"
        case .controlCharacter(let byte): "control character \(Self.name(byte)) in a string must be escaped"
        case .invalidUTF8: "the bytes are not UTF-8"
        case .duplicateKey(let key): "the key \"\(key.prefix(64))\" appears twice in one object"
        case .tooDeep(let limit): "nested deeper than the limit of \(limit)"
        case .tooLong(let bytes, let limit): "\(bytes) bytes are more than the limit of \(limit)"
        case .tooManyValues(let limit): "more values than the limit of \(limit)"
        }
    }

    private static func name(_ byte: UInt8) -> String {
        if (0x21...0x7E).contains(byte) { return "'\(Unicode.Scalar(byte))'" }
        let hex = String(byte, radix: 16, uppercase: true)
        return "0x" + (hex.count == 1 ? "0" : "") + hex
    }
}
