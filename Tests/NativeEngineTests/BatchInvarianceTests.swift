import EngineProtocol
import NativeEngine
import TestSupport
import Testing

/// A seeded request gives the same tokens whatever happens around it.
@Suite struct BatchInvarianceTests {
    static let prompt = String(repeating: "the an a quick brown fox jumps ", count: 4)
    static let request = GenerateRequest.text(prompt, tokens: 40, seed: 42)

    static func alone() throws -> [Int32] { try EngineHarness().run(request).ids() }

    @Test func `the same request gives the same tokens and another seed gives others`() throws {
        let harness = try EngineHarness()
        let first = try harness.run(Self.request).ids()
        #expect(try harness.run(Self.request).ids() == first)
        #expect(try harness.run(.text(Self.prompt, tokens: 40, seed: 43)).ids() != first)
    }

    @Test(arguments: [1, 3, 16, 64])
    func `the size of the prefill chunks changes nothing`(rows: Int) throws {
        var limits = EngineLimits()
        limits.prefillRows = rows
        limits.prefillRowsBesideDecoding = max(1, rows / 2)
        #expect(try EngineHarness(limits: limits).run(Self.request).ids() == Self.alone())
    }

    @Test(arguments: [1, 3] as [UInt32])
    func `the number of threads changes nothing`(threads: UInt32) throws {
        #expect(try EngineHarness(threads: threads).run(Self.request).ids() == Self.alone())
    }

    @Test func `load changes nothing`() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        let harness = try EngineHarness(parallel: 5)
        var calls: [CallID] = []
        var wanted: [CallID] = []
        for _ in 0..<24 {
            if Int.random(in: 0..<4, using: &random) == 0 {
                wanted.append(try harness.start(Self.request))
            } else {
                let words = String(repeating: "fox the ", count: Int.random(in: 0...12, using: &random))
                let tokens = UInt32.random(in: 1...30, using: &random)
                calls.append(try harness.start(.text(words, tokens: tokens, seed: random.next())))
            }
            if Int.random(in: 0..<6, using: &random) == 0, let victim = calls.randomElement(using: &random) {
                harness.engine.cancel(victim)
            }
        }
        wanted.append(try harness.start(Self.request))
        let expected = try Self.alone()
        for call in wanted { #expect(try harness.log.finished(call).ids() == expected, "seed \(seed)") }
        for call in calls { #expect(try harness.log.finished(call).count(where: \.isEnd) == 1, "seed \(seed)") }
    }

    /// With no time for prompts beside streams, their rows go through the model layer by layer.
    @Test(arguments: [1, 2, 5])
    func `layered prefill changes nothing`(rows: Int) throws {
        let load = { (limits: EngineLimits) throws in
            var tiny = TinyModel()
            tiny.layers = 4
            tiny.feedForward = 512
            tiny.contextLength = 32_768
            return try EngineHarness(tiny, context: 32_768, limits: limits)
        }
        let embedding = EmbedRequest(inputs: [.text(Self.prompt + "fox")])
        let plain = try load(EngineLimits())
        let expected = try plain.run(Self.request).ids()
        let vectors = try EmbeddingTests.vectors(plain.embed(embedding))
        var limits = EngineLimits()
        limits.prefillPercentBesideDecoding = 0
        limits.leastPrefillRows = rows
        let harness = try load(limits)
        // Longer than the rest of the test takes, and a step for each token.
        var endless = GenerateRequest.text("a", tokens: 32_000, seed: 3)
        endless.speculation = .off
        let stream = try harness.start(endless)
        _ = try harness.log.events(of: stream) { !$0.ids().isEmpty }
        // Rows of so small a model may be measured to cost nothing, and are computed whole then: the next try counts.
        var isLayered = false
        for attempt in 0..<50 where !isLayered {
            var request = Self.request
            request.cacheSalt = "\(attempt)"
            let before = harness.engine.statistics.steps
            let events = try harness.run(request)
            #expect(events.ids() == expected)
            let prompt = try #require(events.usage).promptTokens
            // A step for each layer of so many rows.
            isLayered = harness.engine.statistics.steps - before >= 4 * UInt64(prompt) / UInt64(rows)
        }
        #expect(isLayered)
        #expect(try EmbeddingTests.vectors(harness.embed(embedding)) == vectors)
        harness.engine.cancel(stream)
        #expect(try harness.log.finished(stream).count(where: \.isEnd) == 1)
    }

    @Test func `two hundred requests of every kind say at once what each says alone`() throws {
        let variants = SpeculationTests.variants
        let requests = (0..<200).map { number in
            var request = variants[number % variants.count].request
            request.inputs = [.text(String(repeating: "the qqxq an ", count: 1 + number % 7) + "fox \(number)")]
            request.maximumTokens = UInt32(10 + number % 23)
            request.minimumTokens = min(request.minimumTokens, 5)
            request.sampling.seed = UInt64(number)
            return request
        }
        func harness(parallel: UInt32) throws -> EngineHarness {
            try EngineHarness(
                model: EngineHarness.load(TinyModel().bytes(), parallel: parallel),
                makeText: { StoppingText($0.stopStrings) })
        }
        let alone = try harness(parallel: 1)
        let together = try harness(parallel: 48)
        let calls = try requests.map { try together.start($0) }
        for (number, (request, call)) in zip(requests, calls).enumerated() {
            let expected = Answer.all(try alone.run(SpeculationTests.off(request)), choices: request.choices)
            #expect(Answer.all(try together.log.finished(call), choices: request.choices) == expected, "\(number)")
        }
    }
}
