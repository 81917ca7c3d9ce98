import Observability
import Platform

/// One client's socket: cuts what comes into lines for the session, and writes what the session has to say.
///
/// Modes: open → closing (the last bytes wait for the socket) → lingering (what still comes is thrown away until the
/// client closes, so that it sees the last answer) → closed.
final class RPCConnection {
    private enum Mode {
        case open
        case closing
        case lingering(until: UInt64)
        case closed
    }

    private unowned let door: RPCDoor
    private let service: RPCService
    private let session: RPCSession
    private var socket: ConnectionSocket
    private var mode = Mode.open
    private var framer: LineFramer
    private var heldBytes = 0
    private var queue = OutputQueue()
    private var flushIsDue = false
    /// Messages may wait because the client has to read first.
    private var isPaused = false
    private let start = MonotonicClock.now()
    private var lastRead: UInt64
    private var lastWrite: UInt64

    init(door: RPCDoor, descriptor: consuming FileDescriptor) {
        self.door = door
        service = door.service
        session = RPCSession(service: service)
        socket = ConnectionSocket(loop: service.loop, descriptor: descriptor)
        framer = LineFramer(limit: service.limits.messageBytes)
        (lastRead, lastWrite) = (start, start)
        session.waitingBytes = { [unowned self] in queue.count }
        session.onOutput = { [unowned self] in scheduleFlush() }
    }

    func begin() -> Bool {
        do throws(SystemError) {
            try socket.begin { [unowned self] in becameReady($0) }
        } catch {
            return false
        }
        return true
    }

    private func becameReady(_ readiness: EventLoop.Readiness) {
        if readiness.isGone { return close() }
        if readiness.contains(.writable) { flush() }
        if readiness.contains(.readable) { read() }
    }
}

// MARK: - Reading

extension RPCConnection {
    private func read() {
        switch mode {
        case .open where session.takesMore: break
        case .open, .closing: return socket.wait(for: socket.interest.subtracting(.readable))
        case .lingering: break
        case .closed: return
        }
        switch socket.read(into: door.readBuffer) {
        case .bytes(let count): take(UnsafeRawBufferPointer(door.readBuffer)[..<count])
        case .wouldBlock: break
        case .endOfStream: close()
        }
    }

    private func take(_ bytes: Slice<UnsafeRawBufferPointer>) {
        guard case .open = mode else { return }
        lastRead = MonotonicClock.now()
        framer.append(UnsafeRawBufferPointer(rebasing: bytes))
        takeLines()
    }

    /// Answers what has come, until the client has to read first.
    private func takeLines() {
        while case .open = mode, session.takesMore, let line = framer.next() {
            session.receive(line)
            if session.isEnding { return finish() }
        }
        isPaused = !session.takesMore
        countHeldBytes()
    }

    private func countHeldBytes() {
        let held = framer.heldBytes
        let hasRoom = service.holdUnfinished(held - heldBytes)
        heldBytes = held
        guard !hasRoom else { return }
        let limit = service.limits.unfinishedMessagesBytes
        session.refuse(.limit("unfinished messages of all connections, in bytes", limit: limit, value: limit + 1))
        finish()
    }

    private func forgetInput() {
        framer = LineFramer(limit: 0)
        _ = service.holdUnfinished(-heldBytes)
        heldBytes = 0
    }
}

// MARK: - Writing

extension RPCConnection {
    /// Everything that a turn of the loop has to say leaves with one call.
    private func scheduleFlush() {
        guard !flushIsDue else { return }
        flushIsDue = true
        service.loop.atEndOfTurn { [weak self] in self?.flush() }
    }

    private func flush() {
        flushIsDue = false
        if case .closed = mode { return }
        if queue.isEmpty { lastWrite = MonotonicClock.now() }
        queue.append(session.takeOutput())
        var isBroken = false
        let written = queue.write { first, second in
            switch socket.write(first, second) {
            case .bytes(let count): return count
            case .wouldBlock: break
            case .endOfStream: isBroken = true
            }
            return 0
        }
        if isBroken { return close() }
        if written > 0 { lastWrite = MonotonicClock.now() }
        if queue.isEmpty { session.outputLeft() }
        let interest = socket.interest
        socket.wait(for: queue.isEmpty ? interest.subtracting(.writable) : interest.union(.writable))
        if case .closing = mode, queue.isEmpty { return linger() }
        goOn()
    }

    /// After output has left there may be room again.
    private func goOn() {
        guard case .open = mode, session.takesMore else { return }
        if isPaused { lastRead = MonotonicClock.now() }
        session.outputDrained()
        takeLines()
        if case .open = mode, session.takesMore { socket.wait(for: socket.interest.union(.readable)) }
    }
}

// MARK: - Ending

extension RPCConnection {
    /// Closes once everything is written.
    func finish() {
        guard case .open = mode else { return }
        forgetInput()
        mode = .closing
        scheduleFlush()
    }

    private func linger() {
        socket.shutdownWriting()
        mode = .lingering(until: MonotonicClock.now() + service.limits.lingerNanoseconds)
        socket.wait(for: .readable)
    }

    /// Looks at the deadlines.
    func review(now: UInt64) {
        let limits = service.limits
        if !queue.isEmpty, now > lastWrite + limits.writeStallNanoseconds {
            service.logger.warning("rpc.slow_client")
            return close()
        }
        switch mode {
        case .lingering(let until): if now > until { close() }
        case .open:
            if session.tenant == nil, now > start + limits.authenticationNanoseconds {
                let seconds = limits.authenticationNanoseconds / 1_000_000_000
                session.refuse(
                    RPCError(.unauthorized, type: "unauthorized", "no key was shown within \(seconds) s"))
                finish()
            } else if heldBytes > 0, !isPaused, now > lastRead + limits.messageStallNanoseconds {
                let seconds = limits.messageStallNanoseconds / 1_000_000_000
                session.refuse(.invalidRequest("the rest of a message did not come within \(seconds) s"))
                finish()
            }
        case .closing, .closed: break
        }
    }

    /// Closes now; what the client had asked for is cancelled.
    func close() {
        if case .closed = mode { return }
        mode = .closed
        socket.close()
        queue.removeAll()
        forgetInput()
        session.end()
        door.remove(self)
    }
}
