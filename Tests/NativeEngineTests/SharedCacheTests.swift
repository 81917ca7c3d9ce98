import EngineProtocol
import NativeEngine
import TestSupport
import Testing

/// Prompts that are found in the cache, and sequences that have to give way, change no text.
@Suite struct SharedCacheTests {
    static func limits(blocks: Int) -> EngineLimits {
        var limits = EngineLimits()
        limits.cacheBlocks = blocks
        return limits
    }

    /// A prompt of ids: `common` that all have, and then some of its own.
    static func request(
        _ number: Int, common: Int, own: Int, tokens: UInt32, choices: UInt32 = 1
    ) -> GenerateRequest {
        var request = GenerateRequest.text("", tokens: tokens, seed: UInt64(number), choices: choices)
        let shared = (0..<common).map { TinyModel.token(byte: UInt8(truncatingIfNeeded: $0 * 7)) }
        let rest = (0..<own).map { TinyModel.token(byte: UInt8(truncatingIfNeeded: $0 * 3 + number * 31)) }
        request.inputs = [.ids(shared + rest)]
        return request
    }

    static func alone(_ request: GenerateRequest) throws -> [Int32] { try EngineHarness().run(request).ids() }

    @Test func `fifty clients with a common prompt compute it once`() throws {
        let harness = try EngineHarness(parallel: 50)
        let requests = (0..<50).map { Self.request($0, common: 160, own: 20, tokens: 3) }
        let calls = try requests.map { try harness.start($0) }
        var cached = 0
        for (call, request) in zip(calls, requests) {
            let events = try harness.log.finished(call)
            #expect(try events.ids() == Self.alone(request))
            cached += Int(try #require(events.usage).cachedTokens)
        }
        #expect(harness.engine.statistics.promptTokens == 160 + 50 * 20)
        #expect(harness.engine.statistics.cachedTokens == 49 * 160)
        #expect(cached == 49 * 160)
        #expect(harness.engine.statistics.preemptions == 0)
    }

    @Test func `a prompt that is known is said to be, and its text stays the same`() throws {
        let harness = try EngineHarness()
        let request = Self.request(1, common: 0, own: 96, tokens: 20)
        let first = try harness.run(request)
        let second = try harness.run(request)
        #expect(first.contains(.started(cachedTokens: 0)))
        // The last token's logits are needed, so it is computed again.
        #expect(second.contains(.started(cachedTokens: 95)))
        #expect(second.usage == Usage(promptTokens: 96, completionTokens: 20, cachedTokens: 95))
        #expect(second.ids() == first.ids())
    }

    @Test func `the next turn of a chat finds the answer of the last one`() throws {
        let harness = try EngineHarness()
        var request = Self.request(1, common: 0, own: 40, tokens: 60)
        let answer = try harness.run(request).ids()
        guard case .ids(let prompt)? = request.inputs.first else { return }
        request.inputs = [.ids(prompt + answer + [5, 6, 7])]
        let expected = try Self.alone(request)
        let turn = try harness.run(request)
        #expect(turn.usage?.cachedTokens == 96)
        #expect(turn.ids() == expected)
    }

    @Test func `choices share the prompt, and count it once`() throws {
        let harness = try EngineHarness(parallel: 8)
        let events = try harness.run(Self.request(3, common: 0, own: 75, tokens: 9, choices: 6))
        #expect(harness.engine.statistics.promptTokens == 75 + 5)
        #expect(events.usage == Usage(promptTokens: 75, completionTokens: 54, cachedTokens: 0))
        let oneByOne = try EngineHarness(parallel: 1).run(Self.request(3, common: 0, own: 75, tokens: 9, choices: 6))
        for choice: UInt32 in 0..<6 { #expect(events.ids(choice: choice) == oneByOne.ids(choice: choice)) }
    }

    @Test(arguments: [6, 8, 13])
    func `sequences that have to give way say what they say alone`(blocks: Int) throws {
        let harness = try EngineHarness(parallel: 6, limits: Self.limits(blocks: blocks))
        let requests = (0..<12).map { Self.request($0, common: $0 % 2 * 40, own: 10 + $0, tokens: 90) }
        let calls = try requests.map { try harness.start($0) }
        for (call, request) in zip(calls, requests) {
            let events = try harness.log.finished(call)
            #expect(try events.ids() == Self.alone(request))
            #expect(events.usage?.completionTokens == 90)
        }
        let statistics = harness.engine.statistics
        #expect(statistics.preemptions > 0)
        #expect(statistics.cacheBlocksUsed == 0)
        #expect(statistics.cacheBlocks == UInt64(blocks))
        #expect(statistics.cacheBlocksIdle <= UInt64(blocks))
    }

    @Test func `a text that has to give way is scored as if it were alone`() throws {
        let text = String(repeating: "the quick brown fox jumps over a lazy dog and ", count: 12)
        let expected = try ScoringTests.score(text, window: 150)
        let harness = try EngineHarness(parallel: 4, limits: Self.limits(blocks: 10))
        let calls = try (0..<3).map { try harness.start(Self.request($0, common: 0, own: 5, tokens: 120)) }
        let score = try harness.score(ScoreRequest(text: text, window: 150))
        let result = try harness.log.finished(score).last
        #expect(result == .result(.scored(tokens: expected.tokens, negativeLogLikelihood: expected.mean)))
        for call in calls { #expect(try harness.log.finished(call).ids().count == 120) }
    }

    @Test func `many choices of one call let other calls through, and lose nothing`() throws {
        let harness = try EngineHarness(parallel: 2)
        let many = try harness.start(Self.request(1, common: 0, own: 40, tokens: 100, choices: 24))
        _ = try harness.log.events(of: many) { $0.ids().count > 3 }
        let few = Self.request(2, common: 0, own: 40, tokens: 5)
        #expect(try harness.log.finished(harness.start(few)).ids() == Self.alone(few))
        let soFar = try harness.log.events(of: many) { _ in true }
        #expect((0..<24).count { soFar.reason(choice: $0) != nil } < 24)
        #expect(harness.engine.statistics.preemptions == 1)
        let events = try harness.log.finished(many)
        let oneByOne = try EngineHarness(parallel: 1).run(Self.request(1, common: 0, own: 40, tokens: 100, choices: 24))
        for choice: UInt32 in 0..<24 { #expect(events.ids(choice: choice) == oneByOne.ids(choice: choice)) }
    }

    @Test func `what can never fit is refused with the numbers`() throws {
        let harness = try EngineHarness(limits: Self.limits(blocks: 4))
        let message = "prompt and answer need 199 positions of the KV cache, which has 128"
        #expect(throws: EngineError.resourceExhausted(message: message, permanent: true)) {
            _ = try harness.start(Self.request(1, common: 0, own: 100, tokens: 100))
        }
        #expect(try harness.run(Self.request(1, common: 0, own: 100, tokens: 29)).ids().count == 29)
    }

    @Test func `what a cancelled call left behind spoils nobody's text`() throws {
        var tiny = TinyModel()
        (tiny.layers, tiny.width, tiny.feedForward) = (6, 64, 256)
        let harness = try EngineHarness(tiny)
        let request = Self.request(1, common: 0, own: 220, tokens: 10)
        let expected = try EngineHarness(tiny).run(request).ids()
        for _ in 0..<20 {
            let call = try harness.start(request)
            _ = try harness.log.events(of: call) { $0.count > 1 }
            harness.engine.cancel(call)
            _ = try harness.log.finished(call)
        }
        #expect(try harness.run(request).ids() == expected)
        #expect(harness.engine.statistics.cacheBlocksUsed == 0)
    }

    @Test func `prompts are only shared under the same salt and tenant`() throws {
        let harness = try EngineHarness()
        func cached(salt: String, tenant: String = "a") throws -> UInt32? {
            var request = Self.request(1, common: 0, own: 96, tokens: 2)
            (request.cacheSalt, request.tenant) = (salt, tenant)
            return try harness.run(request).usage?.cachedTokens
        }
        for expected: UInt32 in [0, 95] {
            #expect(try cached(salt: "") == expected)
            #expect(try cached(salt: "x") == expected)
            #expect(try cached(salt: "y") == expected)
            #expect(try cached(salt: "x", tenant: "b") == expected)
        }
        #expect(try cached(salt: "", tenant: "b") == 95)
    }
}
