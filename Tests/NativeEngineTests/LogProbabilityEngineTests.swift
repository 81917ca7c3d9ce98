import EngineProtocol
import TestSupport
import Testing

@testable import NativeEngine

/// Log-probabilities, and what else shapes an answer, on a real engine with a tiny model.
@Suite struct LogProbabilityEngineTests {
    private func request(
        tokens: UInt32 = 12, choices: UInt32 = 1, top: UInt32 = 5, _ stage: LogProbabilityOptions.Stage = .model
    ) -> GenerateRequest {
        var request = GenerateRequest.text("the a", tokens: tokens, choices: choices)
        request.logProbabilities = LogProbabilityOptions(top: top, stage: stage)
        return request
    }

    @Test func `every token comes with its rivals, and is the token that comes without them`() throws {
        let harness = try EngineHarness()
        for stage in [LogProbabilityOptions.Stage.model, .sampling] {
            let events = try harness.run(request(stage))
            let entries = events.logProbabilities()
            #expect(entries.map(\.chosen.id) == events.ids())
            #expect(events.ids() == (try harness.run(.text("the a", tokens: 12))).ids())
            for entry in entries {
                #expect(entry.top.count == 5)
                #expect(entry.top.map(\.logProbability) == entry.top.map(\.logProbability).sorted(by: >))
                #expect(entry.top.allSatisfy { $0.logProbability < 0 && !$0.bytes.isEmpty })
                let same = entry.top.first { $0.id == entry.chosen.id }
                #expect(same == nil || same?.logProbability == entry.chosen.logProbability)
            }
        }
        #expect(try harness.run(.text("the a", tokens: 12)).logProbabilities().isEmpty)
    }

    @Test func `the model's probabilities do not move with the sampling, those of the draw do`() throws {
        let harness = try EngineHarness()
        var biased = request(tokens: 1)
        let letter = try #require(TinyModel.token(letter: "q"))
        biased.sampling.logitBias = [LogitBias(token: letter, bias: 1000)]
        let plain = try #require(try harness.run(request(tokens: 1)).logProbabilities().first)
        let moved = try #require(try harness.run(biased).logProbabilities().first)
        #expect(moved.top == plain.top)
        #expect(moved.chosen.id == letter && moved.chosen.logProbability < -1)
        biased.logProbabilities?.stage = .sampling
        let drawn = try #require(try harness.run(biased).logProbabilities().first)
        #expect(drawn.chosen.logProbability == 0 && drawn.chosen.bytes == Array("q".utf8))
    }

    @Test func `they are the same alone and in a batch`() throws {
        let together = try EngineHarness(parallel: 4).run(request(choices: 4))
        let oneByOne = try EngineHarness(parallel: 1).run(request(choices: 4))
        for choice: UInt32 in 0..<4 {
            #expect(together.logProbabilities(choice: choice) == oneByOne.logProbabilities(choice: choice))
            #expect(together.logProbabilities(choice: choice).count == 12)
        }
    }

    @Test func `the token that ends an answer has none`() throws {
        let harness = try EngineHarness()
        var ending = request()
        ending.sampling.logitBias = [LogitBias(token: TinyModel.eos, bias: 1000)]
        ending.ignoreEndOfSequence = false
        let events = try harness.run(ending)
        #expect(events.ids() == [TinyModel.eos] && events.logProbabilities().isEmpty)
    }

    @Test func `before the least length neither the end nor a stop token comes`() throws {
        let harness = try EngineHarness()
        let letter = try #require(TinyModel.token(letter: "q"))
        var ending = GenerateRequest.text("a", tokens: 30)
        ending.ignoreEndOfSequence = false
        ending.minimumTokens = 7
        ending.stopTokenIDs = [letter]
        ending.sampling.logitBias = [LogitBias(token: TinyModel.eos, bias: 1000), LogitBias(token: letter, bias: 900)]
        let events = try harness.run(ending)
        #expect(events.ids().count == 8 && events.ids().last == TinyModel.eos)
        #expect(events.ids().dropLast().allSatisfy { $0 != TinyModel.eos && $0 != letter })
        #expect(events.reason() == .stop)
    }

    @Test func `prompt and answer count for DRY, whose breakers are texts`() throws {
        let harness = try EngineHarness()
        let tokens = try "abcxabc".map { try #require(TinyModel.token(letter: $0)) }
        let next = try #require(TinyModel.token(letter: "x"))
        var greedy = GenerateRequest(
            inputs: [.ids(tokens)], maximumTokens: 1,
            sampling: SamplingParameters(temperature: 0, logitBias: [LogitBias(token: next, bias: 100)]))
        #expect(try harness.run(greedy).ids() == [next])
        greedy.sampling.dry.multiplier = 100
        #expect(try harness.run(greedy).ids() != [next])
        greedy.sampling.dry.breakers = ["bc"]
        #expect(try harness.run(greedy).ids() == [next])
    }

    @Test func `what cannot be is refused with its name and numbers`() throws {
        var limits = EngineLimits()
        limits.logProbabilities = 100
        let model = try EngineHarness.load(TinyModel().bytes(), context: 64, limits: limits)
        func refusal(_ change: (inout GenerateRequest) -> Void) -> EngineError? {
            var request = GenerateRequest(inputs: [.ids([5, 5, 5, 5])], maximumTokens: 4)
            change(&request)
            do {
                _ = try model.prepare(request)
                return nil
            } catch {
                return error
            }
        }
        #expect(refusal { $0.minimumTokens = 4 } == nil)
        #expect(
            refusal { $0.minimumTokens = 5 }
                == .invalidRequest(
                    parameter: "min_tokens", message: "min_tokens is 5, more than max_tokens, which is 4"))
        let tooLong = refusal { request in
            request.maximumTokens = nil
            request.minimumTokens = 61
        }
        #expect(tooLong == .contextLengthExceeded(limit: 64, prompt: 4, requested: 61))
        #expect(refusal { $0.logProbabilities = LogProbabilityOptions(top: 20) } == nil)
        guard
            case .invalidRequest("logprobs", let message)? = refusal({ request in
                request.logProbabilities = LogProbabilityOptions(top: 20)
                request.choices = 2
            })
        else {
            Issue.record("too many log-probabilities were accepted")
            return
        }
        #expect(message.contains("168") && message.contains("100"))
        for (name, change) in [
            ("dry_base", { $0.sampling.dry.base = 0.5 }), ("typical_p", { $0.sampling.typicalP = 2 }),
            ("mirostat_eta", { $0.sampling.mirostat.rate = -1 }),
            ("dry_sequence_breakers", { $0.sampling.dry.breakers = [String(repeating: "x", count: 200)] }),
        ] as [(String, (inout GenerateRequest) -> Void)] {
            guard case .invalidRequest(name, _)? = refusal(change) else {
                Issue.record("\(name) was accepted")
                continue
            }
        }
    }
}

/// Entries go out with the text that shows their tokens.
@Suite struct LogProbabilityTrailTests {
    private func entry(_ id: Int32) -> TokenLogProbabilities {
        TokenLogProbabilities(chosen: TokenLogProbability(id: id, logProbability: -1, bytes: []), top: [])
    }

    @Test func `entries wait for their text, and go with its first byte`() {
        var trail = LogProbabilityTrail(LogProbabilityOptions())
        func add(_ id: Int32, bytes: Int, withheld: Int) -> [Int32] {
            trail.latest = entry(id)
            trail.add(byteCount: bytes)
            return trail.release(withheld: withheld).map(\.chosen.id)
        }
        #expect(add(1, bytes: 3, withheld: 0) == [1])
        #expect(add(2, bytes: 2, withheld: 2) == [])
        #expect(add(3, bytes: 2, withheld: 3) == [2])
        // A token without bytes waits for those before it, and for nothing else.
        #expect(add(4, bytes: 0, withheld: 3) == [])
        #expect(add(5, bytes: 1, withheld: 0) == [3, 4, 5])
        #expect(add(6, bytes: 0, withheld: 0) == [6])
    }

    @Test func `a token that a stop string cuts off is never told`() {
        var trail = LogProbabilityTrail(LogProbabilityOptions())
        for id: Int32 in 1...3 {
            trail.latest = entry(id)
            trail.add(byteCount: 4)
        }
        // The stop string begins in the middle of the second token.
        #expect(trail.release(withheld: 6).map(\.chosen.id) == [1, 2])
    }
}

extension [EngineEvent] {
    func logProbabilities(choice: UInt32 = 0) -> [TokenLogProbabilities] {
        flatMap { event -> [TokenLogProbabilities] in
            if case .tokens(let chunk) = event, chunk.choice == choice { chunk.logProbabilities } else { [] }
        }
    }
}
