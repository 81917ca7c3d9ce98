import EngineLink
import EngineProtocol
import Platform
import SharedMemory
import Synchronization

/// The one connection of a client: its thread, its link, its calls, and the attempts to connect again.
///
/// Threading: `begin`, `ask`, `cancel`, `widen` and `close` are for any thread; all else happens on the loop, which is
/// the client's own thread.
final class ClientConnection: @unchecked Sendable {
    typealias Listener = @Sendable (Result<EngineEvent, ClientError>) -> Void
    typealias Answer = @Sendable (Result<Message, ClientError>) -> Void

    private enum Receiver {
        case events(Listener)
        case answer(Answer)

        func fail(_ error: ClientError) {
            switch self {
            case .events(let listener): listener(.failure(error))
            case .answer(let answer): answer(.failure(error))
            }
        }
    }

    private final class Call {
        /// Nil once it was sent.
        var request: Message?
        let receiver: Receiver
        var wasDelivered = false

        var isSent: Bool { request == nil }

        init(_ request: Message, _ receiver: Receiver) {
            self.request = request
            self.receiver = receiver
        }
    }

    private let loop: EventLoop
    private let path: String
    private let options: ClientOptions
    private let thread: Thread
    private let lastID = Atomic<UInt64>(0)

    // On the loop
    private var link: LocalLink?
    private var calls: [CallID: Call] = [:]
    private var isClosed = false
    private var attempt: EventLoop.TimerID?
    private var failures = 0
    private var lastFailure = "no attempt was made yet"

    private static let firstDelay: UInt64 = 10_000_000
    private static let longestDelay: UInt64 = 1_000_000_000

    init(path: String, options: ClientOptions) throws(ClientError) {
        self.path = path
        self.options = options
        do {
            let loop = try EventLoop()
            self.loop = loop
            thread = try Thread.start(name: "apus-client") { loop.run() }
        } catch {
            throw .notConnected(reason: "\(error)")
        }
        loop.post { [weak self] in self?.connect() }
    }

    // MARK: From any thread

    func nextID() -> CallID { CallID(rawValue: lastID.wrappingAdd(1, ordering: .relaxed).newValue) }

    /// Sends a call as soon as there is a connection.
    func begin(_ call: LocalCall, id: CallID, _ listener: @escaping Listener) {
        begin(.localCall(call, call: id), id, .events(listener))
    }

    /// Sends a message whose answers carry the same number.
    func ask(_ message: Message, id: CallID, _ answer: @escaping Answer) {
        begin(message, id, .answer(answer))
    }

    private func begin(_ message: Message, _ id: CallID, _ receiver: Receiver) {
        loop.post { [self] in
            guard !isClosed else { return receiver.fail(.closed) }
            calls[id] = Call(message, receiver)
            if link != nil { return send(id) }
            connectSoon()
            _ = loop.after(nanoseconds: UInt64(options.connectSeconds * 1e9)) { [weak self] in
                guard let self, calls[id]?.isSent == false else { return }
                end(id, .notConnected(reason: lastFailure))
            }
        }
    }

    func cancel(_ id: CallID) {
        loop.post { [weak self] in
            guard let self, let call = calls[id] else { return }
            if call.isSent { try? link?.send(.request(.cancel, call: id)) } else { end(id, .engine(.cancelled)) }
        }
    }

    func widen(_ id: CallID, by bytes: UInt32) {
        loop.post { [weak self] in
            if let self, calls[id] != nil { try? link?.send(.window(bytes, call: id)) }
        }
    }

    /// Ends all calls and the client's thread.
    func close() {
        loop.post { [self] in
            guard !isClosed else { return }
            isClosed = true
            link?.close()
            link = nil
            for id in Array(calls.keys) { end(id, .closed) }
            loop.stop()
        }
        if !loop.isOnLoop { thread.join() }
    }
}

// MARK: - On the loop

extension ClientConnection {
    private func send(_ id: CallID) {
        guard let link, let call = calls[id], let request = call.request else { return }
        do throws(LinkSendError) {
            try link.send(request)
            call.request = nil
        } catch {
            end(id, .invalidRequest(reason: error.description))
        }
    }

    private func receive(_ message: Message) {
        switch message {
        case .events(let events): for (id, event) in events { receive(event, of: id) }
        case .models(_, let id): finish(id, message)
        case .pong(let number): finish(CallID(rawValue: number), message)
        case .ping(let number): try? link?.send(.pong(number))
        case .hello, .request, .localCall, .listModels, .window: break
        }
    }

    private func receive(_ event: EngineEvent, of id: CallID) {
        guard let call = calls[id] else { return }
        if event.isEnd { calls[id] = nil }
        call.wasDelivered = true
        switch call.receiver {
        case .events(let listener): listener(.success(event))
        case .answer(let answer): answer(.failure(.unexpectedAnswer))
        }
    }

    private func finish(_ id: CallID, _ message: Message) {
        guard let call = calls.removeValue(forKey: id) else { return }
        switch call.receiver {
        case .events(let listener): listener(.failure(.unexpectedAnswer))
        case .answer(let answer): answer(.success(message))
        }
    }

    private func end(_ id: CallID, _ error: ClientError) { calls.removeValue(forKey: id)?.receiver.fail(error) }

    // MARK: Connecting

    private func connect() {
        attempt = nil
        guard !isClosed, link == nil else { return }
        do throws(HandshakeError) {
            begin(try Handshake.connect(path: path, options: options.handshake))
        } catch {
            failed(error)
        }
    }

    private func begin(_ agreed: consuming Connection) {
        do throws(SystemError) {
            let link = try LocalLink(
                loop: loop, connection: agreed, side: .client, limits: LinkLimits(),
                spin: SpinBudget(processors: CPULimits.current().usableCount, computeThreads: 0))
            link.onMessage = { [unowned self] in receive($0) }
            link.onClose = { [unowned self] in lost($0.description) }
            self.link = link
            failures = 0
            for id in calls.keys.sorted(by: { $0.rawValue < $1.rawValue }) { send(id) }
        } catch {
            failed(.system(error))
        }
    }

    private func failed(_ error: HandshakeError) {
        lastFailure = error.description
        // What the server says no to, it says no to again; when it is full or stopping, it may not.
        if case .refused(let refusal) = error, !refusal.isTemporary {
            for id in Array(calls.keys) { end(id, .refused(reason: refusal.description)) }
        } else {
            failures += 1
            if !calls.isEmpty || options.reconnects { connectSoon() }
        }
    }

    private func connectSoon() {
        guard attempt == nil, link == nil else { return }
        let delay = failures == 0 ? 0 : min(Self.firstDelay << UInt64(min(failures - 1, 10)), Self.longestDelay)
        // Many clients of one server do not come back at the same moment.
        let jitter = delay == 0 ? 0 : SystemRandom.next() % delay
        attempt = loop.after(nanoseconds: delay / 2 + jitter / 2) { [weak self] in self?.connect() }
    }

    private func lost(_ reason: String) {
        link = nil
        lastFailure = reason
        for (id, call) in calls where call.isSent {
            end(id, .connectionLost(delivered: call.wasDelivered, reason: reason))
        }
        if options.reconnects || !calls.isEmpty { connectSoon() }
    }
}
