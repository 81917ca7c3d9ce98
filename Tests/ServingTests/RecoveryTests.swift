import EngineProtocol
import Supervision
import Testing

@testable import Serving

/// What becomes of calls whose worker dies, beyond that each one ends.
@Suite("Recovery") struct RecoveryTests {
    private let started = EngineEvent.started(cachedTokens: 0)
    private let crash = WorkerEnd.crashed(signal: 11)

    private func readyBench(_ change: (inout ServingLimits) -> Void = { _ in }) throws -> ServingBench {
        let bench = try ServingBench(change)
        bench.worker.becomeReady()
        return bench
    }

    /// Submits one call for each prompt.
    private func submit(
        _ prompts: [String], to bench: ServingBench, resumes: Bool = false
    ) throws -> [RecordingListener] {
        try prompts.map { prompt in
            let listener = RecordingListener()
            _ = try bench.submit(listener, prompt: prompt, resumes: resumes)
            return listener
        }
    }

    private func begin(_ bench: ServingBench, last count: Int) {
        for id in bench.worker.generations.suffix(count) { bench.worker.onEvents([(id, accepted), (id, started)]) }
    }

    private func finishLast(_ bench: ServingBench) throws {
        bench.worker.onEvents([(try #require(bench.worker.generations.last), finish)])
    }

    @Test("after a crash the calls run one at a time; the second crash names its request, and the others finish")
    func naming() throws {
        let bench = try readyBench()
        let listeners = try submit(["first", "poison", "last"], to: bench)
        begin(bench, last: 3)
        bench.worker.restart(after: crash)
        #expect(bench.worker.prompts.dropFirst(3) == ["first"])
        try finishLast(bench)
        #expect(bench.worker.prompts.dropFirst(4) == ["poison"])
        begin(bench, last: 1)
        bench.worker.restart(after: crash)
        #expect(listeners[1].events == [accepted, started, .failed(.quarantined)])
        #expect(bench.worker.prompts.dropFirst(5) == ["last"])
        try finishLast(bench)
        #expect(listeners[0].ends == [finish] && listeners[2].ends == [finish])

        #expect(throws: EngineError.quarantined) { try submit(["poison"], to: bench) }
        _ = try submit(["first", "last"], to: bench)
        let status = bench.serving.models[0]
        #expect(status.callsReplayed == 3 && status.callsQuarantined == 2 && status.requestsQuarantined == 1)
        #expect(status.workerEnds.first { $0.kind == "crashed" }?.count == 2)
        #expect(status.callsLost == 0 && bench.worker.state.deathsInARow == 0, "the cause is known")
    }

    @Test("a worker that was killed from outside accuses nobody: all calls go to the next one at once")
    func killedFromOutside() throws {
        let bench = try readyBench()
        let listeners = try submit(["a", "b"], to: bench)
        begin(bench, last: 2)
        bench.worker.restart()
        begin(bench, last: 2)
        bench.worker.restart()
        #expect(bench.worker.prompts == ["a", "b", "a", "b", "a", "b"] && listeners.allSatisfy { $0.ends.isEmpty })
        #expect(bench.serving.models[0].requestsQuarantined == 0)
    }

    @Test("a call that only waited in the worker's queue is no suspect, and neither it nor a new one goes before them")
    func innocents() throws {
        let bench = try readyBench()
        _ = try submit(["running", "queued"], to: bench)
        let ids = bench.worker.generations
        bench.worker.onEvents([(ids[0], accepted), (ids[0], started), (ids[1], accepted)])
        bench.worker.restart(after: crash)
        _ = try submit(["new"], to: bench)
        #expect(bench.worker.prompts.dropFirst(2) == ["running"])
        try finishLast(bench)
        #expect(bench.worker.prompts.dropFirst(3) == ["queued", "new"])
    }

    @Test("a long call that has come past its place holds the others up only for a while")
    func longTrial() throws {
        let bench = try readyBench { $0.trialNanoseconds = 20_000_000 }
        let listeners = try submit(["long", "other"], to: bench, resumes: true)
        begin(bench, last: 2)
        bench.worker.onEvents([(bench.worker.generations[0], chunk("a"))])
        bench.worker.restart(after: crash)
        bench.turn(milliseconds: 60)
        bench.worker.onEvents([(bench.worker.generations[2], chunk("a"))])
        #expect(bench.worker.prompts.count == 3, "not farther than before")
        bench.worker.onEvents([(bench.worker.generations[2], chunk("b"))])
        #expect(bench.worker.prompts.dropFirst(3) == ["other"])
        bench.worker.restart(after: crash)
        #expect(listeners.allSatisfy { $0.ends.isEmpty }, "nobody was alone")
    }

    @Test("a new call waits only as long as the limit for a trial that does not end")
    func holdDuringTrial() throws {
        let bench = try readyBench { $0.holdNanoseconds = 20_000_000 }
        _ = try submit(["stuck"], to: bench)
        bench.worker.restart(after: crash)
        let new = try submit(["new"], to: bench)[0]
        bench.turn(milliseconds: 60)
        guard case .modelNotReady(let reason, _) = new.failure else { throw CancellationError() }
        #expect(reason.contains("recovers from a crash"))
    }

    @Test("what ended its worker in the middle of a stream is a suspect when its client sends it again")
    func sentAgain() throws {
        let bench = try readyBench()
        let listeners = try submit(["poison", "other"], to: bench)
        begin(bench, last: 2)
        for id in bench.worker.generations { bench.worker.onEvents([(id, chunk("a"))]) }
        bench.worker.restart(after: crash)
        for listener in listeners {
            guard case .workerLost(.crashed, _) = listener.failure else { throw CancellationError() }
        }
        let again = try submit(["poison", "new"], to: bench)
        #expect(bench.worker.prompts.dropFirst(2) == ["poison"])
        begin(bench, last: 1)
        bench.worker.onEvents([(bench.worker.generations[2], chunk("a"))])
        bench.worker.restart(after: crash)
        #expect(again[0].failure == .quarantined && again[1].ends.isEmpty)
        #expect(bench.worker.prompts.dropFirst(3) == ["new"])
    }

    @Test("calls that wait with the same content are refused with the one that is named")
    func sameContent() throws {
        let bench = try readyBench()
        let listeners = try submit(["poison", "poison"], to: bench)
        begin(bench, last: 2)
        bench.worker.restart(after: crash)
        let third = try submit(["poison"], to: bench)[0]
        begin(bench, last: 1)
        bench.worker.restart(after: crash)
        #expect((listeners + [third]).allSatisfy { $0.failure == .quarantined && $0.ends.count == 1 })
        #expect(bench.worker.prompts.count == 3 && bench.serving.callsInFlight == 0)
    }

    @Test("a suspect whose client leaves makes room for the next one")
    func suspectLeaves() throws {
        let bench = try readyBench()
        let listener = RecordingListener()
        let call = try bench.submit(listener, prompt: "a")
        _ = try submit(["b"], to: bench)
        begin(bench, last: 2)
        bench.worker.restart(after: crash)
        bench.serving.cancel(call)
        #expect(bench.worker.prompts.count == 3, "the worker has not confirmed")
        bench.worker.onEvents([(bench.worker.generations[2], .failed(.cancelled))])
        #expect(bench.worker.prompts.dropFirst(3) == ["b"])
    }

    @Test("a call that is to be resumed goes on where it was")
    func resumed() throws {
        let bench = try readyBench()
        let listener = try submit(["a"], to: bench, resumes: true)[0]
        begin(bench, last: 1)
        bench.worker.onEvents([(bench.worker.generations[0], chunk("one "))])
        bench.worker.restart()
        begin(bench, last: 1)
        let id = try #require(bench.worker.generations.last)
        bench.worker.onEvents([(id, chunk("on")), (id, chunk("e two"))])
        bench.worker.onEvents([(id, .choiceFinished(choice: 0, reason: .stop)), (id, finish)])
        let text = listener.events.reduce(into: "") { if case .tokens(let chunk) = $1 { $0 += chunk.text } }
        #expect(text == "one two" && listener.ends == [finish])
        #expect(listener.events.filter { $0 == accepted || $0 == started }.count == 2)
        #expect(bench.serving.models[0].callsResumed == 1)
    }

    @Test("a resumed call whose answer is another one ends with its worker's loss, and is cancelled")
    func differs() throws {
        let bench = try readyBench()
        let listener = try submit(["a"], to: bench, resumes: true)[0]
        begin(bench, last: 1)
        bench.worker.onEvents([(bench.worker.generations[0], chunk("one"))])
        bench.worker.restart(after: .stalled(what: "x"))
        let id = try #require(bench.worker.generations.last)
        bench.worker.onEvents([(id, chunk("two"))])
        guard case .workerLost(.stalled, _) = listener.failure else { throw CancellationError() }
        #expect(bench.worker.cancels == [id] && listener.ends.count == 1)
        bench.worker.onEvents([(id, .failed(.cancelled))])
        #expect(bench.serving.callsInFlight == 0 && bench.serving.models[0].callsLost == 1)
    }

    @Test("a stalled worker is told as one")
    func stalled() throws {
        let bench = try readyBench()
        let listener = try submit(["a"], to: bench)[0]
        bench.worker.onEvents([(bench.worker.generations[0], chunk("one"))])
        bench.worker.die(.stalled(what: "no step in 30 s"))
        guard case .workerLost(.stalled, _) = listener.failure else { throw CancellationError() }
        #expect(bench.serving.models[0].stateReason == "stalled: no step in 30 s")
    }
}
