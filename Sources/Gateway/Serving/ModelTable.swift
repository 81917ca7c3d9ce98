/// Which models are loaded and what they take of the memory budget: events come in, actions go out, no clock and no
/// worker inside.
///
/// A worker of the table is one load of a model, whatever processes it takes:
///
/// | Stage | Entered | Takes memory | Left |
/// |---|---|---|---|
/// | waiting | somebody wants the model, and there is no room yet | no | loading; dropped when nobody wants it any more |
/// | loading | there is room | what it is granted | loaded, or gone when it failed |
/// | loaded | its model is ready | what it says | leaving |
/// | leaving | idle for long, pushed out, unloaded, replaced | the same | gone when its process has ended |
///
/// A model has at most one worker that takes calls, and beside it a successor while it is being replaced. Only a loaded
/// worker without calls is ever pushed out, the least recently used first; the others finish what they have.
struct ModelTable: Sendable {
    typealias WorkerID = Int

    /// What a model needs of the budget.
    struct Need: Sendable, Equatable {
        /// The size of its files: with less it cannot be loaded.
        var leastBytes: UInt64
        /// What the configuration grants; nil is a share of the budget.
        var grantedBytes: UInt64?
    }

    /// How a model is used: told before each decision.
    struct Activity: Sendable, Equatable {
        /// Calls at its worker or waiting for it, and administrators who wait.
        var users = 0
        /// When it was used last.
        var idleSince: UInt64 = 0
    }

    enum LeaveReason: String, Sendable, Equatable, CaseIterable {
        case idle
        case memory
        case asked
        case replaced
    }

    enum Action: Sendable, Equatable {
        /// Make a worker that is not started yet; a model's only one holds its calls.
        case make(WorkerID, model: String, memoryLimit: UInt64, isSuccessor: Bool)
        case start(WorkerID)
        /// Nobody waits for it any more; it was never started.
        case drop(WorkerID)
        /// It gets no more calls, and ends when it has none.
        case leave(WorkerID, LeaveReason)
        /// The successor takes the place of the model's worker.
        case takeOver(WorkerID)
    }

    private enum Stage: Equatable {
        case waiting, loading, loaded, leaving
    }

    private struct Worker {
        let id: WorkerID
        let model: String
        var stage = Stage.waiting
        /// The size of its files.
        let leastBytes: UInt64
        let grantedBytes: UInt64
        var bytes: UInt64 = 0
        /// Of a leaving worker: it has no calls, so its memory is about to be free.
        var isEnding = false
    }

    private struct Model {
        let name: String
        var need: Need
        var idleLimit: UInt64?
        var retriesAfter: UInt64?
        var current: WorkerID?
        var successor: WorkerID?
        var failedAt: UInt64?
        var activity = Activity()
    }

    /// Beside the size of its files: buffers and the process itself.
    static let workerBytes: UInt64 = 64 << 20

    let budget: UInt64
    private var models: [Model] = []
    private var workers: [Worker] = []
    private var nextID = 1

    init(budget: UInt64) { self.budget = budget }

    // MARK: What there is

    /// Adds a model, or changes what is known of one.
    ///
    /// - Parameters:
    ///   - idleLimit: how long it may be idle; nil is for ever.
    ///   - retriesAfter: how long after a failure a call tries to load it again; nil is never.
    mutating func set(_ name: String, need: Need, idleLimit: UInt64?, retriesAfter: UInt64?) {
        if let index = index(name) {
            models[index].need = need
            models[index].idleLimit = idleLimit
            models[index].retriesAfter = retriesAfter
        } else {
            models.append(Model(name: name, need: need, idleLimit: idleLimit, retriesAfter: retriesAfter))
        }
    }

    mutating func note(_ activity: Activity, of name: String) {
        if let index = index(name) { models[index].activity = activity }
    }

    /// Bytes that workers have or are granted.
    var takenBytes: UInt64 { workers.reduce(0) { $0 + $1.bytes } }

    /// Bytes that a model's workers have or are granted.
    func takenBytes(by name: String) -> UInt64 {
        workers.reduce(0) { $0 + ($1.model == name ? $1.bytes : 0) }
    }

    /// Why a worker that was made is not started.
    func shortage(of id: WorkerID) -> MemoryShortage? {
        guard let worker = worker(id), worker.stage == .waiting else { return nil }
        return shortage(worker.model, bytes: worker.grantedBytes)
    }

    func isLoaded(_ name: String) -> Bool {
        index(name).flatMap { models[$0].current }.flatMap(worker)?.stage == .loaded
    }

    // MARK: Wishes

    /// A model is to be loaded as the server starts: if there is room, and without pushing others out.
    ///
    /// - Throws: what is missing; the first call loads the model then.
    mutating func start(_ name: String) throws(MemoryShortage) -> [Action] {
        guard let index = index(name), models[index].current == nil else { return [] }
        try checkLeast(models[index])
        let bytes = grant(models[index])
        guard bytes <= budget - min(budget, takenBytes) else { throw shortage(name, bytes: bytes) }
        return make(index, grant: bytes, isSuccessor: false) + startWaiting()
    }

    /// Somebody wants to use a model.
    ///
    /// - Parameter insists: an administrator wants to know whether a model that failed can be loaded now.
    mutating func want(_ name: String, insists: Bool = false, now: UInt64) throws(MemoryShortage) -> [Action] {
        guard let index = index(name), models[index].current == nil else { return [] }
        if let failedAt = models[index].failedAt, !insists {
            guard let pause = models[index].retriesAfter, now >= failedAt &+ pause else { return [] }
        }
        try checkLeast(models[index])
        return make(index, grant: grant(models[index]), isSuccessor: false) + startWaiting()
    }

    /// A loaded model is to be replaced by a new load of it.
    ///
    /// - Throws: what is missing where both do not fit at once.
    mutating func replace(_ name: String) throws(MemoryShortage) -> [Action] {
        guard let index = index(name), let current = models[index].current.flatMap(worker), current.stage == .loaded,
            models[index].successor == nil
        else { return [] }
        try checkLeast(models[index])
        let staying = workers.reduce(0) { sum, worker in
            sum + (worker.isEnding || (isEvictable(worker) && worker.id != current.id) ? 0 : worker.bytes)
        }
        let room = budget - min(budget, staying)
        let needed = needed(toReplace: current, by: models[index].need)
        guard needed <= room else { throw shortage(name, bytes: needed) }
        return make(index, grant: max(needed, min(room, grant(models[index]))), isSuccessor: true) + startWaiting()
    }

    /// A model's worker is to end when it has no more calls.
    mutating func unload(_ name: String) -> [Action] {
        guard let index = index(name) else { return [] }
        models[index].failedAt = nil
        let ids = [models[index].successor, models[index].current].compactMap(\.self)
        return ids.flatMap { leave($0, .asked) } + startWaiting()
    }

    /// A worker is no good, or is not waited for any longer.
    mutating func giveUp(_ id: WorkerID) -> [Action] { leave(id, .asked) + startWaiting() }

    mutating func remove(_ name: String) -> [Action] {
        let actions = unload(name)
        models.removeAll { $0.name == name }
        return actions
    }

    // MARK: What happens to workers

    /// - Parameter bytes: what the worker says that it takes; 0 if it does not say.
    mutating func loaded(_ id: WorkerID, bytes: UInt64) -> [Action] {
        guard let place = workers.firstIndex(where: { $0.id == id }), workers[place].stage != .leaving
        else { return [] }
        workers[place].stage = .loaded
        if bytes > 0 { workers[place].bytes = bytes }
        guard let index = index(workers[place].model) else { return [] }
        models[index].failedAt = nil
        guard models[index].successor == id else { return startWaiting() }
        models[index].successor = nil
        let old = models[index].current
        models[index].current = id
        return [.takeOver(id)] + (old.map { leave($0, .replaced) } ?? []) + startWaiting()
    }

    /// It could not be loaded, or was given up; it has no process any more.
    mutating func failed(_ id: WorkerID, now: UInt64) -> [Action] {
        if let worker = worker(id), let index = index(worker.model), models[index].current == id {
            models[index].failedAt = now
        }
        return ended(id)
    }

    /// The process of a worker that was told to leave is gone.
    mutating func ended(_ id: WorkerID) -> [Action] {
        forget(id)
        return startWaiting()
    }

    /// Time has passed, or calls have ended.
    mutating func review(now: UInt64) -> [Action] {
        var actions: [Action] = []
        for model in models {
            guard let id = model.current, model.activity.users == 0, model.successor == nil else { continue }
            switch worker(id)?.stage {
            case .waiting:
                forget(id)
                actions.append(.drop(id))
            case .loaded:
                guard let limit = model.idleLimit, now >= model.activity.idleSince &+ limit else { continue }
                actions += leave(id, .idle)
            case .loading, .leaving, nil:
                break
            }
        }
        return actions + startWaiting()
    }
}

// MARK: - Room

extension ModelTable {
    private mutating func make(_ index: Int, grant: UInt64, isSuccessor: Bool) -> [Action] {
        let id = nextID
        nextID += 1
        let model = models[index]
        workers.append(
            Worker(id: id, model: model.name, leastBytes: model.need.leastBytes, grantedBytes: grant))
        if isSuccessor { models[index].successor = id } else { models[index].current = id }
        return [.make(id, model: model.name, memoryLimit: grant, isSuccessor: isSuccessor)]
    }

    /// Starts those that wait and fit, oldest first, and pushes out what is idle for those that would fit then.
    private mutating func startWaiting() -> [Action] {
        var actions: [Action] = []
        for waiting in workers where waiting.stage == .waiting {
            actions += makeRoom(for: waiting)
            guard waiting.grantedBytes <= budget - min(budget, takenBytes),
                let place = workers.firstIndex(where: { $0.id == waiting.id })
            else { continue }
            workers[place].stage = .loading
            workers[place].bytes = waiting.grantedBytes
            actions.append(.start(waiting.id))
        }
        return actions
    }

    /// Nothing is pushed out in vain: either it makes enough room, or it stays.
    private mutating func makeRoom(for waiting: Worker) -> [Action] {
        var taken = workers.reduce(0) { $0 + ($1.isEnding ? 0 : $1.bytes) }
        let idle = workers.filter { isEvictable($0) && $0.model != waiting.model }
            .sorted { idleSince($0) < idleSince($1) }
        var leaving: [WorkerID] = []
        for worker in idle where waiting.grantedBytes > budget - min(budget, taken) {
            leaving.append(worker.id)
            taken -= worker.bytes
        }
        guard waiting.grantedBytes <= budget - min(budget, taken) else { return [] }
        return leaving.flatMap { leave($0, .memory) }
    }

    private func isEvictable(_ worker: Worker) -> Bool {
        guard worker.stage == .loaded, let index = index(worker.model) else { return false }
        return models[index].activity.users == 0 && models[index].successor == nil
    }

    private func idleSince(_ worker: Worker) -> UInt64 {
        index(worker.model).map { models[$0].activity.idleSince } ?? 0
    }

    private mutating func leave(_ id: WorkerID, _ reason: LeaveReason) -> [Action] {
        guard let place = workers.firstIndex(where: { $0.id == id }) else { return [] }
        let worker = workers[place]
        if let index = index(worker.model) {
            workers[place].isEnding = models[index].activity.users == 0
            if models[index].current == id { models[index].current = nil }
            if models[index].successor == id { models[index].successor = nil }
        }
        guard worker.stage != .waiting else {
            workers.remove(at: place)
            return [.drop(id)]
        }
        workers[place].stage = .leaving
        return [.leave(id, reason)]
    }

    private mutating func forget(_ id: WorkerID) {
        workers.removeAll { $0.id == id }
        for index in models.indices {
            if models[index].current == id { models[index].current = nil }
            if models[index].successor == id { models[index].successor = nil }
        }
    }

    /// What a load of the model may take.
    ///
    /// Where all models fit at once, what is left when each has its weights is divided evenly, for their caches. Where
    /// they do not, a cache of a quarter of the weights must do, so that as many as possible fit.
    private func grant(_ model: Model) -> UInt64 {
        if let granted = model.need.grantedBytes { return min(granted, budget) }
        let weights = models.reduce(0) { $0 + Self.weights($1.need) }
        let share = budget > weights ? (budget - weights) / UInt64(max(1, models.count)) : 0
        let own = Self.weights(model.need)
        return min(budget, own + max(share, own / 4))
    }

    /// The same file takes as much as it takes now; another one as much more or less as its weights do.
    private func needed(toReplace current: Worker, by need: Need) -> UInt64 {
        if let granted = need.grantedBytes { return min(granted, budget) }
        guard need.leastBytes != current.leastBytes else { return current.bytes }
        let old = Self.weights(Need(leastBytes: current.leastBytes))
        return Self.weights(need) + (current.bytes > old ? current.bytes - old : 0)
    }

    /// Packed weights are at most 15 percent larger than the file.
    private static func weights(_ need: Need) -> UInt64 {
        need.grantedBytes ?? need.leastBytes + need.leastBytes / 100 * 15 + workerBytes
    }

    private func checkLeast(_ model: Model) throws(MemoryShortage) {
        let least = model.need.leastBytes
        guard least > min(budget, model.need.grantedBytes ?? budget) else { return }
        throw MemoryShortage(
            model: model.name, neededBytes: least, budgetBytes: min(budget, model.need.grantedBytes ?? budget),
            holders: [], isPermanent: true)
    }

    private func shortage(_ name: String, bytes: UInt64) -> MemoryShortage {
        var holders: [MemoryShortage.Holder] = []
        for worker in workers where worker.bytes > 0 {
            let calls = worker.stage == .leaving ? nil : index(worker.model).map { models[$0].activity.users }
            holders.append(MemoryShortage.Holder(model: worker.model, bytes: worker.bytes, calls: calls))
        }
        return MemoryShortage(
            model: name, neededBytes: bytes, budgetBytes: budget, holders: holders, isPermanent: false)
    }

    private func index(_ name: String) -> Int? { models.firstIndex { $0.name == name } }

    private func worker(_ id: WorkerID) -> Worker? { workers.first { $0.id == id } }
}
