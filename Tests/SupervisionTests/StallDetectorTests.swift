import EngineProtocol
import Testing

@testable import Supervision

@Suite("Stall detector") struct StallDetectorTests {
    private static let interval = StallDetector.interval
    private static let limit: UInt64 = 30_000_000_000

    /// What a worker shows and what the gateway knows at one look.
    struct Look {
        var progress = WorkerProgress()
        var openCalls = 0
        var events: UInt64 = 0
    }

    struct Case: CustomTestStringConvertible, Sendable {
        let name: String
        /// Looks before the first stall; nil if there is none in an hour.
        let looks: Int?
        /// What stands still.
        var what = ""
        let look: @Sendable (_ number: Int) -> Look

        var testDescription: String { name }
    }

    /// At a look every quarter of a second, thirty seconds have passed at the 121st.
    private static let stalled = 121

    private static func computing(_ step: Int, layer: Int) -> WorkerProgress {
        var progress = WorkerProgress()
        progress.enginePhase = .computing
        progress.steps = UInt64(step)
        progress.layer = UInt64(layer)
        progress.rows = 5
        progress.sequences = 2
        return progress
    }

    private static func preparing(_ phase: ProgressPage.PreparationPhase, begun: Int) -> WorkerProgress {
        var progress = WorkerProgress()
        progress.preparationPhase = phase
        progress.preparations = UInt64(begun)
        return progress
    }

    static let cases = [
        Case(name: "idle", looks: nil) { _ in Look() },
        Case(name: "a layer that never ends", looks: stalled, what: "layer 3 of step 7, 5 rows of 2 sequences") { _ in
            Look(progress: computing(7, layer: 3), openCalls: 2)
        },
        Case(name: "layers of 29 seconds each", looks: nil) {
            Look(progress: computing(1, layer: $0 / 116), openCalls: 1)
        },
        Case(name: "calls that wait for credit, and an engine that looks for work", looks: nil) {
            var progress = WorkerProgress()
            progress.turns = UInt64($0 / 100)
            return Look(progress: progress, openCalls: 3)
        },
        Case(name: "steps without layers in sight", looks: nil) {
            Look(progress: computing($0, layer: 3), openCalls: 1)
        },
        Case(name: "sampling that never ends", looks: stalled, what: "sampling of step 4") { _ in
            var progress = computing(4, layer: 3)
            progress.enginePhase = .sampling
            return Look(progress: progress, openCalls: 1)
        },
        Case(name: "planning that never ends, with no call open", looks: stalled, what: "planning after step 4") { _ in
            var progress = computing(4, layer: 3)
            progress.enginePhase = .planning
            return Look(progress: progress)
        },
        Case(name: "a template that never ends while others generate", looks: stalled, what: "the preparation") {
            var progress = computing($0, layer: 1)
            progress.preparationPhase = .preparing
            progress.preparations = 9
            return Look(progress: progress, openCalls: 5, events: UInt64($0))
        },
        Case(name: "requests that are prepared one after the other", looks: nil) {
            Look(progress: preparing(.preparing, begun: $0 / 60), openCalls: 1)
        },
        Case(name: "an hour of loading", looks: nil) { _ in Look(progress: preparing(.loading, begun: 1)) },
        Case(name: "a worker that was stopped before it saw the call", looks: stalled, what: "1 open call") { _ in
            Look(openCalls: 1)
        },
        Case(name: "a worker that answers without counting", looks: nil) {
            Look(openCalls: 1, events: UInt64($0 / 100))
        },
        Case(name: "no call open any more", looks: nil) { Look(openCalls: $0 < 100 ? 1 : 0) },
        Case(name: "stopped at last", looks: 200 + stalled - 1, what: "layer 200") {
            Look(progress: computing(1, layer: min($0, 200)), openCalls: 1)
        },
    ]

    @Test("a worker is stalled when it has work and nothing moves for the limit", arguments: cases)
    func table(testCase: Case) {
        var detector = StallDetector(limitNanoseconds: Self.limit)
        var found: (look: Int, stall: StallDetector.Stall)?
        for number in 1...14_400 where found == nil {
            let look = testCase.look(number)
            let stall = detector.look(
                at: look.progress, openCalls: look.openCalls, events: look.events, now: UInt64(number) * Self.interval)
            if let stall { found = (number, stall) }
        }
        #expect(found?.look == testCase.looks)
        guard let stall = found?.stall else { return }
        #expect(stall.what.hasPrefix("no progress for 30 s in \(testCase.what)"))
        #expect(stall.stillNanoseconds == Self.limit && detector.stillNanoseconds == Self.limit)
    }

    @Test("time that nobody watched does not count: a suspended machine, a stopped gateway")
    func gaps() {
        var detector = StallDetector(limitNanoseconds: Self.limit)
        let look = Look(progress: Self.computing(1, layer: 1), openCalls: 1)
        var now: UInt64 = 0
        for gap in [Self.interval, 3_600_000_000_000, Self.interval, 86_400_000_000_000] {
            now += gap
            let stall = detector.look(at: look.progress, openCalls: 1, events: 0, now: now)
            #expect(stall == nil)
        }
        #expect(detector.stillNanoseconds == 2 * StallDetector.longestGap + Self.interval)
    }
}
