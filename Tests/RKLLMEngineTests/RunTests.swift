import EngineProtocol
import RKLLMEngine
import TestSupport
import Testing

/// What the engine makes of everything that the runtime may do and stay alive.
@Suite struct RunTests {
    @Test(arguments: FakeRuntime.families) func `results without text or without anything are no harm`(
        family: Int
    ) throws {
        let harness = try RuntimeHarness(family, "nothing\nsay a\nsilent\nnothing\nsay b")
        let events = try harness.run(harness.ask("Hello"))
        #expect(events.text == "ab" && events.ids == [100, 101, 102] && events.reasons == [.stop])
        #expect(events.usage?.completionTokens == 3)
    }

    @Test(arguments: FakeRuntime.families) func `characters come whole, and their tokens count`(family: Int) throws {
        let harness = try RuntimeHarness(family, "split \\xe2\\x82\\xac\nsay \\xc3\nsay \\xa9")
        let events = try harness.run(harness.ask("Hello"))
        #expect(events.ids == [100, 101, 102, 103] && events.text.hasPrefix("€"))
    }

    @Test(arguments: FakeRuntime.families) func `what the callback handed over lasts after it`(family: Int) throws {
        let harness = try RuntimeHarness(family, "hidden 3 4\nlogits 2 8")
        var request = GenerateRequest(inputs: [.ids([5, 6, 7])], maximumTokens: 0)
        request.tensors = TensorRequest(kind: .hiddenStates, credit: 1 << 20)
        let events = try harness.run(request)
        let chunk = try #require(events.rows.first)
        #expect(events.rows.count == 1 && chunk.firstRow == 0 && chunk.kind == .hiddenStates)
        #expect(chunk.tensor == Tensor(rows: 3, columns: 4, values: (0..<12).map { Float($0) / 4 }))
        #expect(events.reasons == [.length] && events.text.isEmpty)
        request.tensors = TensorRequest(kind: .logits, credit: 1 << 20)
        guard family >= 120 else {
            #expect(throws: EngineError.unsupported(feature: "logits with runtime 1.1")) { try harness.run(request) }
            return
        }
        #expect(try harness.run(request).rows.first?.tensor.values == (0..<16).map { Float($0) / 4 })
        // Nothing of the rows may come from the cache, and the newest family gets its memory back.
        #expect(harness.told.count { $0 == "clear keep_system_prompt=0" } == 2)
        #expect(harness.told.count { $0 == "released" } == (family == 130 ? 2 : 0))
    }

    @Test func `rows wait for their credit, and a call that waits can be cancelled`() throws {
        let harness = try RuntimeHarness(130, "hidden 4 2")
        var request = GenerateRequest(inputs: [.ids([5, 6, 7, 8])], maximumTokens: 0)
        request.tensors = TensorRequest(kind: .hiddenStates, credit: 8)
        let call = try harness.submit(request)
        #expect(try harness.events(of: call) { !$0.rows.isEmpty }.rows.map(\.tensor.rows) == [1])
        harness.engine.credit(16, call: call)
        #expect(try harness.events(of: call) { $0.rows.count == 2 }.rows.map(\.firstRow) == [0, 1])
        harness.engine.credit(1000, call: call)
        #expect(try harness.finished(call).rows.reduce(0) { $0 + $1.tensor.rows } == 4)
        request.tensors = TensorRequest(kind: .hiddenStates, credit: 1)
        let second = try harness.submit(request)
        _ = try harness.events(of: second) { !$0.rows.isEmpty }
        harness.engine.cancel(second)
        #expect(try harness.finished(second).failure == .cancelled)
        #expect(try harness.run(harness.ask("Hello")).reasons == [.stop])
    }

    @Test func `inputs are embedded`() throws {
        let harness = try RuntimeHarness(121, "hidden 3 2")
        func vectors(_ pooling: EmbedRequest.Pooling, normalizes: Bool) throws -> [Float] {
            let inputs: [GenerateRequest.Input] = [.text("one"), .ids([1, 2, 3])]
            let event = try harness.embed(EmbedRequest(inputs: inputs, pooling: pooling, normalizes: normalizes))
            guard case .result(.embedded(let tensor, let tokens))? = event else { throw CancellationError() }
            #expect(tensor.rows == 2 && tensor.columns == 2 && tokens == 1 + 3)
            return tensor.values
        }
        #expect(try vectors(.first, normalizes: false) == [0, 0.25, 0, 0.25])
        #expect(try vectors(.last, normalizes: false) == [1, 1.25, 1, 1.25])
        #expect(try vectors(.mean, normalizes: false) == [0.5, 0.75, 0.5, 0.75])
        let unit = try vectors(.last, normalizes: true)
        #expect(abs(unit[0] * unit[0] + unit[1] * unit[1] - 1) < 1e-6)
        // Now the width is known, and rows of another one would be read beyond their end.
        let rows = Tensor(rows: 1, columns: 3, values: [1, 2, 3])
        #expect { try harness.run(GenerateRequest(inputs: [.embeddings(rows)])) } throws: { error in
            guard case .invalidRequest("prompt", let message)? = error as? EngineError else { return false }
            return message.contains("has 2")
        }
    }

    @Test(arguments: FakeRuntime.families) func `stop strings and stop tokens end an answer and its run`(
        family: Int
    ) throws {
        let harness = try RuntimeHarness(family, "delay 1\nmany 100000 ab")
        var request = harness.ask("Hello")
        request.stopStrings = ["bab"]
        let stopped = try harness.run(request)
        #expect(stopped.text == "a" && stopped.reasons == [.stop])
        request.stopStrings = []
        request.stopTokenIDs = [102]
        let ended = try harness.run(request)
        #expect(ended.text == "abab" && ended.ids == [100, 101, 102] && ended.reasons == [.stop])
        #expect(!harness.told.contains("two runs at once"))
    }

    @Test(arguments: FakeRuntime.families) func `the token limit holds`(family: Int) throws {
        let harness = try RuntimeHarness(family, "delay 1\nmany 100000 a")
        let events = try harness.run(harness.ask("Hello", tokens: 5))
        #expect(events.text == "aaaaa" && events.reasons == [.length] && events.usage?.completionTokens == 5)
    }

    @Test(arguments: FakeRuntime.families) func `calls run one after the other, and choices too`(family: Int) throws {
        let harness = try RuntimeHarness(family, "delay 1\nmany 10 a")
        let calls = try (0..<8).map { _ in
            var request = harness.ask("Hello")
            request.choices = 2
            return try harness.submit(request)
        }
        for call in calls {
            let events = try harness.finished(call)
            #expect(events.text == String(repeating: "a", count: 20) && events.reasons == [.stop, .stop])
        }
        #expect(harness.told.count { $0.hasPrefix("run prompt=") } == 16)
        #expect(!harness.told.contains("two runs at once"))
    }

    @Test(arguments: FakeRuntime.families) func `a cancelled call ends at once, and the next one runs`(
        family: Int
    ) throws {
        let harness = try RuntimeHarness(family, "prefill 300\ndelay 1\nmany 100000 a")
        let first = try harness.submit(harness.ask("Hello"))
        _ = try harness.events(of: first) { $0.contains(.started(cachedTokens: 0)) }
        let waiting = try harness.submit(harness.ask("Hello", tokens: 3))
        harness.engine.cancel(first)
        #expect(try harness.finished(first).failure == .cancelled)
        #expect(try harness.finished(waiting).text == "aaa")
        #expect(try harness.finished(first).count { $0.isEnd } == 1)
        let queued = try [harness.submit(harness.ask("Hello")), harness.submit(harness.ask("Hello"))]
        harness.engine.cancel(queued[1])
        #expect(try harness.finished(queued[1]).failure == .cancelled)
        harness.engine.cancel(queued[0])
        #expect(try harness.finished(queued[0]).failure == .cancelled)
        #expect(!harness.told.contains("two runs at once"))
    }

    @Test func `a deadline ends a run`() throws {
        let harness = try RuntimeHarness(130, "delay 1\nmany 100000 a")
        var request = harness.ask("Hello")
        request.deadline = 1
        #expect(try harness.run(request).failure == .deadlineExceeded)
    }

    @Test(arguments: [
        ("fail", "failed (rkllm_run: -1)"), ("error", "failed (rkllm_run: -1)"),
        ("silence", "returned without saying that it finished"), ("unknown", "a state 77"),
    ]) func `failures and lies become errors, and the next call runs`(script: String, words: String) throws {
        for family in FakeRuntime.families {
            let harness = try RuntimeHarness(family, "say a\n\(script)")
            for _ in 0..<2 {
                guard case .internalError(_, let message)? = try harness.run(harness.ask("Hello")).failure else {
                    Issue.record("no error")
                    return
                }
                #expect(message.contains(words), "\(message)")
            }
        }
    }

    @Test(arguments: ["lie 2000000000 2", "lie -3 4", "lie 3 2000000000", "say a"])
    func `a matrix that cannot be is not read`(script: String) throws {
        let harness = try RuntimeHarness(130, script)
        var request = GenerateRequest(inputs: [.ids([5])], maximumTokens: 0)
        request.tensors = TensorRequest(kind: .hiddenStates, credit: 1 << 20)
        guard case .internalError? = try harness.run(request).failure else {
            Issue.record("no error")
            return
        }
    }

    @Test(arguments: FakeRuntime.families) func `the model's path lasts, and nothing uncertain is called`(
        family: Int
    ) throws {
        let harness = try RuntimeHarness(family, "say a")
        for _ in 0..<3 { _ = try harness.run(harness.ask("Hello")) }
        harness.engine.stop()
        let told = harness.told
        #expect(told.last == "destroy")
        #expect(!told.contains("the path did not last"))
        #expect(!told.contains("run_async") && !told.contains("is_running"))
    }

    @Test(arguments: FakeRuntime.families) func `an abort never ends the run after the one that it was meant for`(
        family: Int
    ) throws {
        let harness = try RuntimeHarness(family, "on long delay 1\non long many 100000 a\nsay b\nsay c\nsay d")
        var random = SeededRandom(seed: 20)
        for _ in 0..<60 {
            let long = try harness.submit(harness.ask("long"))
            let begins = Int.random(in: 0..<4, using: &random)
            _ = try harness.events(of: long) { $0.count >= begins }
            let short = try harness.submit(harness.ask("short"))
            harness.engine.cancel(long)
            #expect(try harness.finished(short).text == "bcd")
            #expect(try harness.finished(long).failure == .cancelled)
        }
        #expect(!harness.told.contains("two runs at once"))
    }

    @Test func `the end does not wait for a runtime that goes on`() throws {
        let harness = try RuntimeHarness(130, "stubborn\ndelay 1\nmany 100000 a")
        let call = try harness.submit(harness.ask("Hello"))
        _ = try harness.events(of: call) { !$0.text.isEmpty }
        harness.engine.stop()
        #expect(harness.told.contains("abort") && harness.told.last != "destroy")
    }

    @Test(arguments: FakeRuntime.families) func `a model is loaded and given back again and again`(family: Int) throws {
        for _ in 0..<200 {
            let harness = try RuntimeHarness(family, "say a")
            #expect(try harness.run(harness.ask("Hello")).text == "a")
            harness.engine.stop()
            #expect(harness.told.last == "destroy")
        }
    }
}
