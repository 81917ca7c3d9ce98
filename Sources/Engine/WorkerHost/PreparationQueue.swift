import EngineProtocol

/// Requests on their way to the engine: those that wait, and the one that is being prepared.
///
/// Pure; the owner locks it. Every request that enters leaves it exactly once: by `cancel` while it waits, or by
/// `finish`, which tells whether it was cancelled meanwhile.
struct PreparationQueue<Job: Sendable>: Sendable {
    struct Entry: Sendable {
        let call: CallID
        let bytes: Int
        let job: Job
    }

    enum Cancellation: Equatable {
        /// It waited and is gone; nobody else will end it.
        case removed
        /// It is being prepared; `finish` will tell.
        case noted
        /// It is not here: already with the engine, ended, or never seen.
        case unknown
    }

    private let limits: WorkerLimits
    private var waiting: [Entry] = []
    private var waitingBytes = 0
    private var active: (call: CallID, isCancelled: Bool)?

    init(limits: WorkerLimits) { self.limits = limits }

    var isEmpty: Bool { waiting.isEmpty }

    /// False when the queue is full.
    ///
    /// A request that is larger than the queue enters an empty one.
    mutating func append(call: CallID, bytes: Int, job: Job) -> Bool {
        guard waiting.count < limits.waitingRequests, waiting.isEmpty || bytes <= limits.waitingBytes - waitingBytes
        else { return false }
        waiting.append(Entry(call: call, bytes: bytes, job: job))
        waitingBytes += bytes
        return true
    }

    /// Takes the oldest request for preparation.
    mutating func next() -> Entry? {
        guard !waiting.isEmpty else { return nil }
        let entry = waiting.removeFirst()
        waitingBytes -= entry.bytes
        active = (entry.call, false)
        return entry
    }

    mutating func cancel(_ call: CallID) -> Cancellation {
        if active?.call == call {
            active?.isCancelled = true
            return .noted
        }
        guard let index = waiting.firstIndex(where: { $0.call == call }) else { return .unknown }
        waitingBytes -= waiting.remove(at: index).bytes
        return .removed
    }

    /// Ends the preparation of the active request; true if it was cancelled meanwhile.
    mutating func finish() -> Bool {
        defer { active = nil }
        return active?.isCancelled ?? false
    }
}
