public import EngineProtocol
public import Platform

/// The writing half of a link: what carries it, and what waits for room there.
///
/// Lives inside a lock.
struct LinkSender {
    enum Outcome {
        case done
        /// Call `flush` when the socket is writable. Said once until everything has been flushed.
        case waitForSocket
        case broken(LinkCloseReason)
    }

    /// Nil when the link is closed.
    private var output: (any LinkOutput)?
    private var outbox: LinkOutbox
    private var waits = false
    private let limits: LinkLimits

    init(output: any LinkOutput, limits: LinkLimits) {
        self.output = output
        self.limits = limits
        outbox = output.isStream ? LinkOutbox() : LinkOutbox(joinedBytes: 0)
    }

    var isOpen: Bool { output != nil }
    var pendingBytes: Int { outbox.pendingBytes + outbox.pendingExternalBytes }

    /// Sends at once what there is room for, and keeps the rest; never waits.
    mutating func send(_ message: OutgoingMessage) -> Outcome {
        guard isOpen else { return .done }
        let wasEmpty = outbox.isEmpty
        outbox.append(message.bytes, descriptors: message.descriptors, externalBytes: message.externalBytes)
        let outcome = wasEmpty ? flush() : .done
        if case .broken = outcome { return outcome }
        guard outbox.pendingBytes <= limits.outgoingBytes,
            outbox.pendingExternalBytes <= limits.outgoingExternalBytes
        else {
            let pending = pendingBytes
            outbox = LinkOutbox()
            return .broken(.peerDoesNotRead(pendingBytes: pending))
        }
        return outcome
    }

    /// Writes until there is no more room, or nothing waits.
    mutating func flush() -> Outcome {
        guard let output else { return .done }
        defer { output.publish() }
        while let written = outbox.withNext({ output.write($0, $1) }) {
            switch written {
            case .success(.bytes(let count)): outbox.advance(by: count)
            // The peer wakes this side, whose loop flushes then.
            case .success(.waitsForRoom): return .done
            case .success(.waitsForSocket):
                defer { waits = true }
                return waits ? .done : .waitForSocket
            case .success(.endOfStream): return broken(.endOfStream)
            case .failure(let reason): return broken(reason)
            }
        }
        waits = false
        return .done
    }

    /// Forgets that somebody watches the socket for it.
    mutating func forgetWatch() { waits = false }

    private mutating func broken(_ reason: LinkCloseReason) -> Outcome {
        outbox = LinkOutbox()
        return .broken(reason)
    }

    mutating func close() {
        output = nil
        outbox = LinkOutbox()
    }
}

/// One encoded message with the descriptors that travel beside it.
struct OutgoingMessage {
    var bytes: [UInt8]
    var descriptors: [LinkDescriptor] = []
    var externalBytes = 0

    /// Encodes a message; a long payload becomes a sealed memory file.
    ///
    /// - Parameters:
    ///   - attached: descriptors that belong to the message itself.
    ///   - maximumInline: bytes of the longest payload that does not.
    init(
        _ message: Message, attached: [LinkDescriptor] = [], maximumInline: Int, payloadChecksum: Bool = false
    ) throws(LinkSendError) {
        var encoded: [UInt8] = []
        do throws(CodecError) {
            try MessageCodec.encode(message, payloadChecksum: payloadChecksum, into: &encoded)
            let payloadBytes = encoded.count - MessageHeader.size
            guard payloadBytes > maximumInline else {
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
