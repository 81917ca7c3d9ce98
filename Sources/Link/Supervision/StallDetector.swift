import EngineProtocol

/// Tells when a worker has work and makes no progress with it: a value that looks at its progress page now and then.
///
/// Three things are watched, each on its own, because a hang of one does not stop the others:
///
/// | What | has work while | makes progress when |
/// |---|---|---|
/// | engine | its phase is not idle | phase, step or layer change |
/// | preparation | it prepares a request | it begins or ends one |
/// | worker | calls are open | anything of the above changes, events come, or the engine looks for work |
///
/// The last one finds a worker that was stopped, or that does not read its link. A worker that is merely slow moves on
/// from layer to layer. Loading has a limit of its own and is not watched here.
///
/// Only time that was watched counts: between two looks at most `longestGap` passes, so that a machine that was suspended
/// or a gateway that was stopped finds its worker no staler than it was.
struct StallDetector: Sendable {
    struct Stall: Equatable, Sendable {
        /// What stands still, in words for the log and for people.
        let what: String
        let stillNanoseconds: UInt64
    }

    /// Between two looks.
    static let interval: UInt64 = 250_000_000
    static let longestGap: UInt64 = 4 * interval

    private struct Watch: Sendable {
        private var mark: [UInt64] = []
        private(set) var still: UInt64 = 0

        mutating func look(hasWork: Bool, mark: [UInt64], elapsed: UInt64) {
            still = hasWork && mark == self.mark ? still + elapsed : 0
            self.mark = mark
        }
    }

    private let limit: UInt64
    private var engine = Watch()
    private var preparation = Watch()
    private var worker = Watch()
    private var lastLook: UInt64?

    init(limitNanoseconds: UInt64) { limit = limitNanoseconds }

    /// How long there was work and no progress; 0 for an idle worker.
    var stillNanoseconds: UInt64 { max(engine.still, preparation.still, worker.still) }

    /// Looks once.
    ///
    /// - Parameters:
    ///   - openCalls: sent to the worker and not ended by it.
    ///   - events: that have come from the worker so far.
    ///   - now: monotonic clock, nanoseconds.
    mutating func look(at progress: WorkerProgress, openCalls: Int, events: UInt64, now: UInt64) -> Stall? {
        let elapsed = min(now &- (lastLook ?? now), Self.longestGap)
        lastLook = now
        let engineMark = [progress.enginePhase.rawValue, progress.steps, progress.layer]
        engine.look(hasWork: progress.enginePhase != .idle, mark: engineMark, elapsed: elapsed)
        preparation.look(
            hasWork: progress.preparationPhase == .preparing, mark: [progress.preparations], elapsed: elapsed)
        // An engine all of whose calls wait for their clients' credit has nothing to do, and says that it looked.
        worker.look(
            hasWork: openCalls > 0, mark: engineMark + [progress.preparations, events, progress.turns],
            elapsed: elapsed)
        if engine.still >= limit { return stall(engine, Self.text(ofEngine: progress)) }
        if preparation.still >= limit { return stall(preparation, "the preparation of a request") }
        if worker.still >= limit { return stall(worker, "\(openCalls) open call\(openCalls == 1 ? "" : "s")") }
        return nil
    }

    private func stall(_ watch: Watch, _ place: String) -> Stall {
        Stall(what: "no progress for \(watch.still / 1_000_000_000) s in \(place)", stillNanoseconds: watch.still)
    }

    private static func text(ofEngine progress: WorkerProgress) -> String {
        switch progress.enginePhase {
        case .computing:
            "layer \(progress.layer) of step \(progress.steps), "
                + "\(progress.rows) rows of \(progress.sequences) sequences"
        case .idle, .planning: "planning after step \(progress.steps)"
        case .sampling: "sampling of step \(progress.steps)"
        }
    }
}
