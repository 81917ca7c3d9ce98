public import EngineProtocol
public import Observability
public import Platform

/// Bounds of the table of live calls.
public struct ServingLimits: Sendable {
    /// Calls of one model that are at its worker or wait for it.
    ///
    /// The worker's own queue is bounded too.
    public var callsPerModel = 1024
    /// Calls that wait while a model is being loaded.
    public var heldCallsPerModel = 256
    /// How long one of them waits.
    public var holdNanoseconds: UInt64 = 20_000_000_000
    /// How long a call waits whose worker died: others may be before it, one at a time.
    public var replayHoldNanoseconds: UInt64 = 60_000_000_000
    /// How often a call may be sent again after its worker died.
    public var replaysPerCall = 3
    /// How long calls wait for one that runs alone to see whether it ends the worker.
    public var trialNanoseconds: UInt64 = 5_000_000_000
    /// Requests that are known to end a worker, or suspected of it.
    public var quarantinedRequests = 1024
    /// How long they are remembered.
    public var quarantineNanoseconds: UInt64 = 3_600_000_000_000
    /// Models by name, those that administrators add included.
    public var models = 256
    /// How long after a failed load a call may try again to load a model that is loaded on demand.
    public var failedLoadNanoseconds: UInt64 = 30_000_000_000
    /// Sessions of one model that were not closed; its engine may allow fewer.
    public var sessionsPerModel = 256
    /// How long the first token of a worker may take that is to replace another one.
    public var checkNanoseconds: UInt64 = 60_000_000_000

    public init() {}
}

/// What `GET /v1/models`, the probes and the metrics tell of a model.
public struct ModelStatus: Sendable {
    public enum State: String, Sendable, CaseIterable {
        /// A request loads it.
        case unloaded
        case starting
        case ready
        case backingOff = "backing off"
        case failed
        case draining

        /// Without a blank, as metrics have it.
        public var label: String { self == .backingOff ? "backing_off" : rawValue }
    }

    public var name: String
    public var state: State
    /// Why it is not ready, in words.
    public var stateReason: String?
    /// When a client may try again.
    public var retryAfterMilliseconds: UInt32
    /// Workers that were started after another had died.
    public var restarts: Int
    /// How often workers have ended in each way.
    public var workerEnds: [(kind: String, count: Int)]
    /// Nil until it was loaded for the first time.
    public var description: ModelDescription?
    /// The worker's last word, nil when there is no worker.
    public var statistics: WorkerStatistics?
    public var workerProcessID: Int32?
    /// How long the worker had work and made no progress; 0 while it does or has none.
    public var stillNanoseconds: UInt64
    public var callsInFlight: Int
    public var callsLost: UInt64
    public var callsReplayed: UInt64
    /// Of the replayed ones, those that had been answered in part.
    public var callsResumed: UInt64
    /// Calls that ended with `quarantined`.
    public var callsQuarantined: UInt64
    /// Requests that are refused now.
    public var requestsQuarantined: Int
    /// What its workers have of the memory budget: granted while it loads, then what it says that it takes.
    public var memoryBytes: UInt64 = 0
    /// It was or will be loaded by a request, not by the start of the server.
    public var loadsOnDemand = false
    /// Positions that the configuration asks for; nil takes the model's.
    public var configuredContextLength: UInt32?
    /// A new worker is being loaded beside the one that answers.
    public var isBeingReplaced = false
    /// How often a worker was started for it, crashes not counted, and why workers were told to end.
    public var loads: UInt64 = 0
    public var unloads: [(reason: String, count: UInt64)] = []

    /// Whether a request for it gets an answer: at once, or after a load that is no restart.
    public var isAvailable: Bool {
        switch state {
        case .ready, .unloaded: true
        case .starting: loadsOnDemand && restarts == 0
        case .backingOff, .failed, .draining: false
        }
    }
}

/// The memory that all workers together have.
public struct MemoryUse: Sendable, Equatable {
    public var budgetBytes: UInt64
    public var takenBytes: UInt64
}

/// The one table of live calls and model states: the only path from a door to a worker.
///
/// Everything happens on the loop.
public final class Serving {
    private let loop: EventLoop
    let registry: ModelRegistry
    private(set) var isDraining = false

    /// - Parameter memoryBudget: bytes that all workers may take together.
    public init(
        loop: EventLoop, limits: ServingLimits = ServingLimits(), memoryBudget: UInt64 = .max, logger: Logger
    ) {
        self.loop = loop
        registry = ModelRegistry(loop: loop, limits: limits, memoryBudget: memoryBudget, logger: logger)
        registry.onReady = { [unowned self] in onModelReady($0) }
        registry.onNothingToServe = { [unowned self] in onNothingToServe($0) }
        sweep()
    }

    /// Called when no model answers and none ever has: nothing that this process does will change that.
    public var onNothingToServe: (_ reason: String) -> Void = { _ in }

    /// Called whenever a model has been loaded.
    public var onModelReady: (_ name: String) -> Void = { _ in }

    /// Serves these models and no others.
    ///
    /// New ones are added, and loaded if they are to be loaded at the start. Those that are not named any more finish
    /// their calls and end. One whose settings have changed is replaced while it goes on; if that fails, the log tells it,
    /// and the old worker stays.
    ///
    /// - Throws: why the whole is refused; then nothing has changed.
    public func apply(_ models: [ServedModel]) throws(EngineError) { try registry.apply(models) }

    /// Sends a request to a model.
    ///
    /// - Parameters:
    ///   - model: nil or empty is the only model.
    ///   - resumes: goes on with the answer after its worker died, also when the door has got a part of it.
    ///   - files: go to the worker with it.
    /// - Returns: the call, whose events come through the listener.
    public func submit(
        _ request: EngineRequest, model: String?, identity: CallIdentity, resumes: Bool = false,
        files: [AttachedFile] = [], listener: any CallListener
    ) throws(EngineError) -> ServedCall {
        guard request.sessionID == nil else {
            throw .invalidRequest(parameter: "session", message: "a session is used only by who opened it")
        }
        return try channel(of: model).admit(
            request.sent(for: identity.tenant), identity: identity, resumes: resumes, files: files, listener: listener)
    }

    private func channel(of model: String?) throws(EngineError) -> ModelChannel {
        let slot = try route(model)
        try checkRunning()
        return try registry.channel(of: slot)
    }

    private func route(_ model: String?) throws(EngineError) -> ModelSlot {
        guard let model, !model.isEmpty else {
            if registry.slots.count == 1 { return registry.slots[0] }
            let names = registry.slots.map(\.name).joined(separator: ", ")
            throw .invalidRequest(parameter: "model", message: "'model' is required; one of \(names)")
        }
        guard let slot = registry.slot(model) else { throw .modelNotFound(model: model) }
        return slot
    }

    // MARK: Sessions

    /// Opens a session at a model; the call ends with `EngineResult.session` when it is open.
    ///
    /// Whoever opens one closes it, whatever became of the call.
    public func openSession(
        model: String, identity: CallIdentity, listener: any CallListener
    ) throws(EngineError) -> (ServedSession, ServedCall) {
        let channel = try channel(of: model)
        let session = try channel.makeSession()
        do throws(EngineError) {
            let call = try channel.admit(
                .openSession(session.id), identity: identity, resumes: true, session: session, listener: listener)
            return (session, call)
        } catch {
            channel.close(session)
            throw error
        }
    }

    /// Sends a request in an open session, which takes one at a time.
    ///
    /// - Parameters:
    ///   - request: names the session.
    ///   - files: go to the worker with it.
    /// - Throws: `workerLost` where the session is lost.
    public func submit(
        _ request: EngineRequest, in session: ServedSession, identity: CallIdentity, files: [AttachedFile] = [],
        listener: any CallListener
    ) throws(EngineError) -> ServedCall {
        try checkRunning()
        guard let channel = session.channel else { throw .workerLost(.crashed, retryAfterMilliseconds: 0) }
        guard !session.isBusy else { throw .queueFull(retryAfterMilliseconds: 100) }
        return try channel.admit(
            request.sent(for: identity.tenant), identity: identity, resumes: false, session: session, files: files,
            listener: listener)
    }

    /// Forgets a session and what it holds.
    public func close(_ session: ServedSession) { session.channel?.close(session) }

    /// Ends a generation of a session as paused; one without a session goes on.
    public func pause(_ call: ServedCall) { call.channel?.pause(call) }

    // MARK: Calls

    /// The client is gone: nothing more is put into the call's outbox.
    public func cancel(_ call: ServedCall) {
        call.channel?.cancel(call)
    }

    /// Ends a call with `cancelled`, which its door is told.
    public func end(_ call: ServedCall) {
        guard call.isLive else { return }
        call.channel?.leave(call, with: .cancelled)
    }

    /// Ends every call of the tenant with this public or request id.
    ///
    /// - Returns: how many there were.
    public func cancel(id: String, tenant: String) -> Int {
        let matches = registry.channels.flatMap(\.liveCalls).filter { call in
            guard call.identity.tenant == tenant, call.isLive else { return false }
            return call.identity.publicID == id || call.identity.requestID == id
        }
        for call in matches {
            call.channel?.leave(call, with: .cancelled)
        }
        return matches.count
    }

    public var models: [ModelStatus] { registry.statuses }

    /// The names alone, which cost less.
    public var modelNames: [String] { registry.slots.map(\.name) }

    public var memory: MemoryUse {
        MemoryUse(budgetBytes: registry.budgetBytes, takenBytes: registry.takenBytes)
    }

    public var callsInFlight: Int { registry.channels.reduce(0) { $0 + $1.callsInFlight } }

    /// Refuses new calls; those that are there go on.
    public func drain() { isDraining = true }

    /// Ends the calls that are still there with an error.
    public func endCalls() {
        for channel in registry.channels {
            for call in channel.liveCalls where call.isLive {
                channel.leave(
                    call, with: .modelNotReady(reason: "the server is stopping", retryAfterMilliseconds: 5000))
            }
        }
    }

    /// Ends the workers.
    public func stop() {
        isDraining = true
        registry.stop()
    }

    private func sweep() {
        _ = loop.after(nanoseconds: 1_000_000_000) { [weak self] in
            guard let self else { return }
            abandonSlowConsumers(now: MonotonicClock.now())
            registry.review()
            sweep()
        }
    }

    func abandonSlowConsumers(now: UInt64) {
        for channel in registry.channels { channel.abandonSlowConsumers(now: now) }
    }
}

// MARK: - Administration

extension Serving {
    public typealias Answer = (Result<ModelStatus, EngineError>) -> Void

    /// Loads a model, if it is not loaded, and answers when it is ready.
    public func load(_ name: String, _ answer: @escaping Answer) throws(EngineError) {
        registry.load(try slot(name), answer)
    }

    /// Loads a model that no configuration names; it is served under its name until it is unloaded.
    public func load(_ model: ServedModel, _ answer: @escaping Answer) throws(EngineError) {
        try checkRunning()
        registry.load(model, answer)
    }

    /// Unloads a model and answers when its worker has ended, which is when its calls have been answered.
    public func unload(_ name: String, _ answer: @escaping Answer) throws(EngineError) {
        registry.unload(try slot(name), answer)
    }

    /// Loads a model anew beside the worker that answers, and answers when the new one has taken over, or why not.
    ///
    /// - Parameter allowDowntime: where there is no memory for both, ends the old one first.
    public func reload(_ name: String, allowDowntime: Bool, _ answer: @escaping Answer) throws(EngineError) {
        registry.replace(try slot(name), allowDowntime: allowDowntime, answer)
    }

    private func slot(_ name: String) throws(EngineError) -> ModelSlot {
        try checkRunning()
        guard let slot = registry.slot(name) else { throw .modelNotFound(model: name) }
        return slot
    }

    private func checkRunning() throws(EngineError) {
        guard !isDraining else {
            throw .modelNotReady(reason: "the server is stopping", retryAfterMilliseconds: 5000)
        }
    }
}
