import EngineProtocol
import Observability
import Platform
import Supervision

/// One model: its worker's state, the calls that are at the worker, and those that wait for it.
///
/// Everything happens on the loop. Each call gets exactly one end event, whatever becomes of the worker.
final class ModelChannel {
    let name: String
    let loop: EventLoop
    let supervisor: any SupervisedWorker
    private let logger: Logger
    let limits: ServingLimits
    var onReady: () -> Void = {}
    var onFailed: (_ reason: String) -> Void = { _ in }
    /// After `stop`: the memory of its worker is free.
    var onStopped: () -> Void = {}
    /// The last call has ended.
    var onIdle: () -> Void = {}
    /// What keeps the worker from being started; nil once it was.
    var shortage: () -> MemoryShortage? = { nil }
    var nextSequence: UInt64 = 1
    private var nextNumber: UInt64 = 1
    var nextSession: UInt64 = 1
    /// Those that were not closed.
    var sessions: [SessionID: ServedSession] = [:]
    private var calls: [CallID: ServedCall] = [:] { didSet { noteIfIdle() } }
    /// Calls that wait, by their number.
    private var held: [UInt64: ServedCall] = [:] { didSet { noteIfIdle() } }
    /// Says which of them is sent when.
    private var queue: ReplayQueue
    private(set) var quarantine: Quarantine<ContentKey>
    private var queueTimer: EventLoop.TimerID?
    private var description: ModelDescription?
    private var statistics: WorkerStatistics?
    private var callsLost: UInt64 = 0
    private var callsReplayed: UInt64 = 0
    private var callsResumed: UInt64 = 0
    private var callsQuarantined: UInt64 = 0

    /// - Parameters:
    ///   - description: of a worker that is ready already.
    ///   - quarantine: what earlier workers of the same model have taught.
    init(
        name: String, loop: EventLoop, supervisor: any SupervisedWorker, description: ModelDescription? = nil,
        quarantine: Quarantine<ContentKey>? = nil, limits: ServingLimits, logger: Logger
    ) {
        self.name = name
        self.description = description
        self.loop = loop
        self.supervisor = supervisor
        self.limits = limits
        self.logger = logger
        queue = ReplayQueue(patience: limits.trialNanoseconds)
        self.quarantine =
            quarantine
            ?? Quarantine(capacity: limits.quarantinedRequests, nanoseconds: limits.quarantineNanoseconds)
        supervisor.onReady = { [unowned self] in workerIsReady($0) }
        supervisor.onEvents = { [unowned self] in receive($0) }
        supervisor.onLost = { [unowned self] in workerIsLost($0) }
        supervisor.onFailed = { [unowned self] in workerHasFailed($0) }
        supervisor.onStopped = { [unowned self] in onStopped() }
    }

    func start() { supervisor.start() }

    func stop() { supervisor.stop() }

    var status: ModelStatus {
        let lifeCycle = supervisor.state
        let (state, reason): (ModelStatus.State, String?) =
            switch lifeCycle.phase {
            case .starting: (.starting, lifeCycle.lastEnd.map { "its last worker: \($0.text)" })
            case .ready: (.ready, nil)
            case .backingOff(_, let end): (.backingOff, end.text)
            case .failed(let reason): (.failed, reason)
            case .draining: (.draining, nil)
            }
        let now = MonotonicClock.now()
        return ModelStatus(
            name: name, state: state, stateReason: reason,
            retryAfterMilliseconds: lifeCycle.retryAfterMilliseconds(now: now), restarts: lifeCycle.restarts,
            workerEnds: WorkerEnd.Kind.allCases.map { ($0.rawValue, lifeCycle.ends[$0] ?? 0) },
            description: description, statistics: statistics, workerProcessID: supervisor.workerProcessID,
            stillNanoseconds: supervisor.stillNanoseconds,
            callsInFlight: callsInFlight, callsLost: callsLost, callsReplayed: callsReplayed,
            callsResumed: callsResumed, callsQuarantined: callsQuarantined,
            requestsQuarantined: quarantine.quarantinedCount(now: now))
    }

    var callsInFlight: Int { calls.count + held.count }
    var liveCalls: [ServedCall] { Array(calls.values) + held.values.sorted { $0.number < $1.number } }

    private func noteIfIdle() { if callsInFlight == 0 { onIdle() } }

    /// Why a call that waits is given up.
    private func notLoaded(retryAfter: UInt32) -> EngineError {
        if let shortage = shortage() { return .resourceExhausted(message: shortage.text, permanent: false) }
        return .modelNotReady(reason: reasonToWait, retryAfterMilliseconds: retryAfter)
    }

    /// Sends a call, holds it until it may be sent, or says why not.
    func admit(
        _ request: EngineRequest, identity: CallIdentity, resumes: Bool, session: ServedSession? = nil,
        files: [AttachedFile] = [], listener: any CallListener
    ) throws(EngineError) -> ServedCall {
        let now = MonotonicClock.now()
        if let session { try check(session, for: request) }
        guard callsInFlight < limits.callsPerModel else { throw .queueFull(retryAfterMilliseconds: 1000) }
        if let deadline = request.deadline, deadline <= now { throw .deadlineExceeded }
        let call = ServedCall(
            identity: identity, model: name, number: nextNumber, request: request, resumes: resumes, session: session,
            files: files, listener: listener)
        call.channel = self
        nextNumber += 1
        let retryAfter = supervisor.state.retryAfterMilliseconds(now: now)
        let suspicion = try suspicion(of: call, now: now)
        switch supervisor.state.phase {
        case .ready where !queue.isBusy && suspicion == nil:
            try send(call)
        case .ready, .starting, .backingOff:
            guard held.count < limits.heldCallsPerModel else {
                throw notLoaded(retryAfter: retryAfter)
            }
            hold(call, suspicion: suspicion, now: now)
            sendHeld()
        case .failed(let reason):
            throw .modelNotReady(reason: "the model could not be loaded: \(reason)", retryAfterMilliseconds: retryAfter)
        case .draining:
            throw .modelNotReady(reason: "the server is stopping", retryAfterMilliseconds: retryAfter)
        }
        if let deadline = request.deadline { end(call, at: deadline, now: now) }
        if let session, call.isLive {
            session.calls += 1
            call.countsInSession = true
        }
        return call
    }

    private var reasonToWait: String {
        if supervisor.state.phase == .ready { return "the model recovers from a crash" }
        guard let end = supervisor.state.lastEnd else { return "the model is being loaded" }
        return "the model is being restarted: \(end.text)"
    }

    /// The tokens that a worker had made for this request when it died; nil for a request without a past.
    private func suspicion(of call: ServedCall, now: UInt64) throws(EngineError) -> Int? {
        guard !quarantine.isEmpty else { return nil }
        let key = call.contentKey ?? ContentKey(call.request)
        switch quarantine.verdict(of: key, now: now) {
        case .unknown: return nil
        case .suspect(let tokens):
            call.contentKey = key
            return tokens
        case .quarantined:
            callsQuarantined += 1
            throw .quarantined
        }
    }

    private func end(_ call: ServedCall, at deadline: UInt64, now: UInt64) {
        _ = loop.after(nanoseconds: deadline - now) { [weak self, weak call] in
            guard let self, let call, call.isLive else { return }
            leave(call, with: .deadlineExceeded)
        }
    }

    /// Cancels a call at the worker and tells its door why.
    func leave(_ call: ServedCall, with error: EngineError) {
        cancel(call)
        call.put(.failed(error), now: MonotonicClock.now())
        call.listener?.callHasEvents(call)
    }

    /// Ends a call for its door at once; the worker confirms later, and only then is its place free.
    func cancel(_ call: ServedCall) {
        switch call.phase {
        case .waiting:
            call.phase = .ended
            release(call)
            noteEnded(call)
            sendHeld()
        case .sent(let id):
            call.phase = .cancelling(id)
            // A cancel is small; to a worker that is gone there is nothing to say.
            try? supervisor.send(.cancel, call: id)
        case .cancelling, .ended:
            break
        }
    }

    /// Tells the worker that the door took so many bytes of rows.
    func grant(_ bytes: Int, to call: ServedCall) {
        guard case .sent(let id) = call.phase else { return }
        // A worker that is gone needs none.
        try? supervisor.send(.credit(bytes: UInt32(clamping: bytes)), call: id)
    }

    private func send(_ call: ServedCall) throws(EngineError) {
        let id = CallID(generation: supervisor.generation, sequence: nextSequence)
        nextSequence += 1
        try supervisor.send(call.request, call: id, descriptors: call.files.map { $0.descriptor.rawValue })
        // The message has its own.
        call.files = []
        call.beginRun()
        call.phase = .sent(id)
        calls[id] = call
        sendPause(of: call)
    }

    private func hold(_ call: ServedCall, suspicion tokens: Int?, now: UInt64) {
        call.phase = .waiting
        call.heldSince = now
        held[call.number] = call
        if let tokens {
            queue.hold(suspect: call.number, tokens: tokens, now: now)
        } else {
            queue.hold(call.number)
        }
        let limit = call.replays == 0 ? limits.holdNanoseconds : limits.replayHoldNanoseconds
        _ = loop.after(nanoseconds: limit) { [weak self, weak call] in
            // A call that was sent meanwhile and is held again has a timer of its own.
            guard let self, let call, call.phase == .waiting, call.heldSince == now else { return }
            release(call)
            let retryAfter = supervisor.state.retryAfterMilliseconds(now: MonotonicClock.now())
            end(call, with: notLoaded(retryAfter: retryAfter))
            sendHeld()
        }
    }

    /// The call waits no longer.
    private func release(_ call: ServedCall) {
        held[call.number] = nil
        queue.remove(call.number)
    }

    /// Sends what the queue lets go, and comes back when it wants to be asked again.
    private func sendHeld() {
        guard supervisor.state.phase == .ready else { return }
        if let queueTimer { loop.cancel(queueTimer) }
        queueTimer = nil
        let now = MonotonicClock.now()
        while true {
            switch queue.next(callsAtWorker: calls.count, now: now) {
            case .send(let numbers):
                for call in numbers.compactMap({ held.removeValue(forKey: $0) }) {
                    do throws(EngineError) { try send(call) } catch {
                        queue.remove(call.number)
                        end(call, with: error)
                    }
                }
            case .wait(let time?):
                queueTimer = loop.after(nanoseconds: time - now) { [weak self] in self?.sendHeld() }
                return
            case .wait(nil):
                return
            }
        }
    }

    private func end(_ call: ServedCall, with error: EngineError) {
        call.phase = .ended
        noteEnded(call)
        call.put(.failed(error), now: MonotonicClock.now())
        call.listener?.callHasEvents(call)
    }
}

// MARK: - What the worker does

extension ModelChannel {
    private func workerIsReady(_ description: ModelDescription) {
        self.description = description
        onReady()
        sendHeld()
    }

    /// Sorts a message's events into outboxes, then tells each door once.
    private func receive(_ events: [(CallID, EngineEvent)]) {
        let now = MonotonicClock.now()
        var touched: [ServedCall] = []
        for (id, event) in events {
            if case .statistics(let snapshot) = event {
                statistics = snapshot
                continue
            }
            guard let call = calls[id] else { continue }
            call.session?.note(event, of: call.request, generation: id.generation)
            if event.isEnd {
                calls[id] = nil
                noteEnded(call)
            }
            guard case .sent = call.phase else {
                if event.isEnd {
                    call.phase = .ended
                    queue.remove(call.number)
                }
                continue
            }
            guard call.receive(event, now: now) else {
                answerDiffers(call, hasEnded: event.isEnd)
                continue
            }
            if event.isEnd {
                call.phase = .ended
                supervisor.noteServedRequest()
            } else if call.isPausing {
                sendPause(of: call)
            }
            noteProgress(of: call, hasEnded: event.isEnd)
            if !call.hasNews { touched.append(call) }
            call.hasNews = true
        }
        for call in touched {
            call.hasNews = false
            call.listener?.callHasEvents(call)
            if call.outbox.isAbandoned(now: now) { abandon(call) }
        }
        if queue.isBusy || !held.isEmpty { sendHeld() }
    }

    /// Clears a suspect that has come past the place where its worker died.
    private func noteProgress(of call: ServedCall, hasEnded: Bool) {
        guard let key = call.contentKey else { return }
        if queue.note(tokens: call.run.tokens, of: call.number) || hasEnded { quarantine.clear(key) }
        if hasEnded { queue.remove(call.number) }
    }

    /// The door has a part of another answer: neither can be finished.
    private func answerDiffers(_ call: ServedCall, hasEnded: Bool) {
        logger.error("call.differs", .string("model", name), requestID: call.identity.requestID)
        callsLost += 1
        if hasEnded {
            call.phase = .ended
            queue.remove(call.number)
        }
        let loss = supervisor.state.lastEnd?.loss ?? .crashed
        leave(call, with: .workerLost(loss, retryAfterMilliseconds: 1000))
    }

    /// Each call goes to the next worker, if it can be replayed, or gets its error.
    private func workerIsLost(_ workerEnd: WorkerEnd) {
        statistics = nil
        let now = MonotonicClock.now()
        let lost = calls.values.sorted { $0.number < $1.number }
        calls = [:]
        loseSessions()
        loseHeldCallsOfSessions(workerEnd)
        let guilty = queue.workerDied(
            callsAtWorker: lost.map(\.number), mayBeTheirFault: workerEnd.mayBeARequestsFault)
        for call in lost {
            if workerEnd.mayBeARequestsFault, call.run.isActive { suspect(call, now: now) }
            if call.number == guilty { condemn(call, now: now) }
            guard case .sent = call.phase else {
                call.phase = .ended
                noteEnded(call)
                continue
            }
            replay(call, after: workerEnd, now: now)
        }
        if !lost.isEmpty {
            let replayed = lost.reduce(0) { $0 + ($1.phase == .waiting ? 1 : 0) }
            logger.warning(
                "calls.lost", .string("model", name), .int("calls", lost.count), .int("replayed", replayed))
        }
    }

    /// What waits to be sent in a session waits for nothing any more.
    private func loseHeldCallsOfSessions(_ workerEnd: WorkerEnd) {
        let retryAfter = supervisor.state.retryAfterMilliseconds(now: MonotonicClock.now())
        for call in held.values.sorted(by: { $0.number < $1.number }) where call.session?.phase == .lost {
            release(call)
            callsLost += 1
            end(call, with: .workerLost(workerEnd.loss, retryAfterMilliseconds: retryAfter))
        }
    }

    private func suspect(_ call: ServedCall, now: UInt64) {
        let key = call.contentKey ?? ContentKey(call.request)
        call.contentKey = key
        quarantine.suspect(key, tokens: call.run.tokens, now: now)
    }

    /// Refuses the call's content from now on.
    private func condemn(_ call: ServedCall, now: UInt64) {
        let key = call.contentKey ?? ContentKey(call.request)
        quarantine.quarantine(key, now: now)
        logger.error("call.quarantined", .string("model", name), requestID: call.identity.requestID)
        // The cause is known and will not come back, so the worker's deaths say nothing against the model.
        supervisor.noteServedRequest()
        for same in held.values.filter({ ContentKey($0.request) == key }) {
            release(same)
            callsQuarantined += 1
            end(same, with: .quarantined)
        }
    }

    private func replay(_ call: ServedCall, after workerEnd: WorkerEnd, now: UInt64) {
        do throws(EngineError) {
            let suspicion = try suspicion(of: call, now: now)
            guard call.canBeReplayed, call.replays < limits.replaysPerCall else {
                callsLost += 1
                let retryAfter = supervisor.state.retryAfterMilliseconds(now: now)
                throw .workerLost(workerEnd.loss, retryAfterMilliseconds: retryAfter)
            }
            call.replays += 1
            callsReplayed += 1
            if call.hasSentText { callsResumed += 1 }
            hold(call, suspicion: suspicion, now: now)
        } catch {
            end(call, with: error)
        }
    }

    private func workerHasFailed(_ reason: String) {
        defer { onFailed(reason) }
        let waiting = held.values.sorted { $0.number < $1.number }
        for call in waiting {
            release(call)
            end(
                call,
                with: .modelNotReady(reason: "the model could not be loaded: \(reason)", retryAfterMilliseconds: 0))
        }
    }

    /// A client that has not read for too long is left; nobody else notices.
    func abandonSlowConsumers(now: UInt64) {
        for call in calls.values where call.outbox.isAbandoned(now: now) { abandon(call) }
    }

    private func abandon(_ call: ServedCall) {
        guard case .sent = call.phase else { return }
        logger.warning("call.slow_consumer", .string("model", name), requestID: call.identity.requestID)
        leave(call, with: .slowConsumer)
    }
}
