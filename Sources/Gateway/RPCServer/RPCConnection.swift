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
    private let number: Int32
    private var descriptor: FileDescriptor?
    private var watch: EventLoop.WatchID?
    private var interest: EventLoop.Interest = .readable
    private var mode = Mode.open
    private var framer: LineFramer
    private var heldBytes = 0
    private var queue = WriteQueue()
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
        number = descriptor.rawValue
        self.descriptor = consume descriptor
        framer = LineFramer(limit: service.limits.messageBytes)
        (lastRead, lastWrite) = (start, start)
        session.waitingBytes = { [unowned self] in queue.count }
        session.onOutput = { [unowned self] in scheduleFlush() }
    }

    func begin() -> Bool {
        do throws(SystemError) {
            watch = try service.loop.watch(number, interest) { [unowned self] in becameReady($0) }
        } catch {
            return false
        }
        return true
    }

    private func becameReady(_ readiness: EventLoop.Readiness) {
        if !readiness.isDisjoint(with: [.peerClosed, .hangup, .error]) { return close() }
        if readiness.contains(.writable) { flush() }
        if readiness.contains(.readable) { read() }
    }

    private func setInterest(_ wanted: EventLoop.Interest) {
        guard wanted != interest, let watch else { return }
        interest = wanted
        service.loop.change(watch, wanted)
    }
}

// MARK: - Reading

extension RPCConnection {
    private func read() {
        switch mode {
        case .open where session.takesMore: break
        case .open, .closing: return setInterest(interest.subtracting(.readable))
        case .lingering: break
        case .closed: return
        }
        do throws(SystemError) {
            switch try Socket.read(number, into: door.readBuffer) {
            case .bytes(let count): take(UnsafeRawBufferPointer(door.readBuffer)[..<count])
            case .wouldBlock: break
            case .endOfStream: close()
            }
        } catch {
            close()
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
        queue.write { bytes in
            do throws(SystemError) {
                switch try Socket.write(number, bytes) {
                case .bytes(let count):
                    lastWrite = MonotonicClock.now()
                    return count
                case .wouldBlock: return 0
                case .endOfStream: isBroken = true
                }
            } catch {
                isBroken = true
            }
            return 0
        }
        if isBroken { return close() }
        if queue.isEmpty { session.outputLeft() }
        setInterest(queue.isEmpty ? interest.subtracting(.writable) : interest.union(.writable))
        if case .closing = mode, queue.isEmpty { return linger() }
        goOn()
    }

    /// After output has left there may be room again.
    private func goOn() {
        guard case .open = mode, session.takesMore else { return }
        if isPaused { lastRead = MonotonicClock.now() }
        session.outputDrained()
        takeLines()
        if case .open = mode, session.takesMore { setInterest(interest.union(.readable)) }
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
        Socket.shutdownWriting(number)
        mode = .lingering(until: MonotonicClock.now() + service.limits.lingerNanoseconds)
        setInterest(.readable)
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
        if let watch { service.loop.unwatch(watch) }
        watch = nil
        descriptor = nil
        queue.removeAll()
        forgetInput()
        session.end()
        door.remove(self)
    }
}
