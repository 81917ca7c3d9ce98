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
