/// The life of one model's worker as a state machine: events go in, actions come out, no clock and no process inside.
///
/// | State | spawn fails or worker ends | loaded | load refused | time passes | stop |
/// |---|---|---|---|---|---|
/// | starting | backing off, or failed when the budget is used up | ready | failed | – | draining |
/// | ready | backing off, or failed | – | – | – | draining |
/// | backing off | – | – | – | starting when the time has come | draining |
/// | failed | – | – | – | – | draining |
/// | draining | – | – | – | – | – |
public struct SupervisorState: Sendable, Equatable {
    public enum Phase: Sendable, Equatable {
        case starting
        case ready
        /// - Parameter until: monotonic clock, nanoseconds.
        case backingOff(until: UInt64, after: WorkerEnd)
        /// It will not get better by itself.
        case failed(reason: String)
        case draining
    }

    public enum Event: Sendable, Equatable {
        case loaded
        /// The worker answered that this model cannot be loaded.
        case loadRefused(reason: String)
        /// The worker is gone, or could not be started.
        case ended(WorkerEnd)
        case timeArrived
        /// The worker has answered a request, or the one that ended it is known: what happened before is forgiven.
        case servedRequest
        case stop
    }

    public enum Action: Sendable, Equatable {
        case spawn
        case announceReady
        /// Calls of this worker must be answered.
        case announceLost(WorkerEnd)
        case announceFailed(reason: String)
        case wakeAt(UInt64)
        case endWorker
    }

    /// Deaths in a row, without one request served between them, before the model is given up.
    public static let restartBudget = 8
    public static let firstBackOff: UInt64 = 250_000_000
    public static let longestBackOff: UInt64 = 10_000_000_000

    public private(set) var phase = Phase.starting
    public private(set) var deathsInARow = 0
    public private(set) var restarts = 0
    /// How workers have ended, by kind.
    public private(set) var ends: [WorkerEnd.Kind: Int] = [:]
    public private(set) var lastEnd: WorkerEnd?

    public init() {}

    /// - Parameter now: monotonic clock, nanoseconds.
    public mutating func handle(_ event: Event, now: UInt64) -> [Action] {
        switch (phase, event) {
        case (.draining, _):
            return []
        case (_, .stop):
            phase = .draining
            return [.endWorker]
        case (_, .servedRequest):
            deathsInARow = 0
            return []
        case (.starting, .loaded):
            phase = .ready
            return [.announceReady]
        case (.starting, .loadRefused(let reason)):
            phase = .failed(reason: reason)
            return [.announceFailed(reason: reason), .endWorker]
        case (.starting, .ended(let end)), (.ready, .ended(let end)):
            return workerEnded(end, now: now)
        case (.backingOff(let until, _), .timeArrived):
            guard now >= until else { return [.wakeAt(until)] }
            phase = .starting
            restarts += 1
            return [.spawn]
        case (.ready, .loaded), (.ready, .loadRefused), (.starting, .timeArrived), (.ready, .timeArrived),
            (.backingOff, .loaded), (.backingOff, .loadRefused), (.backingOff, .ended), (.failed, .loaded),
            (.failed, .loadRefused), (.failed, .ended), (.failed, .timeArrived):
            return []
        }
    }

    private mutating func workerEnded(_ end: WorkerEnd, now: UInt64) -> [Action] {
        deathsInARow += 1
        ends[end.kind, default: 0] += 1
        lastEnd = end
        guard deathsInARow < Self.restartBudget else {
            let verdict = "gave up after \(deathsInARow) deaths in a row; the last: \(end.text)"
            phase = .failed(reason: verdict)
            return [.announceLost(end), .announceFailed(reason: verdict)]
        }
        let until = now &+ Self.backOff(deaths: deathsInARow)
        phase = .backingOff(until: until, after: end)
        return [.announceLost(end), .wakeAt(until)]
    }

    /// 0.25 s, doubled with each death, at most 10 s.
    static func backOff(deaths: Int) -> UInt64 {
        min(firstBackOff << UInt64(max(0, min(deaths - 1, 16))), longestBackOff)
    }

    /// How long a client should wait before it tries again, in milliseconds; 0 when trying again is pointless.
    public func retryAfterMilliseconds(now: UInt64) -> UInt32 {
        switch phase {
        case .backingOff(let until, _):
            let rest = until > now ? until - now : 0
            // The worker still has to load after that.
            return UInt32(clamping: rest / 1_000_000 + 500)
        case .starting: return 1000
        case .ready, .draining: return 5000
        case .failed: return 0
        }
    }
}
