public import EngineProtocol
public import Platform
public import SharedMemory

/// Why a link ended without this side having closed it.
public enum LinkCloseReason: Error, Sendable, Equatable, CustomStringConvertible {
    /// The peer closed its end, or died.
    case endOfStream
    case protocolViolation(LinkViolation)
    case ringViolation(RingViolation)
    case systemError(SystemError)
    /// More than `LinkLimits` allows waited for the peer to read.
    case peerDoesNotRead(pendingBytes: Int)

    public var description: String {
        switch self {
        case .endOfStream: "the other side closed the link"
        case .protocolViolation(let violation): "protocol violation: \(violation)"
        case .ringViolation(let violation): "violation of the ring: \(violation)"
        case .systemError(let error): error.description
        case .peerDoesNotRead(let bytes): "the other side does not read: \(bytes) bytes are waiting"
        }
    }
}

/// What a peer did that no correct build of this program does.
public enum LinkViolation: Error, Sendable, Equatable, CustomStringConvertible {
    case codec(CodecError)
    /// The first message is not hello.
    case missingHello
    case repeatedHello
    /// Both ends are gateways, or both are workers.
    case sameRole
    case differentBuild(ours: UInt64, theirs: UInt64)
    /// A request to a gateway, or events to a worker.
    case wrongDirection
    case inlinePayloadTooLong(limit: Int, value: Int)
    case missingDescriptor
    case unexpectedDescriptors(count: Int)
    case tooManyDescriptors(limit: Int)
    /// A payload's memory file has another size than its header says, or cannot be read.
    case payloadFile(expected: Int)
    /// A record holds less or more than one message.
    case notOneMessage(bytes: Int)

    public var description: String {
        switch self {
        case .codec(let error): error.description
        case .missingHello: "the first message is not hello"
        case .repeatedHello: "hello came twice"
        case .sameRole: "both ends have the same role"
        case .differentBuild(let ours, let theirs):
            "the other side is of a different build (\(hexadecimal(theirs)), not \(hexadecimal(ours)))"
        case .wrongDirection: "a message that this side does not receive"
        case .inlinePayloadTooLong(let limit, let value): "inline payload of \(value) bytes, the limit is \(limit)"
        case .missingDescriptor: "a message names a descriptor that did not come"
        case .unexpectedDescriptors(let count): "\(count) descriptors belong to no message"
        case .tooManyDescriptors(let limit): "more than \(limit) descriptors"
        case .notOneMessage(let bytes): "a record of \(bytes) bytes that is not one message"
        case .payloadFile(let expected): "the payload's memory file does not hold its \(expected) bytes"
        }
    }
}

private func hexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}
