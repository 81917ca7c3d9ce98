import EngineProtocol
import Platform
import Supervision

/// One name under which a model is served, whether it is loaded or not.
///
/// It has the channel that takes its calls, those that only finish what they have, and perhaps a candidate that is to
/// take over.
final class ModelSlot {
    typealias Answer = (Result<ModelStatus, EngineError>) -> Void

    let name: String
    var model: ServedModel
    /// It came over HTTP: it is forgotten when it is unloaded.
    var isTemporary: Bool
    /// Takes calls, or says why not.
    var channel: ModelChannel?
    /// The worker of the channel in the table; nil once it has failed.
    var worker: ModelTable.WorkerID?
    /// What that worker was made with.
    var workerSettings: ServedModel.Settings?
    var leaving: [ModelTable.WorkerID: ModelChannel] = [:]
    var candidate: (id: ModelTable.WorkerID, candidate: ModelCandidate)?
    /// A call or an administrator made it load, not the start of the server.
    var isLoadedOnDemand = false
    var lastUse: UInt64 = 0
    private(set) var loads: UInt64 = 0
    private(set) var unloads: [ModelTable.LeaveReason: UInt64] = [:]
    /// Administrators who wait.
    var awaitsLoad: [Answer] = []
    var awaitsReplacement: [Answer] = []
    var awaitsUnload: [Answer] = []
    /// Which requests ended workers of this model: it outlives them.
    var quarantine: Quarantine<ContentKey>?
    /// What channels that are gone counted.
    private var past: ModelStatus?

    init(model: ServedModel, isTemporary: Bool) {
        name = model.name
        self.model = model
        self.isTemporary = isTemporary
    }

    var channels: [ModelChannel] { (channel.map { [$0] } ?? []) + leaving.values }
    var callsInFlight: Int { channels.reduce(0) { $0 + $1.callsInFlight } }
    var hasFailed: Bool { channel != nil && worker == nil }

    var activity: ModelTable.Activity {
        ModelTable.Activity(users: (channel?.callsInFlight ?? 0) + awaitsLoad.count, idleSince: lastUse)
    }

    func noteLoad() { loads += 1 }

    func noteUnload(_ reason: ModelTable.LeaveReason) { unloads[reason, default: 0] += 1 }

    /// Counters of a channel that goes away stay with the name.
    func absorb(_ channel: ModelChannel) {
        var status = channel.status
        if let past { status.addCounters(of: past) }
        past = status
    }

    func status(takenBytes: UInt64, shortage: MemoryShortage?) -> ModelStatus {
        var status = channel?.status ?? .unloaded(name: name)
        if let past {
            status.addCounters(of: past)
            status.description = status.description ?? past.description
        }
        for channel in leaving.values { status.addCounters(of: channel.status) }
        status.callsInFlight = callsInFlight
        if channel == nil { status.requestsQuarantined = quarantine?.quarantinedCount(now: MonotonicClock.now()) ?? 0 }
        status.memoryBytes = takenBytes
        status.loadsOnDemand = isLoadedOnDemand || !model.settings.loadsAtStart
        status.configuredContextLength = model.settings.load.contextLength
        status.isBeingReplaced = candidate != nil
        status.loads = loads
        status.unloads = ModelTable.LeaveReason.allCases.map { ($0.rawValue, unloads[$0] ?? 0) }
        if let shortage { status.stateReason = "waits for memory: \(shortage.text)" }
        return status
    }

    /// Answers everybody who waits for something.
    func answer(
        _ waiting: ReferenceWritableKeyPath<ModelSlot, [Answer]>, _ result: Result<ModelStatus, EngineError>
    ) {
        let answers = self[keyPath: waiting]
        self[keyPath: waiting] = []
        for answer in answers { answer(result) }
    }
}

extension ModelStatus {
    static func unloaded(name: String) -> ModelStatus {
        ModelStatus(
            name: name, state: .unloaded, retryAfterMilliseconds: 1000, restarts: 0,
            workerEnds: WorkerEnd.Kind.allCases.map { ($0.rawValue, 0) }, stillNanoseconds: 0, callsInFlight: 0,
            callsLost: 0, callsReplayed: 0, callsResumed: 0, callsQuarantined: 0, requestsQuarantined: 0)
    }

    mutating func addCounters(of other: ModelStatus) {
        restarts += other.restarts
        callsLost += other.callsLost
        callsReplayed += other.callsReplayed
        callsResumed += other.callsResumed
        callsQuarantined += other.callsQuarantined
        for (index, end) in other.workerEnds.enumerated() { workerEnds[index].count += end.count }
    }
}
