public import EngineProtocol
public import Platform

/// The writing half of a link: owns the socket and what waits for it.
///
/// Lives inside a lock.
struct LinkSender: ~Copyable {
    enum Outcome {
        case done
        /// The socket is full: call `flush` when it is writable. Said once until it has been flushed.
        case waitForWritable
        case broken(LinkCloseReason)
    }

    private var descriptor: FileDescriptor?
    private var outbox = LinkOutbox()
    private var waits = false
    private let limits: LinkLimits

    init(descriptor: consuming FileDescriptor, limits: LinkLimits) {
        self.descriptor = consume descriptor
        self.limits = limits
    }

    var isOpen: Bool { descriptor != nil }

    /// The socket, -1 when it is closed.
    var rawValue: Int32 {
        switch descriptor {
        case .some(let descriptor): descriptor.rawValue
        case .none: -1
        }
    }

    /// Sends at once what the socket takes, and keeps the rest; never waits.
    mutating func send(_ message: OutgoingMessage) -> Outcome {
        guard isOpen else { return .done }
        let wasEmpty = outbox.isEmpty
        outbox.append(message.bytes, descriptors: message.descriptors, externalBytes: message.externalBytes)
        if wasEmpty, case .broken(let reason) = flush() { return .broken(reason) }
        guard outbox.pendingBytes <= limits.outgoingBytes,
            outbox.pendingExternalBytes <= limits.outgoingExternalBytes
        else {
            let pending = outbox.pendingBytes + outbox.pendingExternalBytes
            outbox = LinkOutbox()
            return .broken(.peerDoesNotRead(pendingBytes: pending))
        }
        if outbox.isEmpty || waits { return .done }
        waits = true
        return .waitForWritable
    }

    /// Writes until the socket is full or nothing waits.
    mutating func flush() -> Outcome {
        let socket = rawValue
        while let written = outbox.withNext({ bytes, descriptors in Self.write(socket, bytes, descriptors) }) {
            switch written {
            case .success(.bytes(let count)): outbox.advance(by: count)
            case .success(.wouldBlock): return .waitForWritable
            case .success(.endOfStream):
                outbox = LinkOutbox()
                return .broken(.endOfStream)
            case .failure(let error):
                outbox = LinkOutbox()
                return .broken(.systemError(error))
            }
        }
        waits = false
        return .done
    }

    mutating func close() {
        descriptor = nil
        outbox = LinkOutbox()
    }

    private static func write(
        _ socket: Int32, _ bytes: UnsafeRawBufferPointer, _ descriptors: [LinkDescriptor]
    ) -> Result<Socket.IO, SystemError> {
        Result { () throws(SystemError) in
            descriptors.isEmpty
                ? try Socket.write(socket, bytes)
                : try Socket.send(socket, bytes, descriptors: descriptors.map(\.rawValue))
        }
    }
}

/// One encoded message with the descriptors that travel beside it.
struct OutgoingMessage {
    var bytes: [UInt8]
    var descriptors: [LinkDescriptor] = []
    var externalBytes = 0

    /// Encodes a message; a long payload becomes a sealed memory file.
    ///
    /// - Parameter attached: descriptors that belong to the message itself.
    init(
        _ message: Message, attached: [LinkDescriptor] = [], limits: LinkLimits
    ) throws(LinkSendError) {
        var encoded: [UInt8] = []
        do throws(CodecError) {
            try MessageCodec.encode(message, into: &encoded)
            let payloadBytes = encoded.count - MessageHeader.size
            guard payloadBytes > limits.inlinePayloadBytes else {
                bytes = encoded
                descriptors = attached
                return
            }
            bytes = try MessageCodec.externalHeader(for: encoded)
            externalBytes = payloadBytes
        } catch {
            throw .codec(error)
        }
        let file = encoded.withUnsafeBytes { encoded in
            Result { () throws(SystemError) -> LinkDescriptor in
                let payload = UnsafeRawBufferPointer(rebasing: encoded[MessageHeader.size...])
                return LinkDescriptor(
                    owning: try FileDescriptor.memory(name: "apus-payload", bytes: payload, sealed: true))
            }
        }
        switch file {
        case .success(let file): descriptors = [file] + attached
        case .failure(let error): throw .system(error)
        }
    }
}

/// Why a message was not sent.
///
/// The link itself is still good.
public enum LinkSendError: Error, Sendable, Equatable, CustomStringConvertible {
    case codec(CodecError)
    case system(SystemError)
    case closed

    public var description: String {
        switch self {
        case .codec(let error): error.description
        case .system(let error): error.description
        case .closed: "the link is closed"
        }
    }
}
