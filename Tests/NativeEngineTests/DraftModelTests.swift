import EngineProtocol
import Platform
import TestSupport
import Testing

@testable import NativeEngine

/// A second model's guesses change how many steps an answer takes, and nothing else.
@Suite struct DraftModelTests {
    /// What drafts for the model: itself, which is always right, and smaller ones that often are not.
    enum Draft: CaseIterable, Sendable {
        case itself, smaller, shortSighted

        var bytes: [UInt8] {
            var tiny = TinyModel()
            if self == .itself { return tiny.bytes() }
            (tiny.layers, tiny.width, tiny.feedForward, tiny.seed) = (1, 16, 32, 5)
            if self == .shortSighted { tiny.contextLength = 64 }
            return tiny.bytes()
        }
    }

    /// Drafts count as cheap, whatever these models and this machine take.
    private static func harness(
        _ draft: Draft, parallel: UInt32 = 4, limits: EngineLimits = EngineLimits()
    ) throws -> EngineHarness {
        try EngineHarness(
            model: EngineHarness.load(TinyModel().bytes(), draft: draft.bytes, parallel: parallel, limits: limits),
            draftCost: 0.2, makeText: { StoppingText($0.stopStrings) })
    }

    private static func request(_ variant: Int, _ mode: SpeculationMode) -> GenerateRequest {
        var request = SpeculationTests.variants[variant % SpeculationTests.variants.count].request
        request.speculation = mode
        return request
    }

    /// Of a stopped answer the drafts after its end count as wrong.
    private static func mayStop(_ request: GenerateRequest) -> Bool {
        !request.stopStrings.isEmpty || !request.stopTokenIDs.isEmpty
    }

    @Test(arguments: Draft.allCases)
    func `an answer is the same with and without a draft model, whatever shapes it`(draft: Draft) throws {
        let harness = try Self.harness(draft)
        for (number, expected) in SpeculationTests.expected.enumerated() {
            for mode in [SpeculationMode.model, .automatic] {
                let request = Self.request(number, mode)
                let name = "\(SpeculationTests.variants[number].name), \(mode)"
                let events = try harness.run(request)
                #expect(Answer.all(events, choices: request.choices) == expected, "\(name)")
                let usage = try #require(events.usage)
                if draft == .itself { #expect(usage.acceptedDraftTokens > 0, "\(name)") }
                if draft == .itself, mode == .model, !Self.mayStop(request) {
                    #expect(usage.rejectedDraftTokens == 0, "\(name)")
                }
            }
        }
        let statistics = harness.engine.statistics
        #expect(statistics.acceptedModelDraftTokens > 100)
        // What a model drafts for itself is always right, so the text so far is never the better guess.
        #expect((statistics.draftTokens > statistics.modelDraftTokens) == (draft != .itself))
        #expect((statistics.modelDraftTokens > statistics.acceptedModelDraftTokens) == (draft != .itself))
        #expect(statistics.cacheBlocksUsed == 0)
    }

    @Test(arguments: [(Draft.itself, 1 << 20), (.itself, 14), (.smaller, 1 << 20), (.smaller, 14)])
    func `thirty requests at once say what they say alone without drafts`(draft: Draft, blocks: Int) throws {
        var limits = EngineLimits()
        limits.cacheBlocks = blocks
        let harness = try Self.harness(draft, parallel: 8, limits: limits)
        let requests = (0..<30).map { Self.request($0, [.model, .automatic, .model, .off, .ngram][$0 % 5]) }
        let calls = try requests.map { try harness.start($0) }
        for (number, call) in calls.enumerated() {
            let place = number % SpeculationTests.variants.count
            let events = try harness.log.finished(call)
            let request = requests[number]
            #expect(
                Answer.all(events, choices: request.choices) == SpeculationTests.expected[place],
                "\(number): \(SpeculationTests.variants[place].name)")
            // Shared blocks, and those that changed hands, hold what the draft model needs, or are known not to.
            if draft == .itself, request.speculation == .model, !Self.mayStop(request) {
                #expect(events.usage?.rejectedDraftTokens == 0, "\(number)")
            }
        }
        let statistics = harness.engine.statistics
        #expect(statistics.acceptedModelDraftTokens > 0)
        // With room for all, a choice beyond its call's share may still give way, as they happen to come.
        if blocks == 14 { #expect(statistics.preemptions > 0) }
        #expect(statistics.cacheBlocksUsed == 0)
    }

    @Test(arguments: [3, 16, 256])
    func `the draft model reads a long prompt in chunks`(rows: Int) throws {
        var limits = EngineLimits()
        limits.prefillRows = rows
        limits.prefillRowsBesideDecoding = rows
        var request = GenerateRequest.text(String(repeating: "the fox ", count: 20), tokens: 60)
        let expected = try EngineHarness().run(request).ids()
        let harness = try Self.harness(.itself, limits: limits)
        request.speculation = .model
        for cached in [false, true] {
            let events = try harness.run(request)
            #expect(events.ids() == expected)
            let usage = try #require(events.usage)
            #expect((usage.cachedTokens > 0) == cached)
            #expect(usage.acceptedDraftTokens > 5 && usage.rejectedDraftTokens == 0)
        }
        #expect(harness.engine.statistics.steps < 120)
    }

    @Test func `a call that is cancelled among drafts leaves the others alone`() throws {
        let harness = try Self.harness(.itself)
        var wanted = GenerateRequest.text("the fox ran", tokens: 100, seed: 3)
        wanted.speculation = .model
        let expected = try EngineHarness().run(SpeculationTests.off(wanted)).ids()
        for round in 0..<10 {
            var other = GenerateRequest.text("the fox ran", tokens: 200, seed: UInt64(round))
            other.speculation = .model
            let victim = try harness.start(other)
            let call = try harness.start(wanted)
            _ = try harness.log.events(of: victim) { $0.ids().count > round * 10 }
            harness.engine.cancel(victim)
            #expect(try harness.log.finished(victim).count(where: \.isEnd) == 1)
            let events = try harness.log.finished(call)
            #expect(events.ids() == expected && events.usage?.rejectedDraftTokens == 0)
        }
        #expect(harness.engine.statistics.cacheBlocksUsed == 0)
    }

    @Test func `a draft model that takes as long as the model is not asked`() throws {
        let harness = try EngineHarness(model: EngineHarness.load(TinyModel().bytes(), draft: Draft.itself.bytes))
        _ = try harness.run(Self.request(2, .automatic))
        #expect(harness.engine.statistics.modelDraftTokens == 0)
    }

    // MARK: Loading

    private func refusal(_ change: (inout TinyModel) -> Void) throws -> String? {
        var draft = TinyModel()
        change(&draft)
        do throws(EngineError) {
            _ = try EngineHarness.load(TinyModel().bytes(), draft: draft.bytes())
            return nil
        } catch {
            guard case .invalidRequest("draft_model", let message) = error else { throw error }
            return message
        }
    }

    @Test func `another tokenizer is refused, and the difference named`() throws {
        #expect(try refusal { $0.layers = 1 } == nil)
        let words = "the draft model's tokenizer differs from the model's: "
        #expect(
            try refusal { $0.lastPiece = "ax" } == words + #"token \#(TinyModel.vocabularySize - 1) is "ax", not "an""#)
        #expect(try refusal { $0.endToken = 259 } != nil)
    }

    @Test func `a file that is no model is refused as the draft model's`() throws {
        do throws(EngineError) {
            _ = try EngineHarness.load(TinyModel().bytes(), draft: [1, 2, 3])
            Issue.record("it was loaded")
        } catch {
            guard case .invalidRequest("draft_model", let message) = error else { throw error }
            #expect(message.hasPrefix("draft model file: "))
        }
    }

    @Test func `what fits alone and not with its draft model is refused with the numbers`() throws {
        var large = TinyModel()
        (large.layers, large.width, large.feedForward) = (2, 256, 1024)
        let memory = MemoryLimits(limitBytes: nil, availableBytes: 72 << 20, totalBytes: 1 << 34)
        let model = try EngineHarness.load(TinyModel().bytes(), memory: memory)
        #expect(model.draftParameterCount == 0)
        do throws(EngineError) {
            _ = try EngineHarness.load(TinyModel().bytes(), draft: large.bytes(), memory: memory)
            Issue.record("it was loaded")
        } catch {
            guard case .resourceExhausted(let message, permanent: true) = error else { throw error }
            #expect(message.contains("exceed the 8 MiB"))
        }
    }

    @Test func `the cache's bytes are those of both models`() throws {
        let alone = try EngineHarness.load(TinyModel().bytes()).description.keyValueCacheBytes
        let both = try EngineHarness.load(TinyModel().bytes(), draft: Draft.itself.bytes)
        #expect(both.description.keyValueCacheBytes == 2 * alone)
        #expect(both.draftParameterCount == both.description.parameterCount)
    }
}
