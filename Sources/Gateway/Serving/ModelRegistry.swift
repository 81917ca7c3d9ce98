import EngineProtocol
import Observability
import Platform
import Supervision

/// The models that are served, by name: carries out what `ModelTable` decides, with real workers.
///
/// Everything happens on the loop.
final class ModelRegistry {
    /// One load of the table, as it exists here.
    enum Load {
        case channel(ModelChannel, ModelSlot)
        case candidate(ModelCandidate, ModelSlot)
    }

    let loop: EventLoop
    let limits: ServingLimits
    let logger: Logger
    private(set) var table: ModelTable
    private(set) var slots: [ModelSlot] = []
    /// Names that are not served any more, but whose last calls still run.
    private var retired: [ModelSlot] = []
    var loads: [ModelTable.WorkerID: Load] = [:]
    private var actions: [ModelTable.Action] = []
    private var isPerforming = false
    private var willReview = false
    private var isStopped = false

    var onReady: (_ name: String) -> Void = { _ in }
    var onNothingToServe: (_ reason: String) -> Void = { _ in }

    init(loop: EventLoop, limits: ServingLimits, memoryBudget: UInt64, logger: Logger) {
        self.loop = loop
        self.limits = limits
        self.logger = logger
        table = ModelTable(budget: memoryBudget)
    }

    var budgetBytes: UInt64 { table.budget }
    var takenBytes: UInt64 { table.takenBytes }
    var statuses: [ModelStatus] { slots.map(status) }
    var channels: [ModelChannel] { (slots + retired).flatMap(\.channels) }

    func status(_ slot: ModelSlot) -> ModelStatus {
        slot.status(
            takenBytes: table.takenBytes(by: slot.name), shortage: slot.worker.flatMap { table.shortage(of: $0) })
    }

    // MARK: Calls

    /// The channel of a model for a new call; a model that is not loaded begins to load.
    func channel(of slot: ModelSlot) throws(EngineError) -> ModelChannel {
        slot.lastUse = MonotonicClock.now()
        if slot.worker == nil {
            slot.isLoadedOnDemand = true
            try want(slot, insists: false)
        }
        guard let channel = slot.channel else {
            throw .modelNotReady(reason: "the model is not loaded", retryAfterMilliseconds: 1000)
        }
        return channel
    }

    /// Ends all workers.
    func stop() {
        isStopped = true
        for load in loads.values {
            switch load {
            case .channel(let channel, _): channel.stop()
            case .candidate(let candidate, _): candidate.stop()
            }
        }
    }

    /// Unloads what has been idle for long, and looks again for room for those that wait.
    func review() { change { $0.review(now: MonotonicClock.now()) } }

    func want(_ slot: ModelSlot, insists: Bool) throws(EngineError) {
        refreshNeed(of: slot)
        do throws(MemoryShortage) {
            try change { table throws(MemoryShortage) in
                try table.want(slot.name, insists: insists, now: MonotonicClock.now())
            }
        } catch {
            throw .resourceExhausted(message: error.text, permanent: error.isPermanent)
        }
    }
}

// MARK: - Configuration

extension ModelRegistry {
    /// Serves these models and no others: new ones are added, changed ones replaced beside their old workers, and those
    /// that are not named finish their calls.
    ///
    /// - Throws: why the whole is refused; then nothing has changed.
    func apply(_ models: [ServedModel]) throws(EngineError) {
        for model in models {
            guard let bytes = try? model.settings.sources.open().byteCount else { continue }
            let granted = min(table.budget, model.settings.memoryBytes ?? table.budget)
            guard bytes <= granted else {
                let shortage = MemoryShortage(
                    model: model.name, neededBytes: bytes, budgetBytes: granted, holders: [], isPermanent: true)
                throw .resourceExhausted(message: shortage.text, permanent: true)
            }
        }
        for slot in slots where !slot.isTemporary && !models.contains(where: { $0.name == slot.name }) { remove(slot) }
        var added: [ModelSlot] = []
        for model in models {
            if let slot = slot(model.name) {
                change(slot, to: model)
            } else {
                added.append(add(model, isTemporary: false))
            }
        }
        for slot in added where slot.model.settings.loadsAtStart { start(slot) }
    }

    func slot(_ name: String) -> ModelSlot? { slots.first { $0.name == name } }

    func add(_ model: ServedModel, isTemporary: Bool) -> ModelSlot {
        let slot = ModelSlot(model: model, isTemporary: isTemporary)
        slots.append(slot)
        refreshNeed(of: slot)
        return slot
    }

    private func start(_ slot: ModelSlot) {
        do throws(MemoryShortage) {
            try change { table throws(MemoryShortage) in try table.start(slot.name) }
        } catch {
            logger.warning("model.not_loaded", .string("model", slot.name), .string("reason", error.text))
        }
    }

    func remove(_ slot: ModelSlot) {
        guard slots.contains(where: { $0 === slot }) else { return }
        slots.removeAll { $0 === slot }
        retired.append(slot)
        change { $0.remove(slot.name) }
        if let channel = slot.channel, slot.worker == nil { discard(channel, of: slot) }
        forgetIfEmpty(slot)
    }

    private func change(_ slot: ModelSlot, to model: ServedModel) {
        slot.model = model
        slot.isTemporary = false
        refreshNeed(of: slot)
        followSettings(slot)
    }

    /// Replaces a worker that was made with other settings than those that hold now.
    func followSettings(_ slot: ModelSlot) {
        guard table.isLoaded(slot.name), slot.candidate == nil, let made = slot.workerSettings,
            !slot.model.settings.makesTheSameWorker(as: made)
        else { return }
        replace(slot, allowDowntime: false) { [logger] result in
            guard case .failure(let error) = result else { return }
            logger.error("model.not_changed", .string("model", slot.name), .string("reason", error.text))
        }
    }

    /// The file may have become another one since it was looked at.
    func refreshNeed(of slot: ModelSlot) {
        let settings = slot.model.settings
        let bytes = (try? settings.sources.open().byteCount) ?? 0
        table.set(
            slot.name, need: ModelTable.Need(leastBytes: bytes, grantedBytes: settings.memoryBytes),
            idleLimit: settings.idleNanoseconds,
            retriesAfter: settings.loadsAtStart ? nil : limits.failedLoadNanoseconds)
    }
}

// MARK: - What the table decides

extension ModelRegistry {
    func change<Failure: Error>(
        _ decide: (inout ModelTable) throws(Failure) -> [ModelTable.Action]
    ) throws(Failure) {
        for slot in slots { table.note(slot.activity, of: slot.name) }
        actions += try decide(&table)
        guard !isPerforming, !isStopped else { return }
        isPerforming = true
        while !actions.isEmpty { perform(actions.removeFirst()) }
        isPerforming = false
    }

    private func perform(_ action: ModelTable.Action) {
        switch action {
        case .make(let id, let model, let limit, let isSuccessor):
            guard let slot = slot(model) else { return }
            if isSuccessor { makeCandidate(id, slot, limit) } else { makeChannel(id, slot, limit) }
        case .start(let id): start(id)
        case .drop(let id): drop(id)
        case .leave(let id, let reason): leave(id, reason)
        case .takeOver(let id): takeOver(id)
        }
    }

    private func makeChannel(_ id: ModelTable.WorkerID, _ slot: ModelSlot, _ limit: UInt64) {
        if let failed = slot.channel { discard(failed, of: slot) }
        let channel = ModelChannel(
            name: slot.name, loop: loop, supervisor: slot.model.makeWorker(memoryLimit: limit),
            quarantine: slot.quarantine, limits: limits, logger: logger)
        slot.workerSettings = slot.model.settings
        attach(channel, id, slot)
    }

    func attach(_ channel: ModelChannel, _ id: ModelTable.WorkerID, _ slot: ModelSlot) {
        loads[id] = .channel(channel, slot)
        slot.channel = channel
        slot.worker = id
        channel.shortage = { [weak self] in self?.table.shortage(of: id) }
        channel.onReady = { [weak self, weak slot, weak channel] in
            guard let self, let slot, let channel else { return }
            isReady(channel, id, slot)
        }
        channel.onFailed = { [weak self, weak slot] reason in
            guard let self, let slot else { return }
            hasFailed(id, slot, reason)
        }
        channel.onIdle = { [weak self, weak slot] in
            slot?.lastUse = MonotonicClock.now()
            self?.reviewSoon()
        }
        channel.onStopped = { [weak self] in self?.hasStopped(id) }
    }

    private func start(_ id: ModelTable.WorkerID) {
        switch loads[id] {
        case .channel(let channel, let slot):
            slot.noteLoad()
            channel.start()
        case .candidate(let candidate, let slot):
            slot.noteLoad()
            candidate.start()
        case nil: break
        }
    }

    /// A worker that never was started goes away with whatever waited for it.
    private func drop(_ id: ModelTable.WorkerID) {
        switch loads.removeValue(forKey: id) {
        case .channel(let channel, let slot):
            for call in channel.liveCalls {
                channel.leave(
                    call, with: .modelNotReady(reason: "the model was unloaded", retryAfterMilliseconds: 1000))
            }
            discard(channel, of: slot)
            forgetIfEmpty(slot)
        case .candidate(_, let slot):
            slot.candidate = nil
        case nil: break
        }
    }

    private func leave(_ id: ModelTable.WorkerID, _ reason: ModelTable.LeaveReason) {
        switch loads[id] {
        case .channel(let channel, let slot):
            logger.info(
                "model.leaving", .string("model", slot.name), .string("reason", reason.rawValue),
                .int("calls", channel.callsInFlight))
            slot.noteUnload(reason)
            // Another version of the model may bear what this one does not.
            slot.quarantine = reason == .replaced ? nil : channel.quarantine
            if slot.channel === channel {
                slot.channel = nil
                slot.worker = nil
            }
            slot.leaving[id] = channel
            if channel.callsInFlight == 0 { channel.stop() }
            slot.answer(
                \.awaitsLoad,
                .failure(.modelNotReady(reason: "the model was unloaded", retryAfterMilliseconds: 1000)))
        case .candidate(let candidate, let slot):
            if slot.candidate?.id == id { slot.candidate = nil }
            candidate.stop()
            slot.answer(
                \.awaitsReplacement,
                .failure(.modelNotReady(reason: "the model was unloaded", retryAfterMilliseconds: 1000)))
        case nil: break
        }
    }
}

// MARK: - What happens to workers

extension ModelRegistry {
    private func isReady(_ channel: ModelChannel, _ id: ModelTable.WorkerID, _ slot: ModelSlot) {
        slot.lastUse = MonotonicClock.now()
        change { $0.loaded(id, bytes: channel.status.description?.memoryBytes ?? 0) }
        onReady(slot.name)
        slot.answer(\.awaitsLoad, .success(status(slot)))
        followSettings(slot)
    }

    private func hasFailed(_ id: ModelTable.WorkerID, _ slot: ModelSlot, _ reason: String) {
        loads[id] = nil
        // The channel stays, because it says why; unless it was leaving.
        if slot.worker == id { slot.worker = nil }
        if let channel = slot.leaving.removeValue(forKey: id) { slot.absorb(channel) }
        change { $0.failed(id, now: MonotonicClock.now()) }
        slot.answer(
            \.awaitsLoad,
            .failure(
                .modelNotReady(reason: "the model could not be loaded: \(reason)", retryAfterMilliseconds: 0)))
        answerUnloads(of: slot)
        let isHopeless = slots.allSatisfy { slot in
            slot.hasFailed && slot.model.settings.loadsAtStart && slot.channel?.status.description == nil
        }
        if isHopeless { onNothingToServe(reason) }
    }

    private func hasStopped(_ id: ModelTable.WorkerID) {
        guard case .channel(let channel, let slot)? = loads.removeValue(forKey: id) else { return }
        slot.leaving[id] = nil
        slot.absorb(channel)
        change { $0.ended(id) }
        answerUnloads(of: slot)
        forgetIfEmpty(slot)
        // It may be one of its own handlers that has told this.
        loop.atEndOfTurn { withExtendedLifetime(channel) {} }
    }

    /// Not at once: the call that has ended is still being handled.
    private func reviewSoon() {
        guard !willReview else { return }
        willReview = true
        loop.atEndOfTurn { [weak self] in
            guard let self else { return }
            willReview = false
            for slot in slots + retired {
                for channel in slot.leaving.values where channel.callsInFlight == 0 { channel.stop() }
            }
            review()
        }
    }

    func discard(_ channel: ModelChannel, of slot: ModelSlot) {
        slot.absorb(channel)
        slot.quarantine = channel.quarantine
        if slot.channel === channel {
            slot.channel = nil
            slot.worker = nil
        }
        loop.atEndOfTurn { withExtendedLifetime(channel) {} }
    }

    func answerUnloads(of slot: ModelSlot) {
        guard slot.leaving.isEmpty, !slot.awaitsUnload.isEmpty else { return }
        slot.answer(\.awaitsUnload, .success(status(slot)))
    }

    func forgetIfEmpty(_ slot: ModelSlot) {
        guard slot.channel == nil, slot.leaving.isEmpty, slot.candidate == nil else { return }
        retired.removeAll { $0 === slot }
        if !slots.contains(where: { $0 === slot }) { answerUnloads(of: slot) }
    }
}
