import EngineProtocol
import Platform
import SharedMemory
import Synchronization

/// One end of a link on an event loop: what `LinkClient`, `LinkServer` and `LocalLink` share.
///
/// Threading: `send` is for any thread, because it only touches the locked sender; everything else is on the loop,
/// which the last owner leaves only after `close`.
final class LinkConnection: @unchecked Sendable {
    private let loop: EventLoop
    private let maximumInline: Int
    private let checksPayloads: Bool
    private let sender: Mutex<LinkSender>

    // On the loop
    /// Nil when the link is closed.
    private var input: (any LinkInput)?
    private var receiver: LinkReceiver
    private var isReading = false
    private var readsAgain = false
    var onMessage: ((Message, [LinkDescriptor]) -> Void)?
    var onClose: ((LinkCloseReason) -> Void)?
    /// Called when everything that waited has been written.
    var onDrained: (() -> Void)?

    init(
        loop: EventLoop, transport: consuming Transport, role: LinkRole, buildID: UInt64, limits: LinkLimits,
        checksPayloads: Bool = false, scratch: LinkScratch? = nil, spin: SpinBudget = .off
    ) {
        self.loop = loop
        self.checksPayloads = checksPayloads
        let output: any LinkOutput
        switch consume transport {
        case .stream(let socket):
            let writing = StreamOutput(socket: socket, limits: limits)
            input = StreamInput(socket: writing.rawValue, limits: limits)
            output = writing
        case .rings(let rings):
            output = RingOutput(producer: rings.producer, limits: limits)
            input = RingInput(
                consumer: rings.consumer, limits: limits, scratch: scratch ?? LinkScratch(), spin: spin)
        }
        maximumInline = output.maximumInlinePayload
        receiver = LinkReceiver(role: role, isStream: output.isStream, buildID: buildID, limits: limits)
        sender = Mutex(LinkSender(output: output, limits: limits))
    }

    var isOpen: Bool { input != nil }

    /// Says hello, if the two sides have not met yet, and begins to read.
    func start(_ hello: Hello?) throws(SystemError) {
        try input?.start(on: loop) { [weak self] in self?.handle($0) }
        if let hello { try? send(.hello(hello)) }
    }

    // MARK: Sending, on any thread

    func send(_ message: Message, attached: [LinkDescriptor] = []) throws(LinkSendError) {
        let outgoing = try OutgoingMessage(
            message, in: sender.withLock { $0.takeBuffer() }, attached: attached, maximumInline: maximumInline,
            payloadChecksum: checksPayloads)
        // The lock also keeps the order: whoever takes it first is first in the stream.
        act(on: sender.withLock { $0.send(outgoing) })
    }

    /// Bytes that wait for the peer to read.
    var pendingBytes: Int { sender.withLock { $0.pendingBytes } }

    private func act(on outcome: LinkSender.Outcome) {
        switch outcome {
        case .done: break
        case .waitForSocket: onLoop { $0.input?.watchWriting(true) }
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
        // What came is more urgent than what waits.
        if !readiness.isDisjoint(with: [.readable, .peerClosed, .hangup, .error]) {
            read()
        }
        if readiness.contains(.writable) { flush() }
    }

    private func flush() {
        guard let input else { return }
        // Before the flush: a sender on another thread that finds the socket full afterwards asks again.
        input.watchWriting(false)
        let (outcome, hasDrained) = sender.withLock { sender in
            let waited = sender.pendingBytes > 0
            sender.forgetWatch()
            let outcome = sender.flush()
            return (outcome, waited && sender.pendingBytes == 0)
        }
        switch outcome {
        case .done: if hasDrained { onDrained?() }
        case .waitForSocket: input.watchWriting(true)
        case .broken(let reason): fail(afterReading: reason)
        }
    }

    /// Delivers what is there of a peer that has ended.
    func drain() {
        input?.refresh()
        read(limit: 1 << 12)
    }

    /// Reads and delivers what is there.
    ///
    /// - Parameter limit: of reads, so that a busy peer cannot keep the loop for itself.
    private func read(limit: Int? = nil) {
        guard !isReading, let perTurn = input?.receivesPerTurn else { return }
        isReading = true
        defer { isReading = false }
        for _ in 0..<(limit ?? perTurn) {
            guard let input else { return }
            switch input.receive(into: &receiver) {
            case .success(.bytes): deliver()
            case .success(.wouldBlock): return
            case .success(.endOfStream): return fail(.endOfStream)
            case .failure(let reason): return fail(reason)
            }
        }
        if isOpen { readAgain() }
    }

    /// A ring that is not empty wakes nobody.
    private func readAgain() {
        guard !readsAgain else { return }
        readsAgain = true
        _ = loop.after(nanoseconds: 0) { [weak self] in
            guard let self else { return }
            readsAgain = false
            read()
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
        input?.refresh()
        read()
        fail(reason)
    }

    private func fail(_ reason: LinkCloseReason) {
        guard isOpen else { return }
        close()
        onClose?(reason)
    }

    /// Ends the link without calling `onClose`.
    func close() {
        input?.stop()
        input = nil
        sender.withLock { $0.close() }
    }
}
