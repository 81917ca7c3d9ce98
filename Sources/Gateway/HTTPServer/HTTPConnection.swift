import Platform

/// One client's connection: reads requests, lets the handler answer them one after the other, and closes well.
///
/// Modes: open → (closing: the last bytes wait for the socket) → lingering: what still comes is thrown away until the
/// client closes, because closing a socket with unread bytes makes the system throw away the answer too → closed.
final class HTTPConnection {
    private enum Mode {
        case open
        case closing
        case lingering(until: UInt64, bytesLeft: Int)
        case closed
    }

    /// What the deadline is for.
    private enum Wait {
        case nothing
        case nextRequest
        case head
        case body
        case writing
        case lingering
    }

    let server: HTTPServer
    let isSurplus: Bool
    private var socket: ConnectionSocket
    private var mode = Mode.open

    private var parser: HTTPParser
    /// What was read but belongs to a request after the current one.
    private var leftover: [UInt8] = []
    private var isParsing = false
    private var heldBodyBytes = 0

    private var exchange: HTTPResponseWriter?
    private var output = OutputQueue()
    private var isBroken = false

    private var wait = Wait.nothing
    private var deadline = UInt64.max
    private var timer: EventLoop.TimerID?
    private var timerDeadline = UInt64.max

    init(server: HTTPServer, descriptor: consuming FileDescriptor, peer: HTTPPeer, isSurplus: Bool) {
        self.server = server
        self.isSurplus = isSurplus
        socket = ConnectionSocket(loop: server.loop, descriptor: descriptor)
        parser = HTTPParser(limits: server.limits, peer: peer)
    }

    private var isOpen: Bool { if case .open = mode { true } else { false } }
    private var isClosed: Bool { if case .closed = mode { true } else { false } }

    func start() -> Bool {
        do throws(SystemError) {
            try socket.begin { self.becameReady($0) }
        } catch {
            return false
        }
        setDeadline()
        return true
    }

    private func becameReady(_ readiness: EventLoop.Readiness) {
        if readiness.isGone { return close() }
        if readiness.contains(.writable) { flush() }
        if readiness.contains(.readable) { read() }
    }
}

// MARK: - Reading

extension HTTPConnection {
    /// Requests are taken up one at a time, and none while answers to earlier ones wait for the client to read.
    private var canTakeRequest: Bool { isOpen && exchange == nil && output.isEmpty && !isBroken }

    private func read() {
        switch mode {
        case .open where canTakeRequest: break
        case .open, .closing: return socket.wait(for: socket.interest.subtracting(.readable))
        case .lingering: return throwAway()
        case .closed: return
        }
        switch socket.read(into: server.readBuffer) {
        case .bytes(let count): parse(UnsafeRawBufferPointer(server.readBuffer)[..<count])
        case .wouldBlock: break
        case .endOfStream: close()
        }
    }

    private func parse(_ bytes: Slice<UnsafeRawBufferPointer>) {
        isParsing = true
        var rest = bytes
        while canTakeRequest, !rest.isEmpty {
            let (used, event) = parser.consume(UnsafeRawBufferPointer(rebasing: rest))
            rest = rest.dropFirst(used)
            guard countBody() else {
                refuse(.outOfBodyMemory(limit: server.limits.unfinishedBodiesBytes))
                break
            }
            switch event {
            case .headComplete(let expectsContinue)?:
                if expectsContinue && rest.isEmpty { send(HTTPConnection.continueResponse) }
            case .request(let request)?: handle(request)
            case .refused(let refusal)?: refuse(refusal)
            case nil: break
            }
        }
        if isOpen, !rest.isEmpty { leftover = Array(rest) }
        isParsing = false
        setDeadline()
    }

    private static let continueResponse = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)

    private func countBody() -> Bool {
        let held = parser.bodyBytesHeld
        defer { heldBodyBytes = held }
        return held == heldBodyBytes || server.holdBodyBytes(held - heldBodyBytes)
    }

    private func handle(_ request: HTTPRequest) {
        let writer = HTTPResponseWriter(
            connection: self, version: request.version, isHead: request.method == "HEAD",
            keepsAlive: request.keepsAlive && !server.answersAreLast)
        exchange = writer
        server.handler(request, writer)
    }

    /// Goes on with what has been read, or reads more.
    private func takeUpNext() {
        guard canTakeRequest, !isParsing else { return }
        if !leftover.isEmpty {
            let bytes = leftover
            leftover = []
            bytes.withUnsafeBytes { parse($0[...]) }
        }
        if canTakeRequest { socket.wait(for: .readable) }
    }

    private func throwAway() {
        guard case .lingering(let until, let bytesLeft) = mode else { return }
        switch socket.read(into: server.readBuffer) {
        case .bytes(let count) where count < bytesLeft:
            mode = .lingering(until: until, bytesLeft: bytesLeft - count)
            setDeadline()
        case .wouldBlock: break
        case .bytes, .endOfStream: close()
        }
    }
}

// MARK: - Writing

extension HTTPConnection {
    var pendingBytes: Int { output.count }

    /// Writes at once what the socket takes and keeps the rest.
    func send(_ bytes: [UInt8]) {
        guard !isClosed, !isBroken else { return }
        let written = output.isEmpty ? bytes.span.withUnsafeBytes { write($0, nil) } : 0
        keep(bytes, skipping: written)
    }

    /// Writes two arrays with one call, without joining them.
    func send(_ first: [UInt8], _ second: [UInt8]) {
        guard !isClosed, !isBroken else { return }
        var written = 0
        if output.isEmpty {
            written = first.span.withUnsafeBytes { first in
                second.span.withUnsafeBytes { second in write(first, second) }
            }
        }
        keep(first, skipping: min(written, first.count))
        keep(second, skipping: max(0, written - first.count))
    }

    private func write(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer?) -> Int {
        switch socket.write(first, second) {
        case .bytes(let count): return count
        case .wouldBlock: break
        case .endOfStream: breakOff()
        }
        return 0
    }

    private func keep(_ bytes: [UInt8], skipping: Int) {
        guard skipping < bytes.count, !isBroken else { return }
        let isFirst = output.isEmpty
        output.append(bytes, skipping: skipping)
        if isFirst {
            socket.wait(for: socket.interest.union(.writable))
            setDeadline()
        }
    }

    private func flush() {
        let written = output.write(write)
        if isBroken { return }
        guard output.isEmpty else {
            if written > 0 { setDeadline() }
            return
        }
        socket.wait(for: socket.interest.subtracting(.writable))
        if case .closing = mode { return linger() }
        exchange?.drained()
        takeUpNext()
        setDeadline()
    }

    /// The socket takes nothing any more: closes when nobody is in the middle of a call that wrote to it.
    private func breakOff() {
        isBroken = true
        server.loop.atEndOfTurn { self.close() }
    }
}

// MARK: - Ending

extension HTTPConnection {
    /// Called by the writer when its response is complete.
    func exchangeEnded(keepsAlive: Bool) {
        exchange = nil
        guard keepsAlive, !server.answersAreLast else { return finish() }
        takeUpNext()
        setDeadline()
    }

    /// Answers by itself and closes.
    func refuse(_ refusal: HTTPRefusal) {
        var headers = [HTTPHeader("Content-Type", "application/json")]
        if refusal.isTemporary { headers.append(HTTPHeader("Retry-After", "1")) }
        let body = server.body(of: refusal)
        var head: [UInt8] = []
        HTTPResponseHead.append(
            to: &head, status: refusal.status, headers: headers, framing: .length(body.count), version: .oneOne,
            keepsAlive: false, date: server.currentDate())
        send(head, body)
        finish()
    }

    /// Closes once everything is written.
    private func finish() {
        guard isOpen else { return }
        forgetInput()
        mode = .closing
        if output.isEmpty { linger() } else { setDeadline() }
    }

    /// Frees what was read of a request that nobody will see.
    private func forgetInput() {
        leftover = []
        parser = HTTPParser(limits: parser.limits, peer: parser.peer)
        _ = server.holdBodyBytes(-heldBodyBytes)
        heldBodyBytes = 0
    }

    private func linger() {
        socket.shutdownWriting()
        let most = MonotonicClock.now() + HTTPConnection.nanoseconds(server.limits.bodyReadSeconds)
        mode = .lingering(until: most, bytesLeft: server.limits.lingerBytes)
        socket.wait(for: .readable)
        setDeadline()
    }

    /// Closes a connection that is between requests.
    func closeIfIdle() {
        if isOpen, exchange == nil, output.isEmpty, leftover.isEmpty, parser.phase == .idle { close() }
    }

    /// Closes now; a response that is not complete learns that its client is gone.
    func close() {
        guard !isClosed else { return }
        mode = .closed
        socket.close()
        if let timer { server.loop.cancel(timer) }
        timer = nil
        output.removeAll()
        forgetInput()
        let exchange = exchange
        self.exchange = nil
        server.remove(self)
        exchange?.clientWentAway()
    }
}

// MARK: - Deadlines

extension HTTPConnection {
    private static func nanoseconds(_ seconds: Double) -> UInt64 { UInt64(max(0, seconds) * 1e9) }

    private var currentWait: Wait {
        switch mode {
        case .closed: return .nothing
        case .lingering: return .lingering
        case .closing: return .writing
        case .open: break
        }
        if !output.isEmpty { return .writing }
        if exchange != nil { return .nothing }
        switch parser.phase {
        case .idle: return .nextRequest
        case .head: return .head
        case .body: return .body
        case .refused: return .writing
        }
    }

    /// Starts the time limit of what is being waited for now.
    ///
    /// The timer is only moved when it would come too late: the limit of a busy connection moves with every request, and
    /// the timer looks at it again when it fires.
    private func setDeadline() {
        let limits = server.limits
        let before = wait
        wait = currentWait
        let now = MonotonicClock.now()
        switch wait {
        case .nothing: deadline = .max
        case .nextRequest: deadline = now + HTTPConnection.nanoseconds(limits.idleSeconds)
        case .head: if before != .head { deadline = now + HTTPConnection.nanoseconds(limits.headSeconds) }
        case .body: deadline = now + HTTPConnection.nanoseconds(limits.bodyReadSeconds)
        case .writing: deadline = now + HTTPConnection.nanoseconds(limits.writeStallSeconds)
        case .lingering:
            guard case .lingering(let until, _) = mode else { return }
            deadline = min(until, now + HTTPConnection.nanoseconds(limits.lingerSeconds))
        }
        if deadline < timerDeadline { armTimer(now: now) }
    }

    private func armTimer(now: UInt64) {
        if let timer { server.loop.cancel(timer) }
        timer = nil
        timerDeadline = deadline
        guard deadline != .max else { return }
        let delay = deadline > now ? deadline - now : 0
        timer = server.loop.after(nanoseconds: delay) { [weak self] in self?.timerFired() }
    }

    private func timerFired() {
        timer = nil
        timerDeadline = .max
        let now = MonotonicClock.now()
        guard now >= deadline else { return armTimer(now: now) }
        switch wait {
        case .nothing: break
        case .head: refuse(.timeout("head", seconds: server.limits.headSeconds))
        case .body: refuse(.timeout("body", seconds: server.limits.bodyReadSeconds))
        case .nextRequest, .writing, .lingering: close()
        }
    }
}
