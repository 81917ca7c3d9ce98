import EngineProtocol
import Glibc
import Platform
import Synchronization

/// One end of a link on an event loop: what `LinkClient` and `LinkServer` share.
///
/// Threading: `send` is for any thread, because it only touches the locked sender; everything else is on the loop,
/// which the last owner leaves only after `close`.
final class LinkConnection: @unchecked Sendable {
    private let loop: EventLoop
    private let limits: LinkLimits
    private let sender: Mutex<LinkSender>
    private let socket: Int32

    // On the loop
    private var receiver: LinkReceiver
    private var watch: EventLoop.WatchID?
    private var isReading = false
    var onMessage: ((Message, [LinkDescriptor]) -> Void)?
    var onClose: ((LinkCloseReason) -> Void)?

    init(
        loop: EventLoop, descriptor: consuming FileDescriptor, role: Hello.Role, buildID: UInt64, limits: LinkLimits
    ) {
        self.loop = loop
        self.limits = limits
        socket = descriptor.rawValue
        receiver = LinkReceiver(role: role, buildID: buildID, limits: limits)
        sender = Mutex(LinkSender(descriptor: descriptor, limits: limits))
    }

    var isOpen: Bool { watch != nil }

    /// Says hello and begins to read.
    func start(_ hello: Hello) throws(SystemError) {
        watch = try loop.watch(socket, .readable) { [weak self] in self?.handle($0) }
        try? send(.hello(hello))
    }

    // MARK: Sending, on any thread

    func send(_ message: Message, attached: [LinkDescriptor] = []) throws(LinkSendError) {
        let outgoing = try OutgoingMessage(message, attached: attached, limits: limits)
        // The lock also keeps the order: whoever takes it first is first in the stream.
        act(on: sender.withLock { $0.send(outgoing) })
    }

    private func act(on outcome: LinkSender.Outcome) {
        switch outcome {
        case .done: break
        case .waitForWritable: onLoop { $0.waitForWritable() }
        case .broken(let reason):
            // Always later, so that nobody's handlers are called inside their own `send`.
            loop.post { [weak self] in self?.fail(afterReading: reason) }
        }
    }

    private func onLoop(_ work: @escaping @Sendable (LinkConnection) -> Void) {
        if loop.isOnLoop { return work(self) }
        loop.post { [weak self] in
            if let self { work(self) }
        }
    }

    // MARK: On the loop

    private func handle(_ readiness: EventLoop.Readiness) {
        if readiness.contains(.writable) { flush() }
        if !readiness.isDisjoint(with: [.readable, .peerClosed, .hangup, .error]) {
            read(limit: limits.readsPerTurn)
        }
    }

    private func waitForWritable() {
        if let watch { loop.change(watch, [.readable, .writable]) }
    }

    private func flush() {
        guard let watch else { return }
        // Before the flush: a sender on another thread that finds the socket full afterwards asks again.
        loop.change(watch, .readable)
        switch sender.withLock({ $0.isOpen ? $0.flush() : .done }) {
        case .done: break
        case .waitForWritable: waitForWritable()
        case .broken(let reason): fail(afterReading: reason)
        }
    }

    /// Reads and delivers what is there.
    ///
    /// - Parameter limit: of reads, so that a busy peer cannot keep the loop for itself.
    func read(limit: Int) {
        guard !isReading else { return }
        isReading = true
        defer { isReading = false }
        for _ in 0..<limit where isOpen {
            switch receive() {
            case .success(.bytes): deliver()
            case .success(.wouldBlock): return
            case .success(.endOfStream): return fail(.endOfStream)
            case .failure(let reason): return fail(reason)
            }
        }
    }

    private func receive() -> Result<Socket.IO, LinkCloseReason> {
        let socket = socket
        let outcome = receiver.fill { room -> (count: Int, Result<(Socket.IO, [Int32]), SystemError>) in
            let result = Result { () throws(SystemError) in
                try Socket.receive(socket, into: room, maximumDescriptors: EngineProtocolLimits.descriptors + 1)
            }
            if case .success((.bytes(let count), _)) = result { return (count, result) }
            return (0, result)
        }
        switch outcome {
        case .success((let io, let raw)):
            guard !raw.isEmpty else { return .success(io) }
            let descriptors = raw.map { LinkDescriptor(owning: FileDescriptor(owning: $0)) }
            do throws(LinkViolation) { try receiver.add(descriptors) } catch {
                return .failure(.protocolViolation(error))
            }
            return .success(io)
        case .failure(let error):
            // What a peer's death leaves behind when it had not read everything.
            return .failure(error.isConnectionReset ? .endOfStream : .systemError(error))
        }
    }

    private func deliver() {
        do throws(LinkViolation) {
            while isOpen, let (message, descriptors) = try receiver.next() { onMessage?(message, descriptors) }
        } catch {
            fail(.protocolViolation(error))
        }
    }

    /// Ends a link whose writing failed: what the peer sent before comes first.
    private func fail(afterReading reason: LinkCloseReason) {
        read(limit: limits.readsPerTurn)
        fail(reason)
    }

    private func fail(_ reason: LinkCloseReason) {
        guard isOpen else { return }
        close()
        onClose?(reason)
    }

    /// Ends the link without calling `onClose`.
    func close() {
        if let watch { loop.unwatch(watch) }
        watch = nil
        sender.withLock { $0.close() }
    }
}

extension SystemError {
    fileprivate var isConnectionReset: Bool { code == ECONNRESET }
}
