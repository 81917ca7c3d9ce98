import EngineProtocol
import Platform

/// What the run thread, the abort thread and the callers of the engine have in common.
final class EngineCore: Sendable {
    let model: RuntimeModel
    let limits: RKLLMLimits
    let progress: ProgressPage
    let makeText: RKLLMEngine.MakeText
    let queue = Monitor(RunQueue())
    private let emit: RKLLMEngine.Emit

    init(
        model: RuntimeModel, limits: RKLLMLimits, progress: ProgressPage, makeText: @escaping RKLLMEngine.MakeText,
        emit: @escaping RKLLMEngine.Emit
    ) {
        self.model = model
        self.limits = limits
        self.progress = progress
        self.makeText = makeText
        self.emit = emit
    }

    // MARK: Any thread

    /// Queues a call and says `accepted`, unless only the run thread knows whether it is.
    func submit(_ entry: RunQueue.Entry) throws(EngineError) {
        try queue.change { queue throws(EngineError) in
            guard !queue.isStopping else { throw .cancelled }
            guard !queue.has(entry.call) else {
                throw .invalidRequest(parameter: "", message: "the call is already running")
            }
            guard let position = queue.append(entry, limit: limits.waitingCalls) else {
                throw .queueFull(retryAfterMilliseconds: limits.retryAfterMilliseconds)
            }
            guard case .runs(let work) = entry.work, case .generation = work.answer, !work.isAcceptedLate else {
                return
            }
            // Said under the lock, so that it comes before all that the run thread says.
            emit([(entry.call, Self.accepted(work, history: 0, position: position))])
        }
    }

    /// - Parameter history: positions that the call goes on after.
    static func accepted(_ work: PreparedRuns, history: Int, position: Int) -> EngineEvent {
        .accepted(
            promptTokens: UInt32(clamping: history + work.knownPromptTokens),
            queuePosition: UInt32(clamping: position))
    }

    /// The call ends at once; the runtime is asked to end its run, and what it still tells is dropped.
    func cancel(_ call: CallID) {
        queue.change { queue in
            if queue.cancel(call) { emit([(call, .failed(.cancelled))]) }
        }
    }

    /// Says events of the running call, unless it has ended.
    func say(_ events: [EngineEvent], of call: CallID) {
        queue.withLock { queue in
            guard queue.isOpen(call) else { return }
            if events.contains(where: \.isEnd) { _ = queue.end(call) }
            emit(events.map { (call, $0) })
        }
    }

    func isOpen(_ call: CallID) -> Bool { queue.withLock { $0.isOpen(call) } }

    func wantAbort() { queue.change { $0.wantAbort() } }

    /// Waits for a state, but no longer than so, however often something else changes meanwhile.
    func wait(
        atMost nanoseconds: UInt64, until condition: (RunQueue) -> Bool, then body: (inout RunQueue) -> Void = { _ in }
    ) {
        let deadline = MonotonicClock.now() + nanoseconds
        queue.wait(
            until: { condition($0) || MonotonicClock.now() >= deadline }, atMost: { _ in nanoseconds }, then: body)
    }

    // MARK: The run thread

    /// Serves calls one after the other until the engine stops.
    func serveCalls() {
        var cache = RuntimeCache()
        while let entry = nextCall() {
            switch entry.work {
            case .runs(let work):
                RunningCall(entry.call, work, acceptedAt: entry.acceptedAt, core: self).perform(cache: &cache)
            case .task(let task):
                beginLibraryCall(for: entry.call)
                say([perform(task, call: entry.call, cache: &cache)], of: entry.call)
            }
            queue.change { $0.leave() }
        }
        model.unload()
        queue.change { $0.hasStopped = true }
    }

    private func nextCall() -> RunQueue.Entry? {
        progress.setCalls(0)
        progress.enter(.idle)
        let entry = queue.wait(until: { $0.isStopping || !$0.waiting.isEmpty }) { $0.next() }
        progress.beginTurn()
        progress.setCalls(1)
        return entry
    }

    /// The library is about to be called: one that does not come back stands still on the progress page.
    func beginLibraryCall(for call: CallID) { progress.beginStep(rows: 1, sequences: 1, calls: CollectionOfOne(call)) }

    /// Loads the model again, which takes as long as it takes: the progress page moves on meanwhile, up to a limit.
    ///
    /// - Parameter run: what the model is loaded for.
    func reload(for run: PreparedRun?, cache: inout RuntimeCache) throws(EngineError) {
        let limit = max(limits.reloadNanoseconds, 4 * model.loadNanoseconds)
        queue.change { $0.reloadDeadline = MonotonicClock.now() + limit }
        defer { queue.change { $0.reloadDeadline = 0 } }
        cache.clear()
        try model.reload(for: run)
    }

    /// False if nobody wants it.
    func beginRun(of call: CallID) -> Bool {
        queue.withLock { queue in
            guard queue.isOpen(call) else { return false }
            queue.beginRun()
            return true
        }
    }

    func endRun(nanoseconds: UInt64) {
        queue.change { queue in
            queue.endRun()
            queue.statistics.steps += 1
            queue.statistics.stepNanoseconds += nanoseconds
        }
        // A runtime that does not come back from an abort is one that hangs: the progress page stands still.
        queue.wait(until: { $0.abort == .none }) { _ in }
    }

    /// Bytes of rows that may be sent, once there are any; nil if nobody wants them any more.
    func waitForCredit(of call: CallID, deadline: UInt64) -> Int? {
        while true {
            let credit = queue.wait(
                until: { $0.credit > 0 || !$0.isOpen(call) }, atMost: { _ in Self.turnNanoseconds }
            ) { $0.isOpen(call) ? $0.credit : nil }
            guard let credit else { return nil }
            if credit > 0 { return credit }
            if deadline != 0, MonotonicClock.now() >= deadline { return 0 }
            // A client that is slow is no runtime that hangs.
            progress.beginTurn()
            progress.enter(.idle)
        }
    }

    private static let turnNanoseconds: UInt64 = 250_000_000

    // MARK: The abort thread

    private enum Duty {
        case abort(run: UInt64)
        case watchReload
    }

    /// Tells the runtime to end runs that nobody wants, again and again until they end, and watches over reloads.
    func abortRuns() {
        while let duty = nextDuty() {
            switch duty {
            case .watchReload:
                // The run thread, whose page this is, is in the library.
                progress.beginStep(rows: 0, sequences: 0, calls: [])
                wait(atMost: limits.abortNanoseconds, until: { $0.reloadDeadline == 0 })
            case .abort(let run):
                model.abort()
                queue.change { $0.endAbort() }
                wait(atMost: limits.abortNanoseconds, until: { !$0.isInRun || $0.run != run }) {
                    $0.repeatAbort(ofRun: run)
                }
            }
        }
    }

    private func nextDuty() -> Duty? {
        queue.wait(
            until: { $0.mustAbort || $0.hasStopped || $0.reloadDeadline > MonotonicClock.now() }
        ) { queue in
            guard !queue.hasStopped else { return nil }
            guard queue.mustAbort else { return .watchReload }
            queue.beginAbort()
            return .abort(run: queue.run)
        }
    }
}
