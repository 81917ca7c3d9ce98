/// Why a message cannot be encoded or decoded.
///
/// Names the field; never holds its contents.
public enum CodecError: Error, Equatable, Sendable, CustomStringConvertible {
    // The header
    case notAMessage
    case unsupportedVersion(UInt8)
    case unknownFlags(UInt8)
    case unknownMessageType(UInt16)
    case headerChecksumMismatch
    case payloadChecksumMismatch
    case unexpectedMessageID(UInt64)
    // The payload
    /// The fixed part ends before the field.
    case truncated(field: String)
    /// An offset or length that points outside, backwards, into another field, or leaves a gap.
    case badRange(field: String, offset: UInt32, length: UInt32)
    /// A list whose byte length is no whole number of elements, or a structure of another size.
    case badLength(field: String, length: UInt32, elementSize: Int)
    case limitExceeded(field: String, limit: Int, value: Int)
    case invalidText(field: String)
    case unknownValue(field: String, value: UInt64)
    case notFinite(field: String)
    /// Bytes after the last field.
    case trailingBytes(count: Int)

    public var description: String {
        switch self {
        case .notAMessage: "the bytes do not begin with the magic of a message"
        case .unsupportedVersion(let version): "message version \(version) is not supported"
        case .unknownFlags(let flags): "header has unknown or unsupported flags \(flags)"
        case .unknownMessageType(let type): "message type \(type) is unknown"
        case .headerChecksumMismatch: "the header's checksum does not match"
        case .payloadChecksumMismatch: "the payload's checksum does not match"
        case .unexpectedMessageID(let id): "message id \(id) is not allowed for this type"
        case .truncated(let field): "\(field): the structure ends before it"
        case .badRange(let field, let offset, let length):
            "\(field): offset \(offset) with length \(length) does not continue the tail of the payload"
        case .badLength(let field, let length, let size):
            "\(field): length \(length) does not fit elements of \(size) bytes"
        case .limitExceeded(let field, let limit, let value): "\(field): \(value) is over the limit of \(limit)"
        case .invalidText(let field): "\(field): not valid UTF-8"
        case .unknownValue(let field, let value): "\(field): \(value) has no meaning"
        case .notFinite(let field): "\(field): not a finite number"
        case .trailingBytes(let count): "\(count) bytes follow the last field"
        }
    }
}
