import EngineProtocol
import NativeEngine
import TestSupport
import Testing

/// Events, limits and ends of generations on a real engine with a tiny model.
@Suite struct EngineLoopTests {
    @Test func `a generation says its events in their order`() throws {
        let harness = try EngineHarness()
        let events = try harness.run(.text("the a", tokens: 5))
        #expect(events.count == 9)
        guard case .accepted(let promptTokens, 0) = events[0] else {
            Issue.record("\(events[0])")
            return
        }
        #expect(events[1] == .started(cachedTokens: 0))
        #expect(events.ids().count == 5)
        #expect(events[7] == .choiceFinished(choice: 0, reason: .length))
        #expect(events.usage == Usage(promptTokens: promptTokens, completionTokens: 5, cachedTokens: 0))
        let timings = try #require(events.timings)
        #expect(timings.prefill > 0 && timings.decode > 0)
    }

    @Test func `the end token ends a choice and shows no text`() throws {
        let harness = try EngineHarness()
        var request = GenerateRequest.text("a", tokens: 9, bias: [LogitBias(token: TinyModel.eos, bias: 1000)])
        request.ignoreEndOfSequence = false
        let events = try harness.run(request)
        #expect(events.ids() == [TinyModel.eos])
        #expect(events.reason() == .stop)
        for case .tokens(let chunk) in events { #expect(chunk.text.isEmpty) }
        request.ignoreEndOfSequence = true
        #expect(try harness.run(request).ids().count == 9)
    }

    @Test func `a stop token ends a choice`() throws {
        let harness = try EngineHarness()
        let letter = try #require(TinyModel.token(letter: "q"))
        var request = GenerateRequest.text("a", tokens: 9, bias: [LogitBias(token: letter, bias: 1000)])
        request.stopTokenIDs = [letter]
        let events = try harness.run(request)
        #expect(events.ids() == [letter])
        #expect(events.reason() == .stop)
    }

    @Test func `without a limit a choice ends with the context`() throws {
        let harness = try EngineHarness(context: 32)
        let events = try harness.run(.text("the a", tokens: nil))
        let usage = try #require(events.usage)
        #expect(usage.promptTokens + usage.completionTokens == 32)
        #expect(events.reason() == .length)
    }

    @Test func `an empty prompt starts from BOS alone`() throws {
        let harness = try EngineHarness()
        #expect(try harness.run(.text("", tokens: 3)).usage?.promptTokens == 1)
        var ids = GenerateRequest.text("", tokens: 3)
        ids.inputs = [.ids([])]
        #expect(try harness.run(ids).usage?.promptTokens == 1)
    }

    @Test func `several inputs and choices are numbered one after the other`() throws {
        let harness = try EngineHarness(parallel: 3)
        var request = GenerateRequest.text("", tokens: 4, choices: 2)
        request.inputs = [.text("the"), .text("an a")]
        let events = try harness.run(request)
        for choice: UInt32 in 0..<4 {
            #expect(events.ids(choice: choice).count == 4)
            #expect(events.reason(choice: choice) == .length)
        }
        #expect(events.count(where: \.isEnd) == 1)
        #expect(events.usage?.completionTokens == 16)
    }

    @Test func `choices of one prompt are what they are alone`() throws {
        let together = try EngineHarness(parallel: 4).run(.text("the an a the", tokens: 12, choices: 4))
        let oneByOne = try EngineHarness(parallel: 1).run(.text("the an a the", tokens: 12, choices: 4))
        for choice: UInt32 in 0..<4 {
            #expect(together.ids(choice: choice) == oneByOne.ids(choice: choice))
        }
        #expect(together.ids(choice: 0) != together.ids(choice: 1))
    }

    @Test func `a deadline ends a call`() throws {
        let harness = try EngineHarness()
        var request = GenerateRequest.text("a", tokens: nil)
        request.deadline = 1
        #expect(try harness.run(request).last == .failed(.deadlineExceeded))
    }

    @Test func `a full queue refuses with a time`() throws {
        var limits = EngineLimits()
        limits.waitingSequences = 2
        let harness = try EngineHarness(TinyModel(), parallel: 1, limits: limits)
        var refusals = 0
        for _ in 0..<40 {
            do {
                _ = try harness.start(.text("a", tokens: 200))
            } catch EngineError.queueFull(let milliseconds) {
                refusals += 1
                #expect(milliseconds >= 1000)
            }
        }
        #expect(refusals > 30)
    }

    @Test func `cancelling ends a call once and only that call`() throws {
        let harness = try EngineHarness(parallel: 2)
        let first = try harness.start(.text("the", tokens: 250))
        let second = try harness.start(.text("an", tokens: 40))
        let queued = try harness.start(.text("a", tokens: 250))
        _ = try harness.log.events(of: first) { $0.ids().count > 2 }
        harness.engine.cancel(queued)
        harness.engine.cancel(first)
        harness.engine.cancel(first)
        harness.engine.cancel(CallID(rawValue: 999))
        #expect(try harness.log.finished(first).last == .failed(.cancelled))
        #expect(try harness.log.finished(queued).filter { $0 != .started(cachedTokens: 0) }.last == .failed(.cancelled))
        #expect(try harness.log.finished(second).ids().count == 40)
        let third = try harness.run(.text("a", tokens: 3))
        #expect(third.ids().count == 3)
        for call in [first, queued] { #expect(try harness.log.finished(call).count(where: \.isEnd) == 1) }
        #expect(harness.engine.statistics.cancelled == 2)
        #expect(harness.engine.statistics.sequencesRunning == 0)
        #expect(harness.engine.statistics.cacheBlocksUsed == 0)
    }

    @Test func `statistics count rows and tokens`() throws {
        let harness = try EngineHarness()
        let prompt = try #require(try harness.run(.text("the an", tokens: 6)).usage?.promptTokens)
        let statistics = harness.engine.statistics
        #expect(statistics.promptTokens == UInt64(prompt))
        #expect(statistics.generatedTokens == 6)
        #expect(statistics.steps == 6)
        #expect(statistics.cacheBlocks == 4 * 256 / 32)
    }
}
