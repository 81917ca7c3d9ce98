import EngineProtocol
import Observability
import Platform
import Supervision

/// One model: its worker's state, the calls that are at the worker, and those that wait for it.
///
/// Everything happens on the loop. Each call gets exactly one end event, whatever becomes of the worker.
final class ModelChannel {
    let name: String
    private let loop: EventLoop
    private let supervisor: any SupervisedWorker
    private let logger: Logger
    private let limits: ServingLimits
    var onReady: () -> Void = {}
    var onFailed: (_ reason: String) -> Void = { _ in }
    private var nextSequence: UInt64 = 1
    private var calls: [CallID: ServedCall] = [:]
    /// In the order in which they came.
    private var waiting: [ServedCall] = []
    private var description: ModelDescription?
    private var statistics: WorkerStatistics?
    private var callsLost: UInt64 = 0
    private var callsReplayed: UInt64 = 0

    init(name: String, loop: EventLoop, supervisor: any SupervisedWorker, limits: ServingLimits, logger: Logger) {
        self.name = name
        self.loop = loop
        self.supervisor = supervisor
        self.limits = limits
        self.logger = logger
        supervisor.onReady = { [unowned self] in workerIsReady($0) }
        supervisor.onEvents = { [unowned self] in receive($0) }
        supervisor.onLost = { [unowned self] in workerIsLost($0) }
        supervisor.onFailed = { [unowned self] in workerHasFailed($0) }
    }

    func start() { supervisor.start() }

    func stop() { supervisor.stop() }

    var status: ModelStatus {
        let (state, reason): (ModelStatus.State, String?) =
            switch supervisor.state.phase {
            case .starting: (.starting, nil)
            case .ready: (.ready, nil)
            case .backingOff(_, let end): (.backingOff, end.text)
            case .failed(let reason): (.failed, reason)
            case .draining: (.draining, nil)
            }
        return ModelStatus(
            name: name, state: state, stateReason: reason,
            retryAfterMilliseconds: supervisor.state.retryAfterMilliseconds(now: MonotonicClock.now()),
            restarts: supervisor.state.restarts, description: description, statistics: statistics,
            workerProcessID: supervisor.workerProcessID, callsInFlight: callsInFlight, callsLost: callsLost,
            callsReplayed: callsReplayed)
    }

    var callsInFlight: Int { calls.count + waiting.count }
    var liveCalls: [ServedCall] { Array(calls.values) + waiting }

    /// Sends a call, holds it until the model is there, or says why not.
    func admit(_ call: ServedCall) throws(EngineError) {
        let now = MonotonicClock.now()
        let retryAfter = supervisor.state.retryAfterMilliseconds(now: now)
        guard callsInFlight < limits.callsPerModel else { throw .queueFull(retryAfterMilliseconds: 1000) }
        if let deadline = call.request.deadline, deadline <= now { throw .deadlineExceeded }
        switch supervisor.state.phase {
        case .ready:
            try send(call)
        case .starting, .backingOff:
            guard waiting.count < limits.heldCallsPerModel else {
                throw .modelNotReady(reason: "the model is being loaded", retryAfterMilliseconds: retryAfter)
            }
            hold(call, now: now)
        case .failed(let reason):
            throw .modelNotReady(reason: "the model could not be loaded: \(reason)", retryAfterMilliseconds: retryAfter)
        case .draining:
            throw .modelNotReady(reason: "the server is stopping", retryAfterMilliseconds: retryAfter)
        }
        if let deadline = call.request.deadline { end(call, at: deadline, now: now) }
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
            waiting.removeAll { $0 === call }
            call.phase = .ended
        case .sent(let id):
            call.phase = .cancelling(id)
            // A cancel is small; to a worker that is gone there is nothing to say.
            try? supervisor.send(.cancel, call: id)
        case .cancelling, .ended:
            break
        }
    }

    private func send(_ call: ServedCall) throws(EngineError) {
        let id = CallID(generation: supervisor.generation, sequence: nextSequence)
        nextSequence += 1
        try supervisor.send(call.request, call: id)
        call.phase = .sent(id)
        calls[id] = call
    }

    private func hold(_ call: ServedCall, now: UInt64) {
        call.phase = .waiting
        call.heldSince = now
        waiting.append(call)
        _ = loop.after(nanoseconds: limits.holdNanoseconds) { [weak self, weak call] in
            // A call that was sent meanwhile and is held again has a timer of its own.
            guard let self, let call, call.phase == .waiting, call.heldSince == now else { return }
            waiting.removeAll { $0 === call }
            let retryAfter = supervisor.state.retryAfterMilliseconds(now: MonotonicClock.now())
            end(call, with: .modelNotReady(reason: "the model is being loaded", retryAfterMilliseconds: retryAfter))
        }
    }

    private func end(_ call: ServedCall, with error: EngineError) {
        call.phase = .ended
        call.put(.failed(error), now: MonotonicClock.now())
        call.listener?.callHasEvents(call)
    }
}

// MARK: - What the worker does

extension ModelChannel {
    private func workerIsReady(_ description: ModelDescription) {
        self.description = description
        onReady()
        let held = waiting
        waiting = []
        for call in held {
            do throws(EngineError) { try send(call) } catch { end(call, with: error) }
        }
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
            if event.isEnd { calls[id] = nil }
            guard case .sent = call.phase else {
                if event.isEnd { call.phase = .ended }
                continue
            }
            if event.isEnd {
                call.phase = .ended
                supervisor.noteServedRequest()
            }
            call.put(event, now: now)
            if touched.last !== call { touched.append(call) }
        }
        var told: Set<ObjectIdentifier> = []
        for call in touched where told.insert(ObjectIdentifier(call)).inserted {
            call.listener?.callHasEvents(call)
            if call.outbox.isAbandoned(now: now) { abandon(call) }
        }
    }

    /// Calls that have sent text get an error; the others are sent to the next worker, once.
    private func workerIsLost(_ workerEnd: WorkerEnd) {
        statistics = nil
        let retryAfter = supervisor.state.retryAfterMilliseconds(now: MonotonicClock.now())
        let lost = calls.sorted { $0.key.rawValue < $1.key.rawValue }.map(\.value)
        calls = [:]
        for call in lost {
            guard case .sent = call.phase else {
                call.phase = .ended
                continue
            }
            if !call.hasSentText, call.replays < limits.replaysPerCall {
                call.replays += 1
                callsReplayed += 1
                hold(call, now: MonotonicClock.now())
            } else {
                callsLost += 1
                end(call, with: .workerLost(workerEnd.loss, retryAfterMilliseconds: retryAfter))
            }
        }
        if !lost.isEmpty {
            logger.warning("calls.lost", .string("model", name), .int("calls", lost.count), .int("held", waiting.count))
        }
    }

    private func workerHasFailed(_ reason: String) {
        defer { onFailed(reason) }
        let held = waiting
        waiting = []
        for call in held {
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
