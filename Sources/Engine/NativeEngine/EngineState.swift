import EngineProtocol
import Scheduling

/// What the engine loop shares with the threads that submit and cancel.
struct EngineState: Sendable {
    /// A call that was accepted and that the loop has not seen yet.
    struct Arrival: Sendable {
        enum Work: Sendable {
            case generation(PreparedGeneration)
            case scoring(PreparedScore)
            case embedding(PreparedEmbedding)
        }

        let call: CallID
        let work: Work
        let acceptedAt: UInt64
    }

    var scheduler: Scheduler
    var arrivals: [Arrival] = []
    /// Every call that was accepted and has not ended.
    var live: Set<CallID> = []
    /// Calls to end at the next layer or step.
    var cancelRequests: Set<CallID> = []
    /// Generations to pause at the next step.
    var pauseRequests: Set<CallID> = []
    var sessions: SessionTable
    /// Blocks that got a content from a file, of which the loop does not know yet.
    var loadedBlocks: [Int32] = []
    /// Every sequence waits for credit: nothing is to do until a call comes or goes, or gets some.
    var isStalled = false
    var isStopping = false
    /// Counters; the gauges are read from the scheduler.
    var statistics = WorkerStatistics()
    /// Moving average over ended sequences, from slot to end.
    var sequenceNanoseconds: UInt64 = 1_000_000_000

    /// True when the loop has something to do.
    var hasWork: Bool {
        isStopping || !cancelRequests.isEmpty || !pauseRequests.isEmpty || !scheduler.isIdle && !isStalled
    }

    /// Nil: until something changes.
    var nanosecondsToWait: UInt64? { scheduler.isIdle ? nil : Self.stalledTurnNanoseconds }

    /// Between two looks at the deadlines of calls that wait for credit; the supervisor sees that somebody looks.
    private static let stalledTurnNanoseconds: UInt64 = 250_000_000

    /// True when nobody wants what a slot computes.
    func isUnwanted(slot: Int) -> Bool {
        isStopping || scheduler.call(inSlot: slot).map(cancelRequests.contains) ?? true
    }

    mutating func noteSequenceEnd(nanoseconds: UInt64) {
        sequenceNanoseconds = sequenceNanoseconds / 8 * 7 + nanoseconds / 8
    }

    func engineError(_ error: SubmissionError) -> EngineError {
        switch error {
        case .queueFull: .queueFull(retryAfterMilliseconds: retryAfterMilliseconds)
        case .neverFits(let positions, let limit, let pinned):
            .resourceExhausted(
                message: "prompt and answer need \(positions) positions of the KV cache, which has \(limit)"
                    + (pinned > 0 ? " beside the \(pinned) of loaded prompt caches" : ""),
                permanent: pinned == 0)
        }
    }

    /// When a place in the queue may be free: as long as it takes to serve what waits, from 1 to 60 seconds.
    var retryAfterMilliseconds: UInt32 {
        let rounds = UInt64(scheduler.waitingCount / scheduler.limits.slots + 1)
        let milliseconds = sequenceNanoseconds.multipliedReportingOverflow(by: rounds)
        return milliseconds.overflow
            ? 60_000 : UInt32(clamping: min(60_000, max(1000, milliseconds.partialValue / 1_000_000)))
    }
}
