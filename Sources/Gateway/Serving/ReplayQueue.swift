/// Which held calls go to the worker, and when.
///
/// After a death that a request may have caused, the calls that the worker computed are suspects. The rules:
///
/// 1. While a suspect waits or is on trial, no other call is sent.
/// 2. The first suspect is sent when the worker has no other call, or when it has waited `patience` for that.
/// 3. Its trial ends with it; or, once it has more tokens than when its worker died, after `patience`.
/// 4. A worker that dies with the suspect on trial as its only call names that call.
///
/// So an innocent call that is long holds the others up only for a while, and only a call that was alone is named.
///
/// Pure: calls are numbers that count up as the calls come, and the clock is handed in.
struct ReplayQueue: Sendable {
    private struct Suspect {
        let call: UInt64
        let tokens: Int
        let heldAt: UInt64
    }

    private struct Trial {
        let call: UInt64
        let tokens: Int
        let sentAt: UInt64
        var isCleared = false
    }

    enum Step: Equatable {
        case send([UInt64])
        /// Nothing until something happens, or until this time.
        case wait(until: UInt64?)
    }

    private let patience: UInt64
    private var suspects: [Suspect] = []
    private var others: [UInt64] = []
    private var trial: Trial?

    init(patience: UInt64) { self.patience = patience }

    /// Whether new calls must wait for suspects.
    var isBusy: Bool { trial != nil || !suspects.isEmpty }

    mutating func hold(_ call: UInt64) { others.append(call) }

    /// - Parameter tokens: how many the call had when its worker died.
    mutating func hold(suspect call: UInt64, tokens: Int, now: UInt64) {
        suspects.append(Suspect(call: call, tokens: tokens, heldAt: now))
    }

    /// What may be sent to a worker that is ready.
    ///
    /// - Parameter callsAtWorker: how many it has.
    mutating func next(callsAtWorker: Int, now: UInt64) -> Step {
        if let trial {
            guard trial.isCleared else { return .wait(until: nil) }
            guard now >= trial.sentAt &+ patience else { return .wait(until: trial.sentAt &+ patience) }
            self.trial = nil
        }
        if let first = suspects.first {
            guard callsAtWorker == 0 || now >= first.heldAt &+ patience else {
                return .wait(until: first.heldAt &+ patience)
            }
            suspects.removeFirst()
            trial = Trial(call: first.call, tokens: first.tokens, sentAt: now)
            return .send([first.call])
        }
        guard !others.isEmpty else { return .wait(until: nil) }
        // A call that is sent again comes before those that are newer.
        defer { others = [] }
        return .send(others.sorted())
    }

    /// True when the call was on trial and has just been cleared.
    mutating func note(tokens: Int, of call: UInt64) -> Bool {
        guard let running = trial, running.call == call, !running.isCleared, tokens > running.tokens else {
            return false
        }
        trial?.isCleared = true
        return true
    }

    /// The call has ended, wherever it was.
    mutating func remove(_ call: UInt64) {
        if trial?.call == call { trial = nil }
        suspects.removeAll { $0.call == call }
        others.removeAll { $0 == call }
    }

    /// Ends the trial of a worker that died.
    ///
    /// - Parameter mayBeTheirFault: not if the worker was killed from outside, say.
    /// - Returns: the call that is to blame, if it is certain.
    mutating func workerDied(callsAtWorker: [UInt64], mayBeTheirFault: Bool) -> UInt64? {
        defer { trial = nil }
        guard let trial, mayBeTheirFault, callsAtWorker == [trial.call] else { return nil }
        return trial.call
    }
}
