import EngineProtocol
import Glibc
import Platform

/// Writes to a stream socket, which it owns.
final class StreamOutput: LinkOutput {
    private let socket: FileDescriptor
    let maximumInlinePayload: Int
    let isStream = true

    init(socket: consuming FileDescriptor, limits: LinkLimits) {
        self.socket = socket
        maximumInlinePayload = limits.inlinePayloadBytes
    }

    var rawValue: Int32 { socket.rawValue }

    func write(
        _ bytes: UnsafeRawBufferPointer, _ descriptors: [LinkDescriptor]
    ) -> Result<LinkProgress, LinkCloseReason> {
        do throws(SystemError) {
            let io =
                descriptors.isEmpty
                ? try Socket.write(socket.rawValue, bytes)
                : try Socket.send(socket.rawValue, bytes, descriptors: descriptors.map(\.rawValue))
            return .success(LinkProgress(io))
        } catch {
            return .failure(.systemError(error))
        }
    }

    /// The peer sees what was written at once.
    func publish() {}
}

/// Reads from a stream socket, which the output owns.
final class StreamInput: LinkInput {
    private let socket: Int32
    private let limits: LinkLimits
    private var loop: EventLoop?
    private var watch: EventLoop.WatchID?
    /// The last read had room for more: the next one would find nothing, and what comes later the loop reports.
    private var isDrained = false
    /// No report comes any more: everything is read up to the end.
    private var isLastRead = false

    init(socket: Int32, limits: LinkLimits) {
        self.socket = socket
        self.limits = limits
    }

    var receivesPerTurn: Int { limits.readsPerTurn }

    func start(on loop: EventLoop, _ handler: @escaping (EventLoop.Readiness) -> Void) throws(SystemError) {
        self.loop = loop
        watch = try loop.watch(socket, .readable, handler)
    }

    func watchWriting(_ isWanted: Bool) {
        if let watch { loop?.change(watch, isWanted ? [.readable, .writable] : .readable) }
    }

    func receive(into receiver: inout LinkReceiver) -> Result<Socket.IO, LinkCloseReason> {
        guard !isDrained else {
            isDrained = false
            return .success(.wouldBlock)
        }
        let outcome = receiver.fill { room in
            let received = receive(into: room)
            guard case .success((.bytes(let count), let descriptors)) = received else { return (0, received) }
            // The kernel also ends a read at descriptors.
            isDrained = count < room.count && descriptors.isEmpty && !isLastRead
            return (count, received)
        }
        switch outcome {
        case .success((let io, let descriptors)):
            do throws(LinkViolation) { try receiver.add(descriptors) } catch {
                return .failure(.protocolViolation(error))
            }
            return .success(io)
        case .failure(let reason): return .failure(reason)
        }
    }

    private func receive(
        into room: UnsafeMutableRawBufferPointer
    ) -> Result<(Socket.IO, [LinkDescriptor]), LinkCloseReason> {
        do throws(SystemError) {
            let (io, raw) = try Socket.receive(
                socket, into: room, maximumDescriptors: EngineProtocolLimits.descriptors + 1)
            return .success((io, raw.map { LinkDescriptor(owning: FileDescriptor(owning: $0)) }))
        } catch {
            // What a peer's death leaves behind when it had not read everything.
            return .failure(error.code == ECONNRESET ? .endOfStream : .systemError(error))
        }
    }

    /// Reading tells everything.
    func refresh() {
        isDrained = false
        isLastRead = true
    }

    func stop() {
        if let watch { loop?.unwatch(watch) }
        watch = nil
    }
}

extension LinkProgress {
    init(_ io: Socket.IO) {
        switch io {
        case .bytes(let count): self = .bytes(count)
        case .wouldBlock: self = .waitsForSocket
        case .endOfStream: self = .endOfStream
        }
    }
}
