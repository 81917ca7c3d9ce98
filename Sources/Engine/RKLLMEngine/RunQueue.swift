import EngineProtocol

/// What the threads of the engine share: the calls that wait, and the one whose runs the runtime works on.
struct RunQueue: Sendable {
    struct Entry: Sendable {
        let call: CallID
        let work: Work
        let acceptedAt: UInt64
    }

    enum Work: Sendable {
        case runs(PreparedRuns)
        case task(RuntimeTask)
    }

    enum Abort: Sendable {
        case none
        /// Somebody wants the run to end.
        case wanted
        /// The runtime is being told, and must not begin another run meanwhile: that one would end.
        case calling
        case called
    }

    private(set) var waiting: [Entry] = []
    private(set) var running: CallID?
    /// The running call has said its last: whatever the runtime still tells is dropped.
    private(set) var isOver = false
    /// Bytes of rows that the running call may send.
    private(set) var credit = 0
    private(set) var isInRun = false
    /// Counts the runs.
    private(set) var run: UInt64 = 0
    private(set) var abort = Abort.none
    var isStopping = false
    var hasStopped = false
    /// The model is being loaded again, which has to be done by then; 0: it is not.
    var reloadDeadline: UInt64 = 0
    var sessions: [SessionID: RuntimeSession] = [:]
    /// Calls that are to be paused.
    private var pausing: Set<CallID> = []
    /// Columns of hidden states, once some came.
    var knownWidth: UInt32?
    var statistics = WorkerStatistics()

    // MARK: Calls

    /// The place in the queue, or nil if it is full.
    mutating func append(_ entry: Entry, limit: Int) -> Int? {
        guard waiting.count < limit else { return nil }
        waiting.append(entry)
        return waiting.count - 1 + (running == nil ? 0 : 1)
    }

    func has(_ call: CallID) -> Bool { running == call && !isOver || waiting.contains { $0.call == call } }

    mutating func next() -> Entry? {
        guard !isStopping, !waiting.isEmpty else { return nil }
        let entry = waiting.removeFirst()
        (running, isOver) = (entry.call, false)
        if case .runs(let work) = entry.work, case .generation(_, _, let tensors?) = work.answer {
            credit = Int(clamping: tensors.credit)
        }
        return entry
    }

    /// The running call is done with.
    mutating func leave() {
        if let running { pausing.remove(running) }
        running = nil
    }

    /// Only calls that are here can be paused.
    mutating func pause(_ call: CallID) {
        if has(call) { pausing.insert(call) }
    }

    func isPausing(_ call: CallID) -> Bool { pausing.contains(call) }

    func isOpen(_ call: CallID) -> Bool { running == call && !isOver && !isStopping }

    /// The running call ends; false if it has ended before.
    mutating func end(_ call: CallID) -> Bool {
        guard running == call, !isOver else { return false }
        isOver = true
        return true
    }

    /// Takes a call away; true if an end event has to be said for it.
    mutating func cancel(_ call: CallID) -> Bool {
        if let index = waiting.firstIndex(where: { $0.call == call }) {
            waiting.remove(at: index)
            pausing.remove(call)
        } else {
            guard end(call) else { return false }
            wantAbort()
        }
        statistics.cancelled += 1
        return true
    }

    mutating func addCredit(_ bytes: Int, call: CallID) {
        if running == call { credit = credit.addingReportingOverflow(bytes).overflow ? .max : credit + bytes }
    }

    mutating func spendCredit(_ bytes: Int) { credit -= bytes }

    // MARK: Runs

    mutating func beginRun() {
        isInRun = true
        run &+= 1
    }

    /// No abort begins from now on; one that has begun is waited for.
    mutating func endRun() {
        isInRun = false
        if abort != .calling { abort = .none }
    }

    mutating func wantAbort() {
        if isInRun, abort == .none { abort = .wanted }
    }

    var mustAbort: Bool { isInRun && abort == .wanted }

    mutating func beginAbort() { abort = .calling }

    mutating func endAbort() { abort = isInRun ? .called : .none }

    /// It had no effect: it may have come before the run had really begun.
    mutating func repeatAbort(ofRun run: UInt64) {
        if isInRun, self.run == run { abort = .wanted }
    }
}
