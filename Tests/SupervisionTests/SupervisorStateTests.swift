import EngineProtocol
import Testing

@testable import Supervision

@Suite("Supervisor state") struct SupervisorStateTests {
    typealias State = SupervisorState
    private static let second: UInt64 = 1_000_000_000

    /// A state in each phase.
    ///
    /// The clock stands at 100 s; the back-off of one death ends at 100.25 s.
    private static func state(_ phase: String) -> State {
        var state = State()
        let now = 100 * second
        switch phase {
        case "ready": _ = state.handle(.loaded, now: now)
        case "backing off": _ = state.handle(.ended(.exited(status: 1)), now: now)
        case "failed": _ = state.handle(.loadRefused(reason: "x"), now: now)
        case "draining": _ = state.handle(.stop, now: now)
        default: break
        }
        return state
    }

    private static let events: [(name: String, event: State.Event)] = [
        ("loaded", .loaded), ("load refused", .loadRefused(reason: "bad file")), ("ended", .ended(.crashed(signal: 6))),
        ("time", .timeArrived), ("served", .servedRequest), ("stop", .stop),
    ]

    private static let backOff = State.Phase.backingOff(until: 101_250_000_000, after: .crashed(signal: 6))

    /// Every phase with every event at 101 s: the phase afterwards, and the actions.
    private static let table: [(phase: String, event: String, after: State.Phase, actions: [State.Action])] = [
        ("starting", "loaded", .ready, [.announceReady]),
        (
            "starting", "load refused", .failed(reason: "bad file"),
            [.announceFailed(reason: "bad file"), .endWorker]
        ),
        ("starting", "ended", backOff, [.announceLost(.crashed(signal: 6)), .wakeAt(101_250_000_000)]),
        ("starting", "time", .starting, []),
        ("starting", "served", .starting, []),
        ("starting", "stop", .draining, [.endWorker]),
        ("ready", "loaded", .ready, []),
        ("ready", "load refused", .ready, []),
        ("ready", "ended", backOff, [.announceLost(.crashed(signal: 6)), .wakeAt(101_250_000_000)]),
        ("ready", "time", .ready, []),
        ("ready", "served", .ready, []),
        ("ready", "stop", .draining, [.endWorker]),
        ("backing off", "loaded", .backingOff(until: 100_250_000_000, after: .exited(status: 1)), []),
        ("backing off", "load refused", .backingOff(until: 100_250_000_000, after: .exited(status: 1)), []),
        ("backing off", "ended", .backingOff(until: 100_250_000_000, after: .exited(status: 1)), []),
        ("backing off", "time", .starting, [.spawn]),
        ("backing off", "served", .backingOff(until: 100_250_000_000, after: .exited(status: 1)), []),
        ("backing off", "stop", .draining, [.endWorker]),
        ("failed", "loaded", .failed(reason: "x"), []),
        ("failed", "load refused", .failed(reason: "x"), []),
        ("failed", "ended", .failed(reason: "x"), []),
        ("failed", "time", .failed(reason: "x"), []),
        ("failed", "served", .failed(reason: "x"), []),
        ("failed", "stop", .draining, [.endWorker]),
        ("draining", "loaded", .draining, []),
        ("draining", "load refused", .draining, []),
        ("draining", "ended", .draining, []),
        ("draining", "time", .draining, []),
        ("draining", "served", .draining, []),
        ("draining", "stop", .draining, []),
    ]

    @Test("each phase answers each event as the table says", arguments: table.indices)
    func transitions(index: Int) throws {
        let row = Self.table[index]
        let event = try #require(Self.events.first { $0.name == row.event }).event
        var state = Self.state(row.phase)
        let actions = state.handle(event, now: 101 * Self.second)
        #expect(state.phase == row.after, "\(row.phase), \(row.event)")
        #expect(actions == row.actions, "\(row.phase), \(row.event)")
    }

    @Test("the table is complete")
    func complete() {
        #expect(Set(Self.table.map { "\($0.phase)/\($0.event)" }).count == 5 * Self.events.count)
    }

    @Test("the back-off doubles from 0.25 s to 10 s, and eight deaths in a row use up the budget")
    func budget() {
        var state = State()
        var now: UInt64 = 0
        var waits: [UInt64] = []
        while case .starting = state.phase {
            let actions = state.handle(.ended(.crashed(signal: 11)), now: now)
            guard case .backingOff(let until, _) = state.phase else {
                let verdict = "gave up after 8 deaths in a row; the last: killed by SIGSEGV"
                #expect(actions == [.announceLost(.crashed(signal: 11)), .announceFailed(reason: verdict)])
                break
            }
            waits.append((until - now) / 1_000_000)
            now = until
            #expect(state.handle(.timeArrived, now: now) == [.spawn])
        }
        #expect(waits == [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000])
        #expect(state.restarts == 7)
    }

    @Test("a served request refills the budget")
    func refill() {
        var state = State()
        for _ in 0..<100 {
            _ = state.handle(.loaded, now: 0)
            _ = state.handle(.servedRequest, now: 0)
            _ = state.handle(.ended(.exited(status: 1)), now: 0)
            #expect(state.phase == .backingOff(until: 250_000_000, after: .exited(status: 1)))
            _ = state.handle(.timeArrived, now: 250_000_000)
        }
    }

    @Test("time that comes too early only sets the clock again")
    func early() {
        var state = Self.state("backing off")
        #expect(state.handle(.timeArrived, now: 100 * Self.second) == [.wakeAt(100_250_000_000)])
        #expect(state.handle(.timeArrived, now: 100_250_000_000) == [.spawn])
    }

    @Test("Retry-After covers the rest of the back-off")
    func retryAfter() {
        let state = Self.state("backing off")
        #expect(state.retryAfterMilliseconds(now: 100 * Self.second) >= 250)
        #expect(state.retryAfterMilliseconds(now: 200 * Self.second) > 0)
        let early = state.retryAfterMilliseconds(now: 100 * Self.second)
        #expect(early - state.retryAfterMilliseconds(now: 100_100_000_000) == 100)
    }

    @Test("each kind of end is counted, and the last one is remembered")
    func ends() {
        var state = State()
        for end: WorkerEnd in [.crashed(signal: 11), .stalled(what: "x"), .crashed(signal: 6)] {
            _ = state.handle(.ended(end), now: 0)
            _ = state.handle(.timeArrived, now: .max)
        }
        #expect(state.ends == [.crashed: 2, .stalled: 1] && state.lastEnd == .crashed(signal: 6))
    }
}

@Suite("Worker end") struct WorkerEndTests {
    /// Each kind: its words, what clients are told, and whether a request may be to blame.
    private static let table: [(end: WorkerEnd, text: String, loss: WorkerLoss, isAccusing: Bool)] = [
        (.crashed(signal: 11), "killed by SIGSEGV", .crashed, true),
        (.crashed(signal: 6), "killed by SIGABRT", .crashed, true),
        (.crashed(signal: 9), "killed by SIGKILL", .crashed, false),
        (.crashed(signal: 15), "killed by SIGTERM", .crashed, false),
        (.exited(status: 3), "exited with status 3", .crashed, true),
        (.outOfMemory, "killed by SIGKILL, probably because memory ran out", .crashed, true),
        (.stalled(what: "no step in 30 s"), "stalled: no step in 30 s", .stalled, true),
        (.slowStart(seconds: 5), "did not load within 5 s", .crashed, false),
        (.couldNotStart(reason: "no such file"), "could not be started: no such file", .crashed, false),
        (.linkBroken(reason: "bad magic"), "closed its link (bad magic)", .crashed, true),
        (.mayFitLater(reason: "no room"), "no room", .crashed, false),
    ]

    @Test("each end has its words, its loss and its suspicion", arguments: table.indices)
    func ends(index: Int) {
        let row = Self.table[index]
        #expect(row.end.text == row.text && row.end.loss == row.loss)
        #expect(row.end.mayBeARequestsFault == row.isAccusing, "\(row.text)")
    }

    @Test("no kind is missing from the table")
    func complete() {
        #expect(Set(Self.table.map(\.end.kind)) == Set(WorkerEnd.Kind.allCases))
    }
}
