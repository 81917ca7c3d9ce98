public import EngineProtocol
public import Observability
public import Platform
public import Supervision

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

    public init() {}
}

/// What `GET /v1/models`, the probes and the metrics tell of a model.
public struct ModelStatus: Sendable {
    public enum State: String, Sendable, CaseIterable {
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
}

/// The one table of live calls and model states: the only path from a door to a worker.
///
/// Everything happens on the loop.
public final class Serving {
    private let loop: EventLoop
    private let limits: ServingLimits
    private let logger: Logger
    private var channels: [ModelChannel] = []
    private(set) var isDraining = false

    public init(loop: EventLoop, limits: ServingLimits = ServingLimits(), logger: Logger) {
        self.loop = loop
        self.limits = limits
        self.logger = logger
        sweep()
    }

    /// Called when no model answers and none ever has: nothing that this process does will change that.
    public var onNothingToServe: (_ reason: String) -> Void = { _ in }

    /// Called whenever a model has been loaded.
    public var onModelReady: (_ name: String) -> Void = { _ in }

    /// Adds a model and starts its worker.
    public func add(name: String, supervisor: any SupervisedWorker) {
        let channel = ModelChannel(name: name, loop: loop, supervisor: supervisor, limits: limits, logger: logger)
        channels.append(channel)
        channel.onReady = { [unowned self] in onModelReady(name) }
        channel.onFailed = { [unowned self] reason in
            if channels.allSatisfy({ $0.status.state == .failed && $0.status.description == nil }) {
                onNothingToServe(reason)
            }
        }
        channel.start()
    }

    /// Sends a request to a model.
    ///
    /// - Parameters:
    ///   - model: nil or empty is the only model.
    ///   - resumes: goes on with the answer after its worker died, also when the door has got a part of it.
    /// - Returns: the call, whose events come through the listener.
    public func submit(
        _ request: EngineRequest, model: String?, identity: CallIdentity, resumes: Bool = false,
        listener: any CallListener
    ) throws(EngineError) -> ServedCall {
        let channel = try route(model)
        guard !isDraining else {
            throw .modelNotReady(reason: "the server is stopping", retryAfterMilliseconds: 5000)
        }
        var request = request
        if case .generate(var generate) = request {
            generate.tenant = identity.tenant
            request = .generate(generate)
        }
        return try channel.admit(request, identity: identity, resumes: resumes, listener: listener)
    }

    private func route(_ model: String?) throws(EngineError) -> ModelChannel {
        guard let model, !model.isEmpty else {
            if channels.count == 1 { return channels[0] }
            let names = channels.map(\.name).joined(separator: ", ")
            throw .invalidRequest(parameter: "model", message: "'model' is required; one of \(names)")
        }
        guard let channel = channels.first(where: { $0.name == model }) else { throw .modelNotFound(model: model) }
        return channel
    }

    /// The client is gone: nothing more is put into the call's outbox.
    public func cancel(_ call: ServedCall) {
        channel(of: call)?.cancel(call)
    }

    /// Ends every call of the tenant with this public or request id.
    ///
    /// - Returns: how many there were.
    public func cancel(id: String, tenant: String) -> Int {
        let matches = channels.flatMap(\.liveCalls).filter { call in
            guard call.identity.tenant == tenant, call.isLive else { return false }
            return call.identity.publicID == id || call.identity.requestID == id
        }
        for call in matches {
            channel(of: call)?.leave(call, with: .cancelled)
        }
        return matches.count
    }

    public var models: [ModelStatus] { channels.map(\.status) }

    public var callsInFlight: Int { channels.reduce(0) { $0 + $1.callsInFlight } }

    /// Refuses new calls; those that are there go on.
    public func drain() { isDraining = true }

    /// Ends the calls that are still there with an error.
    public func endCalls() {
        for channel in channels {
            for call in channel.liveCalls where call.isLive {
                channel.leave(
                    call, with: .modelNotReady(reason: "the server is stopping", retryAfterMilliseconds: 5000))
            }
        }
    }

    /// Ends the workers.
    public func stop() {
        isDraining = true
        for channel in channels { channel.stop() }
    }

    private func channel(of call: ServedCall) -> ModelChannel? { channels.first { $0.name == call.model } }

    private func sweep() {
        _ = loop.after(nanoseconds: 1_000_000_000) { [weak self] in
            guard let self else { return }
            abandonSlowConsumers(now: MonotonicClock.now())
            sweep()
        }
    }

    func abandonSlowConsumers(now: UInt64) {
        for channel in channels { channel.abandonSlowConsumers(now: now) }
    }
}
