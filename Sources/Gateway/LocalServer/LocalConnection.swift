import EngineLink
import EngineProtocol
import Observability
import Platform
import Serving
import SharedMemory

/// One local client: its link and its calls.
///
/// It takes events from the calls' outboxes as fast as the client reads, and no faster: what a slow client does not read
/// stays in the outboxes, which are bounded.
final class LocalConnection {
    /// What a connection needs from its server.
    struct Context {
        let loop: EventLoop
        let serving: Serving
        let limits: LocalServerLimits
        let metrics: LocalMetrics
        let logger: Logger
        /// Called when a call begins (1) or ends (-1).
        let onCalls: (Int) -> Void
    }

    /// A call that has not ended: it listens for itself, so that nobody has to be looked up for an event.
    private final class OpenCall: CallListener {
        let id: CallID
        let request: String
        /// Of a generation.
        let times: GenerationTimes?
        var call: ServedCall?
        /// What the client takes before it says that it has taken some.
        var window = LocalProtocol.window
        /// Among those that wait for their turn.
        var isReady = false
        private unowned let connection: LocalConnection

        init(_ id: CallID, request: String, times: GenerationTimes?, connection: LocalConnection) {
            self.id = id
            self.request = request
            self.times = times
            self.connection = connection
        }

        func callHasEvents(_ call: ServedCall) { connection.hasEvents(self) }
    }

    let id: UInt64
    private let link: LocalLink
    private let tenant: String
    private let context: Context
    private var calls: [CallID: OpenCall] = [:]
    /// Calls that have events, in the order of their turns, which have come to `turn`.
    private var ready: [OpenCall] = []
    private var turn = 0
    private var flushIsDue = false
    private var counted = RingCounters()
    /// Called once, when the client is gone.
    var onEnd: (() -> Void)?

    init(id: UInt64, link: LocalLink, tenant: String, context: Context) {
        self.id = id
        self.link = link
        self.tenant = tenant
        self.context = context
        link.onMessage = { [unowned self] in receive($0) }
        link.onDrained = { [unowned self] in flush() }
        link.onClose = { [unowned self] in ended($0) }
    }

    /// Adds what the rings have counted to the metrics.
    func count() {
        guard let counters = link.meter?.counters else { return }
        context.metrics.add(counters, since: counted)
        counted = counters
    }

    /// Ends the link; the calls are cancelled.
    func close() {
        count()
        link.close()
        cancelCalls()
        onEnd?()
        onEnd = nil
    }

    private func ended(_ reason: LinkCloseReason) {
        context.metrics.countEnd(reason)
        if reason != .endOfStream {
            context.logger.warning(
                "local.link_ended", .int("connection", Int(clamping: id)), .string("reason", reason.description))
        }
        close()
    }

    private func cancelCalls() {
        if !calls.isEmpty { context.metrics.generations.countDisconnect() }
        for open in calls.values {
            if let call = open.call { context.serving.cancel(call) }
            open.call = nil
            open.times?.finished()
            context.onCalls(-1)
        }
        calls = [:]
        ready = []
        turn = 0
    }
}

// MARK: - From the client

extension LocalConnection {
    private func receive(_ message: Message) {
        switch message {
        case .localCall(let local, let id): begin(local, id)
        case .request(.cancel, let id):
            if let call = calls[id]?.call { context.serving.end(call) }
        case .window(let bytes, let id): widen(id, by: Int(bytes))
        case .listModels(let id): answer(.models(models, call: id))
        case .ping(let number): answer(.pong(number))
        case .hello, .request, .events, .models, .pong: break
        }
    }

    private func begin(_ local: LocalCall, _ id: CallID) {
        // Whose events they are could not be told any more.
        guard calls[id] == nil else { return refuse(local, id, Self.idInUse) }
        do throws(EngineError) {
            try check(local)
            let publicID = PublicID.make(prefix: "call")
            let identity = CallIdentity(
                publicID: publicID, requestID: local.requestID.isEmpty ? publicID : local.requestID, tenant: tenant)
            let open = OpenCall(id, request: local.request.name, times: times(of: local.request), connection: self)
            open.call = try context.serving.submit(
                local.request, model: local.model, identity: identity, resumes: local.resumes, listener: open)
            calls[id] = open
            context.onCalls(1)
            hasEvents(open)
        } catch {
            refuse(local, id, error)
        }
    }

    private func times(of request: EngineRequest) -> GenerationTimes? {
        if case .generate = request { context.metrics.generations.begin() } else { nil }
    }

    private func widen(_ id: CallID, by bytes: Int) {
        guard let open = calls[id] else { return }
        open.window = min(open.window + bytes, LocalProtocol.window)
        hasEvents(open)
    }

    private static let idInUse = EngineError.invalidRequest(
        parameter: "call", message: "a call with this number has not ended yet")

    private func check(_ local: LocalCall) throws(EngineError) {
        switch local.request {
        case .generate, .embed, .score, .tokenize, .detokenize, .renderTemplate, .inspect: break
        case .load, .cancel, .credit, .pause, .openSession, .changeSession, .closeSession, .loadAdapter, .unloadAdapter:
            throw .invalidRequest(parameter: "type", message: "'type' is not a request of a client to a model")
        }
        let limit = context.limits.callsPerConnection
        guard calls.count < limit else { throw .queueFull(retryAfterMilliseconds: 1000) }
    }

    private func refuse(_ local: LocalCall, _ id: CallID, _ error: EngineError) {
        context.metrics.countCall(local.request.name, outcome: error.code)
        answer(.events([(id, .failed(error))]))
    }

    /// A message that no outbox holds; a client that asks for more and more without reading loses its link.
    private func answer(_ message: Message) { try? link.send(message) }

    private var models: [LocalModel] {
        context.serving.models.map {
            LocalModel(
                name: $0.name, state: $0.state.rawValue,
                contextLength: $0.description?.contextLength ?? $0.configuredContextLength ?? 0)
        }
    }
}

// MARK: - To the client

extension LocalConnection {
    private func hasEvents(_ open: OpenCall) {
        if !open.isReady { ready.append(open) }
        open.isReady = true
        guard !flushIsDue else { return }
        flushIsDue = true
        // All calls of a step share one message, and the client wakes once.
        context.loop.atEndOfTurn { [weak self] in
            self?.flushIsDue = false
            self?.flush()
        }
    }

    /// Sends events while the client reads: of each call in turn, so that none waits for another's long answer.
    private func flush() {
        while turn < ready.count, link.isOpen, link.pendingBytes < context.limits.pendingBytes {
            let (batch, calls) = nextBatch()
            send(batch)
            // What is counted can wait; the client cannot.
            for (open, (_, event)) in zip(calls, batch) { note(event, of: open) }
        }
    }

    private func nextBatch() -> ([(CallID, EngineEvent)], [OpenCall]) {
        var batch: [(CallID, EngineEvent)] = []
        var calls: [OpenCall] = []
        var bytes = 0
        while turn < ready.count, bytes < context.limits.batchBytes {
            let open = ready[turn]
            turn += 1
            open.isReady = false
            // What is left of a call that is over is bounded, and its end has to come through.
            guard let call = open.call, open.window > 0 || !call.isLive, let event = call.next() else { continue }
            batch.append((open.id, event))
            calls.append(open)
            bytes += event.size
            open.window -= event.size
            if event.isEnd { end(open, event) }
            guard call.hasEvents, open.call != nil else { continue }
            ready.append(open)
            open.isReady = true
        }
        if turn == ready.count {
            ready.removeAll(keepingCapacity: true)
            turn = 0
        } else if turn >= 64 {
            ready.removeFirst(turn)
            turn = 0
        }
        return (batch, calls)
    }

    private func note(_ event: EngineEvent, of open: OpenCall) {
        switch event {
        case .tokens(let chunk): open.times?.receivedTokens(chunk.ids.count)
        case .finished(let usage, _): open.times?.counted(usage)
        case .accepted, .started, .choiceFinished, .tensor, .failed, .result, .statistics: break
        }
        if event.isEnd { open.times?.finished() }
    }

    private func end(_ open: OpenCall, _ event: EngineEvent) {
        calls[open.id] = nil
        open.call = nil
        context.onCalls(-1)
        if case .failed(let error) = event {
            context.metrics.countCall(open.request, outcome: error.code)
        } else {
            context.metrics.countCall(open.request, outcome: "ok")
        }
    }

    /// An event that no message can hold ends its call.
    private func send(_ batch: [(CallID, EngineEvent)]) {
        guard !batch.isEmpty else { return }
        do throws(LinkSendError) { return try link.send(.events(batch)) } catch {}
        for (id, event) in batch {
            do throws(LinkSendError) { try link.send(.events([(id, event)])) } catch {
                let failure = EngineError.internalError(id: "", message: "an event cannot be sent: \(error)")
                if let open = calls[id] {
                    if let call = open.call { context.serving.cancel(call) }
                    end(open, .failed(failure))
                }
                answer(.events([(id, .failed(failure))]))
            }
        }
    }
}
