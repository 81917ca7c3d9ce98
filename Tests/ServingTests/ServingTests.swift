import EngineProtocol
import Observability
import Platform
import Supervision
import TestSupport
import Testing

@testable import Serving

@Suite("Serving") struct ServingTests {
    private func readyBench(_ change: (inout ServingLimits) -> Void = { _ in }) throws -> ServingBench {
        let bench = try ServingBench(change)
        bench.worker.becomeReady()
        return bench
    }

    @Test("when the server stops, calls that run or wait get one error, and the worker is told")
    func endingCalls() throws {
        let bench = try ServingBench()
        let waiting = RecordingListener()
        _ = try bench.submit(waiting)
        bench.serving.endCalls()
        bench.worker.becomeReady()
        #expect(bench.worker.sent.isEmpty && waiting.ends.count == 1)
        let running = RecordingListener()
        _ = try bench.submit(running)
        let id = try #require(bench.worker.generations.first)
        bench.worker.onEvents([(id, accepted), (id, chunk("a"))])
        bench.serving.endCalls()
        bench.serving.endCalls()
        bench.worker.onEvents([(id, .failed(.cancelled))])
        #expect(bench.worker.cancels == [id])
        #expect(running.ends.count == 1)
        guard case .modelNotReady = running.failure else { throw CancellationError() }
        #expect(bench.serving.callsInFlight == 0)
    }

    // MARK: Routing and admission

    @Test("the only model needs no name; an unknown one is not found; two need a name")
    func routing() throws {
        let bench = try readyBench()
        let listener = RecordingListener()
        let identity = CallIdentity(publicID: "p", requestID: "r", tenant: "t")
        let named = try bench.serving.submit(.inspect, model: "m", identity: identity, listener: listener)
        #expect(named.model == "m")
        _ = try bench.serving.submit(.inspect, model: "", identity: identity, listener: listener)
        #expect(throws: EngineError.modelNotFound(model: "other")) {
            try bench.serving.submit(.inspect, model: "other", identity: identity, listener: listener)
        }
        bench.serving.add(name: "n", supervisor: ScriptedWorker())
        let error = try #require(throws: EngineError.self) {
            try bench.serving.submit(.inspect, model: nil, identity: identity, listener: listener)
        }
        guard case .invalidRequest(parameter: "model", let message) = error else { throw error }
        #expect(message.contains("m, n"))
    }

    @Test("events reach the door in order, with one call for each message")
    func order() throws {
        let bench = try readyBench()
        let listener = RecordingListener()
        let call = try bench.submit(listener)
        let id = try #require(bench.worker.generations.first)
        #expect(id.generation == 1)
        bench.worker.onEvents([(id, accepted), (id, .started(cachedTokens: 0)), (id, chunk("a"))])
        bench.worker.onEvents([(id, chunk("b")), (id, .choiceFinished(choice: 0, reason: .stop)), (id, finish)])
        #expect(
            listener.events == [
                accepted, .started(cachedTokens: 0), chunk("a"), chunk("b"), .choiceFinished(choice: 0, reason: .stop),
                finish,
            ])
        #expect(listener.wakeUps == 2)
        #expect(bench.serving.callsInFlight == 0 && bench.worker.served == 1)
        bench.worker.onEvents([(id, chunk("late"))])
        #expect(listener.events.count == 6 && call.next() == nil)
    }

    @Test("calls that alternate in a message get their own events in order, and their doors are called once for all")
    func alternating() throws {
        let bench = try readyBench()
        let (first, second) = (RecordingListener(), RecordingListener())
        _ = try bench.submit(first)
        _ = try bench.submit(second)
        let ids = bench.worker.generations
        let (one, two) = (ids[0], ids[1])
        for _ in 0..<2 {
            bench.worker.onEvents([(one, chunk("a")), (two, chunk("b")), (one, chunk("c")), (two, chunk("d"))])
        }
        #expect(first.events == [chunk("a"), chunk("c"), chunk("a"), chunk("c")])
        #expect(second.events == [chunk("b"), chunk("d"), chunk("b"), chunk("d")])
        #expect(first.wakeUps == 2 && second.wakeUps == 2)
    }

    @Test("the tenant of the request is the one of the identity")
    func tenant() throws {
        let bench = try readyBench()
        _ = try bench.submit(RecordingListener(), tenant: "key-7")
        guard case .generate(let request) = bench.worker.sent[0].request else { throw CancellationError() }
        #expect(request.tenant == "key-7")
    }

    @Test("more calls than the limit are refused with a time to come back")
    func queueFull() throws {
        let bench = try readyBench { $0.callsPerModel = 2 }
        let listener = RecordingListener()
        _ = try bench.submit(listener)
        let second = try bench.submit(listener)
        let error = try #require(throws: EngineError.self) { try bench.submit(listener) }
        guard case .queueFull(let retryAfter) = error else { throw error }
        #expect(retryAfter > 0)
        // A cancelled call keeps its place until the worker confirms.
        bench.serving.cancel(second)
        #expect(throws: EngineError.self) { try bench.submit(listener) }
        bench.worker.onEvents([(bench.worker.generations[1], .failed(.cancelled))])
        _ = try bench.submit(listener)
    }

    @Test("a request that cannot be sent is refused and leaves nothing behind")
    func unsendable() throws {
        let bench = try readyBench()
        bench.worker.sendError = .resourceExhausted(message: "too large", permanent: true)
        #expect(throws: EngineError.resourceExhausted(message: "too large", permanent: true)) {
            try bench.submit(RecordingListener())
        }
        #expect(bench.serving.callsInFlight == 0)
    }

    // MARK: A model that is not ready

    @Test("calls wait while the model loads, and are sent in their order")
    func waiting() throws {
        let bench = try ServingBench { $0.heldCallsPerModel = 2 }
        let listener = RecordingListener()
        _ = try bench.submit(listener, id: "first")
        _ = try bench.submit(listener, id: "second")
        #expect(bench.worker.sent.isEmpty)
        let error = try #require(throws: EngineError.self) { try bench.submit(listener) }
        guard case .modelNotReady(_, let retryAfter) = error else { throw error }
        #expect(retryAfter > 0)
        bench.worker.becomeReady()
        #expect(bench.worker.generations.count == 2)
        #expect(bench.worker.generations[0].rawValue < bench.worker.generations[1].rawValue)
    }

    @Test("a call does not wait for a model for ever")
    func holdTime() throws {
        let bench = try ServingBench { $0.holdNanoseconds = 20_000_000 }
        let listener = RecordingListener()
        let call = try bench.submit(listener)
        bench.turn(milliseconds: 60)
        guard case .modelNotReady = listener.failure else { throw CancellationError() }
        #expect(bench.serving.callsInFlight == 0 && call.phase == .ended)
        bench.worker.becomeReady()
        #expect(bench.worker.sent.isEmpty)
    }

    @Test("a call that is held a second time has its whole time again")
    func secondHold() throws {
        let bench = try ServingBench { $0.holdNanoseconds = 1_000_000_000 }
        let listener = RecordingListener()
        let call = try bench.submit(listener)
        bench.worker.becomeReady()
        bench.turn(milliseconds: 600)
        bench.worker.die()
        bench.turn(milliseconds: 600)
        #expect(listener.failure == nil && call.phase == .waiting)
    }

    @Test("a model that cannot be loaded refuses, with its reason, also those who wait")
    func failed() throws {
        let bench = try ServingBench()
        let listener = RecordingListener()
        _ = try bench.submit(listener)
        bench.worker.refuse("not a GGUF file")
        guard case .modelNotReady(let reason, _) = listener.failure else { throw CancellationError() }
        #expect(reason.contains("not a GGUF file"))
        let error = try #require(throws: EngineError.self) { try bench.submit(listener) }
        guard case .modelNotReady(let again, _) = error else { throw error }
        #expect(again.contains("not a GGUF file"))
    }

    @Test("a server that drains refuses new calls and finishes the old ones")
    func drain() throws {
        let bench = try readyBench()
        let listener = RecordingListener()
        _ = try bench.submit(listener)
        bench.serving.drain()
        let error = try #require(throws: EngineError.self) { try bench.submit(listener) }
        guard case .modelNotReady = error else { throw error }
        bench.worker.onEvents([(bench.worker.generations[0], finish)])
        #expect(listener.ends == [finish])
    }

    // MARK: Leaving

    @Test("a cancel is sent once, later parts are dropped, and the place is free at the end event")
    func cancel() throws {
        let bench = try readyBench()
        let listener = RecordingListener()
        let call = try bench.submit(listener)
        let id = bench.worker.generations[0]
        bench.worker.onEvents([(id, chunk("a"))])
        bench.serving.cancel(call)
        bench.serving.cancel(call)
        #expect(bench.worker.cancels == [id])
        bench.worker.onEvents([(id, chunk("b"))])
        #expect(listener.events == [chunk("a")] && bench.serving.callsInFlight == 1)
        bench.worker.onEvents([(id, .failed(.cancelled))])
        #expect(listener.events == [chunk("a")] && bench.serving.callsInFlight == 0)
        bench.serving.cancel(call)
        #expect(bench.worker.cancels.count == 1)
    }

    @Test("a call that waits for the model is cancelled without a word to the worker")
    func cancelWaiting() throws {
        let bench = try ServingBench()
        let call = try bench.submit(RecordingListener())
        bench.serving.cancel(call)
        bench.worker.becomeReady()
        #expect(bench.worker.sent.isEmpty && bench.serving.callsInFlight == 0)
    }

    @Test("an id cancels every match of its tenant, and no other's")
    func cancelByID() throws {
        let bench = try readyBench()
        let listeners = (0..<4).map { _ in RecordingListener() }
        _ = try bench.submit(listeners[0], id: "a", requestID: "x")
        _ = try bench.submit(listeners[1], id: "b", requestID: "x")
        _ = try bench.submit(listeners[2], id: "c", requestID: "x", tenant: "other")
        _ = try bench.submit(listeners[3], id: "x", requestID: "y")
        #expect(bench.serving.cancel(id: "x", tenant: "t") == 3)
        #expect(bench.serving.cancel(id: "x", tenant: "t") == 0)
        #expect(bench.serving.cancel(id: "unknown", tenant: "t") == 0)
        #expect(listeners.map(\.failure) == [.cancelled, .cancelled, nil, .cancelled])
        #expect(bench.worker.cancels.count == 3)
    }

    @Test("a deadline cancels the call and tells its door; one in the past is refused")
    func deadline() throws {
        let bench = try readyBench()
        let listener = RecordingListener()
        _ = try bench.submit(listener, deadline: MonotonicClock.now() + 20_000_000)
        let quick = RecordingListener()
        _ = try bench.submit(quick, deadline: MonotonicClock.now() + 20_000_000)
        bench.worker.onEvents([(bench.worker.generations[1], finish)])
        bench.turn(milliseconds: 60)
        #expect(listener.events == [.failed(.deadlineExceeded)])
        #expect(bench.worker.cancels == [bench.worker.generations[0]])
        #expect(quick.events == [finish])
        #expect(throws: EngineError.deadlineExceeded) { try bench.submit(listener, deadline: 1) }
    }

    @Test("a door that goes away without a word is no crash")
    func forgottenListener() throws {
        let bench = try readyBench()
        _ = try bench.submit(RecordingListener())
        bench.worker.onEvents([(bench.worker.generations[0], chunk("a")), (bench.worker.generations[0], finish)])
        #expect(bench.serving.callsInFlight == 0)
    }

    // MARK: The worker dies

    @Test("a call that has sent text fails, one that has not goes to the next worker")
    func death() throws {
        let bench = try readyBench()
        let (talking, silent) = (RecordingListener(), RecordingListener())
        _ = try bench.submit(talking)
        _ = try bench.submit(silent)
        let old = bench.worker.generations
        bench.worker.onEvents([(old[0], accepted), (old[0], chunk("a")), (old[1], accepted)])
        bench.worker.die()
        guard case .workerLost(.crashed, let retryAfter) = talking.failure else { throw CancellationError() }
        #expect(retryAfter >= 250 && silent.ends.isEmpty)
        bench.worker.startNext()
        bench.worker.becomeReady()
        let new = bench.worker.generations[2]
        #expect(bench.worker.generations.count == 3 && new.generation == 2)
        // What the dead worker still had to say reaches nobody.
        bench.worker.onEvents([(old[1], chunk("ghost")), (old[0], finish)])
        bench.worker.onEvents([(new, accepted), (new, chunk("b")), (new, finish)])
        #expect(silent.events == [accepted, chunk("b"), finish])
        #expect(talking.ends.count == 1)
        #expect(bench.serving.models[0].callsReplayed == 1 && bench.serving.models[0].callsLost == 1)
    }

    @Test("a call is not sent again for ever")
    func replayLimit() throws {
        let bench = try readyBench()
        let listener = RecordingListener()
        _ = try bench.submit(listener)
        for _ in 0..<ServingLimits().replaysPerCall {
            bench.worker.die()
            #expect(listener.ends.isEmpty)
            bench.worker.startNext()
            bench.worker.becomeReady()
        }
        bench.worker.die()
        guard case .workerLost(.crashed, _) = listener.failure else { throw CancellationError() }
        #expect(listener.ends.count == 1 && bench.serving.callsInFlight == 0)
    }

    @Test("a cancelled call ends with its worker and is not sent again")
    func cancelledAtDeath() throws {
        let bench = try readyBench()
        let listener = RecordingListener()
        let call = try bench.submit(listener)
        bench.serving.cancel(call)
        bench.worker.die()
        bench.worker.startNext()
        bench.worker.becomeReady()
        #expect(bench.worker.generations.count == 1 && listener.events.isEmpty && bench.serving.callsInFlight == 0)
    }

    @Test("when the budget is used up, those who wait are told")
    func givenUp() throws {
        let bench = try readyBench()
        let listener = RecordingListener()
        for _ in 1..<SupervisorState.restartBudget {
            bench.worker.die()
            bench.worker.startNext()
        }
        _ = try bench.submit(listener)
        bench.worker.die(.crashed(signal: 11))
        guard case .modelNotReady(let reason, _) = listener.failure else { throw CancellationError() }
        #expect(reason.contains("SIGSEGV") && bench.serving.models[0].state == .failed)
    }

    // MARK: Slow clients

    @Test("a client that does not read loses its call, and nobody else does")
    func slowConsumer() throws {
        let bench = try readyBench()
        let (slow, quick) = (RecordingListener(), RecordingListener())
        slow.reads = false
        let call = try bench.submit(slow)
        _ = try bench.submit(quick)
        let ids = bench.worker.generations
        let text = String(repeating: "x", count: 10_000)
        for _ in 0..<40 { bench.worker.onEvents([(ids[0], chunk(text)), (ids[1], chunk("y"))]) }
        let full = try #require(call.outbox.fullSince)
        let channelTime = full + Outbox.fullNanosecondsLimit
        bench.serving.abandonSlowConsumers(now: channelTime - 1)
        #expect(bench.worker.cancels.isEmpty)
        bench.serving.abandonSlowConsumers(now: channelTime)
        bench.serving.abandonSlowConsumers(now: channelTime)
        #expect(bench.worker.cancels == [ids[0]])
        slow.take(from: call)
        #expect(slow.failure == .slowConsumer && quick.events.count == 40)
        let received = slow.events.reduce(0) {
            if case .tokens(let chunk) = $1 { $0 + chunk.text.utf8.count } else { $0 }
        }
        #expect(received == 400_000)
    }

    // MARK: Everything at once

    @Test(
        "whatever happens, each call ends exactly once and every place is given back",
        arguments: [1, 2, 3, 4, 5] as [UInt64])
    func simulation(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let bench = try readyBench { $0.trialNanoseconds = seed % 2 == 0 ? 0 : 2_000_000 }
        let ends: [WorkerEnd] = [.crashed(signal: 9), .crashed(signal: 11), .stalled(what: "x"), .exited(status: 1)]
        var calls: [(call: ServedCall, listener: RecordingListener)] = []
        var left: Set<ObjectIdentifier> = []
        for _ in 0..<3_000 {
            let id = bench.worker.generations.suffix(20).randomElement(using: &random)
            switch Int.random(in: 0..<20, using: &random) {
            case 0..<4:
                let listener = RecordingListener()
                let call = try? bench.submit(listener, resumes: Bool.random(using: &random))
                if let call { calls.append((call, listener)) }
            case 4..<12: if let id { bench.worker.onEvents([(id, chunk("a"))]) }
            case 12..<15: if let id { bench.worker.onEvents([(id, finish)]) }
            case 15: if let id { bench.worker.onEvents([(id, .failed(.unsupported(feature: "x")))]) }
            case 16, 17:
                if let one = calls.suffix(30).randomElement(using: &random), one.call.isLive {
                    bench.serving.cancel(one.call)
                    left.insert(ObjectIdentifier(one.call))
                }
            case 18:
                if bench.worker.state.phase == .ready, random.next() % 8 == 0 {
                    bench.worker.die(try #require(ends.randomElement(using: &random)))
                }
            default:
                if case .backingOff = bench.worker.state.phase {
                    bench.worker.startNext()
                    bench.worker.becomeReady()
                }
            }
        }
        if case .backingOff = bench.worker.state.phase {
            bench.worker.startNext()
            bench.worker.becomeReady()
        }
        // An end may let further calls go.
        var ended = 0
        while ended < bench.worker.generations.count {
            bench.worker.onEvents([(bench.worker.generations[ended], finish)])
            ended += 1
        }
        #expect(bench.serving.callsInFlight == 0, "seed \(seed)")
        for (call, listener) in calls {
            let expected = left.contains(ObjectIdentifier(call)) ? 0 : 1
            #expect(listener.ends.count == expected, "seed \(seed)")
            #expect(listener.events.last?.isEnd ?? (expected == 0) || expected == 0, "seed \(seed)")
        }
        #expect(
            calls.count > 300 && left.count > 50 && bench.worker.generation > 3,
            "seed \(seed): \(calls.count) calls, \(left.count) left, \(bench.worker.generation) generations")
    }
}

@Suite("Outbox") struct OutboxTests {
    @Test("what goes in comes out, in order, with the text of each choice whole", arguments: [1, 2, 3] as [UInt64])
    func order(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var outbox = Outbox()
        var sent = ["", ""]
        var received = ["", ""]
        var ids = (sent: 0, received: 0)
        var entries = (sent: [[TokenLogProbabilities]]([[], []]), received: [[TokenLogProbabilities]]([[], []]))
        func take() {
            guard case .tokens(let chunk)? = outbox.next() else { return }
            received[Int(chunk.choice)] += chunk.text
            entries.received[Int(chunk.choice)] += chunk.logProbabilities
            ids.received += chunk.ids.count
        }
        for number in 0..<4_000 {
            let choice = Int(random.next() % 2)
            let text = "\(number)," + String(repeating: "t", count: Int(random.next() % 300))
            sent[choice] += text
            ids.sent += 1
            let token = TokenLogProbability(id: Int32(number), logProbability: -1, bytes: Array(text.utf8.prefix(9)))
            let entry = TokenLogProbabilities(chosen: token, top: [token])
            entries.sent[choice].append(entry)
            outbox.append(
                .tokens(TokenChunk(choice: UInt32(choice), ids: [1], text: text, logProbabilities: [entry])), now: 1)
            // Mostly too slow.
            if random.next() % 3 == 0 { take() }
        }
        while !outbox.isEmpty { take() }
        #expect(received == sent && ids.sent == ids.received, "seed \(seed)")
        #expect(entries.received == entries.sent, "seed \(seed)")
        #expect(outbox.next() == nil && outbox.fullSince == nil)
    }

    @Test("a full outbox joins text instead of holding more events")
    func joins() {
        var outbox = Outbox()
        let text = String(repeating: "x", count: 1_000)
        for _ in 0..<1_000 { outbox.append(chunk(text), now: 5) }
        var count = 0
        while outbox.next() != nil { count += 1 }
        #expect(count < 300)
    }

    @Test("the time counts from when it became full, and reading ends it")
    func fullTime() {
        var outbox = Outbox()
        outbox.append(chunk(String(repeating: "x", count: Outbox.byteLimit)), now: 100)
        outbox.append(chunk("y"), now: 200)
        #expect(outbox.fullSince == 100)
        #expect(!outbox.isAbandoned(now: 100 + Outbox.fullNanosecondsLimit - 1))
        #expect(outbox.isAbandoned(now: 100 + Outbox.fullNanosecondsLimit))
        while outbox.next() != nil {}
        #expect(!outbox.isAbandoned(now: .max))
    }
}
