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
    private var buffer: MessageBuffer?
    private let limits: LinkLimits

    init(output: any LinkOutput, limits: LinkLimits) {
        self.output = output
        self.limits = limits
        outbox = output.isStream ? LinkOutbox() : LinkOutbox(joinedBytes: 0)
    }

    var isOpen: Bool { output != nil }
    var pendingBytes: Int { outbox.pendingBytes + outbox.pendingExternalBytes }

    /// What the next message is encoded into; `send` gives it back.
    mutating func takeBuffer() -> MessageBuffer { buffer.take() ?? MessageBuffer() }

    /// Sends at once what there is room for, and keeps the rest; never waits.
    mutating func send(_ message: OutgoingMessage) -> Outcome {
        defer { keep(message.buffer) }
        guard isOpen else { return .done }
        var rest = Unsent(
            bytes: message.buffer.bytes, descriptors: message.descriptors, externalBytes: message.externalBytes)
        let outcome = outbox.isEmpty ? write(&rest) : .done
        if case .broken = outcome { return outcome }
        guard !rest.bytes.isEmpty else { return outcome }
        outbox.append([UInt8](rest.bytes), descriptors: rest.descriptors, externalBytes: rest.externalBytes)
        guard outbox.pendingBytes <= limits.outgoingBytes,
            outbox.pendingExternalBytes <= limits.outgoingExternalBytes
        else {
            let pending = pendingBytes
            outbox = LinkOutbox()
            return .broken(.peerDoesNotRead(pendingBytes: pending))
        }
        return outcome
    }

    /// A message as far as it has not been written.
    private struct Unsent {
        var bytes: UnsafeRawBufferPointer
        /// Travel with the first byte.
        var descriptors: [LinkDescriptor]
        var externalBytes: Int
    }

    /// Writes a message from where it was encoded, as far as there is room.
    private mutating func write(_ message: inout Unsent) -> Outcome {
        guard let output else { return .done }
        defer { output.publish() }
        while !message.bytes.isEmpty {
            switch progress(output.write(message.bytes, message.descriptors)) {
            case .wrote(let count):
                message = Unsent(
                    bytes: UnsafeRawBufferPointer(rebasing: message.bytes[count...]), descriptors: [],
                    externalBytes: 0)
            case .stops(let outcome): return outcome
            }
        }
        waits = false
        return .done
    }

    /// Writes until there is no more room, or nothing waits.
    mutating func flush() -> Outcome {
        guard let output else { return .done }
        defer { output.publish() }
        while let written = outbox.withNext({ output.write($0, $1) }) {
            switch progress(written) {
            case .wrote(let count): outbox.advance(by: count)
            case .stops(let outcome): return outcome
            }
        }
        waits = false
        return .done
    }

    private enum Step {
        case wrote(Int)
        case stops(Outcome)
    }

    private mutating func progress(_ written: Result<LinkProgress, LinkCloseReason>) -> Step {
        switch written {
        case .success(.bytes(let count)): return .wrote(count)
        // The peer wakes this side, whose loop flushes then.
        case .success(.waitsForRoom): return .stops(.done)
        case .success(.waitsForSocket):
            defer { waits = true }
            return .stops(waits ? .done : .waitForSocket)
        case .success(.endOfStream): return .stops(broken(.endOfStream))
        case .failure(let reason): return .stops(broken(reason))
        }
    }

    private mutating func keep(_ buffer: MessageBuffer) {
        buffer.truncate()
        buffer.shrink(to: limits.readBytes)
        self.buffer = buffer
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
struct OutgoingMessage: Sendable {
    let buffer: MessageBuffer
    var descriptors: [LinkDescriptor]
    var externalBytes = 0

    /// Encodes a message; a long payload becomes a sealed memory file.
    ///
    /// - Parameters:
    ///   - buffer: empty; the message is in it until it is sent.
    ///   - attached: descriptors that belong to the message itself.
    ///   - maximumInline: bytes of the longest payload that does not.
    init(
        _ message: Message, in buffer: MessageBuffer, attached: [LinkDescriptor] = [], maximumInline: Int,
        payloadChecksum: Bool = false
    ) throws(LinkSendError) {
        self.buffer = buffer
        descriptors = attached
        let header: [UInt8]
        do throws(CodecError) {
            try MessageCodec.encode(message, payloadChecksum: payloadChecksum, into: buffer)
            guard buffer.count - MessageHeader.size > maximumInline else { return }
            header = try MessageCodec.externalHeader(for: buffer.bytes)
        } catch {
            throw .codec(error)
        }
        externalBytes = buffer.count - MessageHeader.size
        do throws(SystemError) { descriptors.insert(try Self.file(of: buffer), at: 0) } catch { throw .system(error) }
        buffer.truncate()
        header.withUnsafeBytes { buffer.append($0) }
    }

    private static func file(of message: MessageBuffer) throws(SystemError) -> LinkDescriptor {
        let payload = UnsafeRawBufferPointer(rebasing: message.bytes[MessageHeader.size...])
        return LinkDescriptor(owning: try FileDescriptor.memory(name: "apus-payload", bytes: payload, sealed: true))
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
