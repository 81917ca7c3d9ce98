import EngineProtocol
import NativeEngine
import TestSupport
import Testing

/// Text that ends at stop strings.
struct StoppingText: ChoiceText {
    let stopStrings: [String]
    private var bytes: [UInt8] = []
    private var isStopped = false
    var withheldBytes: Int { bytes.count }

    init(_ stopStrings: [String]) { self.stopStrings = stopStrings }

    mutating func append(_ bytes: [UInt8], to output: inout ChoiceOutput) -> Bool {
        self.bytes += bytes
        let text = String(decoding: self.bytes, as: UTF8.self)
        isStopped = stopStrings.contains { text.contains($0) }
        if stopStrings.isEmpty { flush(to: &output) }
        return isStopped
    }

    mutating func flush(to output: inout ChoiceOutput) {
        guard !isStopped else { return }
        output.add(String(decoding: bytes, as: UTF8.self))
        bytes = []
    }
}

/// An answer as the client sees it: ids, text, log-probabilities, and how it ended.
struct Answer: Equatable {
    var ids: [Int32] = []
    var text = ""
    var logProbabilities: [TokenLogProbabilities] = []
    var reason: FinishReason?

    static func all(_ events: [EngineEvent], choices: UInt32) -> [Answer] {
        (0..<choices).map { choice in
            var answer = Answer()
            for case .tokens(let chunk) in events where chunk.choice == choice {
                answer.ids += chunk.ids
                answer.text += chunk.text
                answer.logProbabilities += chunk.logProbabilities
            }
            answer.reason = events.reason(choice: choice)
            return answer
        }
    }
}

/// Drafts change how many steps an answer takes, and nothing else.
@Suite struct SpeculationTests {
    /// Four letters, one of them far likelier than the others: repetitive text that is not all the same.
    static func bias(_ values: [Float] = [11, 7, 6.5, 6]) -> [LogitBias] {
        zip("qxyz", values).compactMap { letter, value in
            TinyModel.token(letter: letter).map { LogitBias(token: $0, bias: value) }
        }
    }

    static func request(
        _ temperature: Float, tokens: UInt32 = 120, seed: UInt64 = 7, choices: UInt32 = 1, bias: [LogitBias] = bias()
    ) -> GenerateRequest {
        .text(
            "the qqxq an qqxq the qqqx", tokens: tokens, seed: seed, temperature: temperature, choices: choices,
            bias: bias)
    }

    /// Everything that shapes an answer, by name.
    static let variants: [(name: String, request: GenerateRequest)] = {
        func variant(_ name: String, _ temperature: Float, _ change: (inout GenerateRequest) -> Void = { _ in })
            -> (name: String, request: GenerateRequest)
        {
            var request = request(temperature)
            change(&request)
            return (name, request)
        }
        return [
            variant("greedy", 0), variant("greedy without bias", 0) { $0.sampling.logitBias = [] },
            variant("temperature 1", 1), variant("temperature 1 without bias", 1) { $0.sampling.logitBias = [] },
            variant("penalties", 1) {
                $0.sampling.repetitionPenalty = 1.1
                $0.sampling.frequencyPenalty = 0.02
                $0.sampling.presencePenalty = 0.3
            },
            variant("greedy with a frequency penalty", 0) { $0.sampling.frequencyPenalty = 0.3 },
            variant("DRY", 1) { $0.sampling.dry.multiplier = 0.4 },
            variant("Mirostat", 1) {
                $0.sampling.mirostat.version = .two
                $0.sampling.mirostat.target = 1
            },
            variant("filters", 0.8) {
                $0.sampling.topK = 20
                $0.sampling.topP = 0.95
                $0.sampling.xtcProbability = 0.2
            },
            variant("three choices", 1) { $0.choices = 3 },
            variant("log-probabilities", 1) { $0.logProbabilities = LogProbabilityOptions(top: 3, stage: .sampling) },
            variant("a stop string", 1) { $0.stopStrings = ["qqx", "qz"] },
            variant("a stop token after the least length", 1) {
                $0.minimumTokens = 50
                $0.stopTokenIDs = TinyModel.token(letter: "x").map { [$0] } ?? []
            },
        ]
    }()

    static func off(_ request: GenerateRequest) -> GenerateRequest {
        var request = request
        request.speculation = .off
        return request
    }

    private static func harness(parallel: UInt32 = 4, limits: EngineLimits = EngineLimits()) throws -> EngineHarness {
        try EngineHarness(
            model: EngineHarness.load(TinyModel().bytes(), parallel: parallel, limits: limits),
            makeText: { StoppingText($0.stopStrings) })
    }

    static let expected: [[Answer]] = {
        guard let harness = try? harness() else { return [] }
        return variants.map { variant in
            guard let events = try? harness.run(off(variant.request)) else { return [] }
            return Answer.all(events, choices: variant.request.choices)
        }
    }()

    @Test func `an answer is the same with and without drafts, whatever shapes it`() throws {
        let harness = try Self.harness()
        var (accepted, rejected): (UInt32, UInt32) = (0, 0)
        for (variant, expected) in zip(Self.variants, Self.expected) {
            let events = try harness.run(variant.request)
            #expect(Answer.all(events, choices: variant.request.choices) == expected, "\(variant.name)")
            let usage = try #require(events.usage)
            #expect(Int(usage.completionTokens) == expected.reduce(0) { $0 + $1.ids.count }, "\(variant.name)")
            accepted += usage.acceptedDraftTokens
            rejected += usage.rejectedDraftTokens
        }
        #expect(accepted > 100 && rejected > 10)
        let statistics = harness.engine.statistics
        #expect(statistics.acceptedDraftTokens == UInt64(accepted))
        #expect(statistics.draftTokens == UInt64(accepted + rejected))
        #expect(statistics.cacheBlocksUsed == 0)
    }

    @Test func `an answer stops at the same token, wherever in it that comes`() throws {
        let harness = try Self.harness()
        var request = Self.request(1)
        let text = try #require(Answer.all(harness.run(Self.off(request)), choices: 1).first).text
        for length in stride(from: 20, to: 110, by: 6) {
            // The shortest end of the text so far that did not come before.
            let before = text.prefix(length)
            let stop = (1...length).map { before.suffix($0) }.first { !before.dropLast().contains($0) }
            request.stopStrings = [String(try #require(stop))]
            for options in [nil, LogProbabilityOptions(top: 2)] {
                request.logProbabilities = options
                let answer = Answer.all(try harness.run(request), choices: 1)
                #expect(answer.first?.reason == .stop)
                #expect(answer == Answer.all(try harness.run(Self.off(request)), choices: 1))
            }
        }
        let stopped = try #require(zip(Self.variants, Self.expected).first { $0.0.name.hasPrefix("a stop token") }).1
        #expect(stopped.first?.reason == .stop && (stopped.first?.ids.count ?? 0) > 50)
    }

    @Test(arguments: [EngineLimits().cacheBlocks, 14])
    func `thirty requests at once say what they say alone without drafts`(blocks: Int) throws {
        var limits = EngineLimits()
        limits.cacheBlocks = blocks
        let harness = try Self.harness(parallel: 8, limits: limits)
        let calls = try (0..<30).map { number in
            let request = Self.variants[number % Self.variants.count].request
            return try harness.start(number % 5 == 4 ? Self.off(request) : request)
        }
        for (number, call) in calls.enumerated() {
            let variant = Self.variants[number % Self.variants.count]
            let events = try harness.log.finished(call)
            #expect(
                Answer.all(events, choices: variant.request.choices) == Self.expected[number % Self.variants.count],
                "\(number): \(variant.name)")
            if number % 5 == 4 { #expect(events.usage?.acceptedDraftTokens == 0) }
        }
        #expect(harness.engine.statistics.acceptedDraftTokens > 0)
        #expect(harness.engine.statistics.cacheBlocksUsed == 0)
    }

    @Test func `the token limit holds inside a run of accepted drafts`() throws {
        let harness = try Self.harness()
        let same = Self.bias([1000, 0, 0, 0])
        let token = try #require(TinyModel.token(letter: "q"))
        var accepted: UInt32 = 0
        for tokens: UInt32 in 1...40 {
            let events = try harness.run(Self.request(1, tokens: tokens, bias: same))
            #expect(events.ids() == Array(repeating: token, count: Int(tokens)) && events.reason() == .length)
            accepted += events.usage?.acceptedDraftTokens ?? 0
        }
        #expect(accepted > 0)
    }

    @Test func `the context is filled to its end`() throws {
        let harness = try EngineHarness(context: 64)
        let events = try harness.run(Self.request(1, tokens: 30, bias: Self.bias([1000, 0, 0, 0])))
        var whole = Self.request(1, bias: Self.bias([1000, 0, 0, 0]))
        whole.maximumTokens = nil
        let filled = try harness.run(whole)
        #expect(events.ids().count == 30)
        #expect(filled.usage.map { $0.promptTokens + $0.completionTokens } == 64 && filled.reason() == .length)
    }

    @Test func `repetitive text takes fewer steps`() throws {
        func steps(_ request: GenerateRequest) throws -> UInt64 {
            let harness = try Self.harness()
            _ = try harness.run(request)
            return harness.engine.statistics.steps
        }
        let request = Self.request(1, tokens: 150, bias: Self.bias([1000, 0, 0, 0]))
        let without = try steps(Self.off(request))
        #expect(without == 150)
        #expect(try steps(request) < 100)
    }

    @Test func `without drafts nothing is counted`() throws {
        let harness = try Self.harness()
        let usage = try #require(try harness.run(Self.off(Self.request(0))).usage)
        #expect(usage.acceptedDraftTokens == 0 && usage.rejectedDraftTokens == 0)
        #expect(harness.engine.statistics.draftTokens == 0)
    }

    @Test func `a call that is cancelled among drafts leaves the others alone`() throws {
        let harness = try Self.harness()
        let wanted = Self.request(1, tokens: 150, seed: 3)
        let expected = try Self.harness().run(Self.off(wanted)).ids()
        for round in 0..<10 {
            let victim = try harness.start(Self.request(1, tokens: 200, bias: Self.bias([1000, 0, 0, 0])))
            let other = try harness.start(wanted)
            _ = try harness.log.events(of: victim) { $0.ids().count > round * 10 }
            harness.engine.cancel(victim)
            #expect(try harness.log.finished(victim).count(where: \.isEnd) == 1)
            #expect(try harness.log.finished(other).ids() == expected)
        }
        #expect(harness.engine.statistics.cancelled > 0)
        #expect(harness.engine.statistics.cacheBlocksUsed == 0)
    }
}
