import EngineProtocol
import Foundation
import ModelFiles
import NativeEngine
import Platform
import TestSupport
import Testing
import WorkerHost

/// An engine with the worker's text assembly, which pauses generations at tokens that a test chooses.
private final class PausingEngine: @unchecked Sendable {
    private let condition = NSCondition()
    private var events: [CallID: [EngineEvent]] = [:]
    /// Pauses a call as soon as it has said so many tokens.
    private var pausesAfter: [CallID: Int] = [:]
    private var engine: NativeEngine?
    private var lastCall: UInt64 = 0

    static let session = SessionID(rawValue: 1)

    init(parallel: UInt32 = 2, limits: EngineLimits = EngineLimits()) throws {
        let request = LoadRequest(
            source: .descriptors(count: 1), purpose: .generate, displayName: "tiny", parallel: parallel, threads: 2)
        let model = try LoadedModel(
            parts: [GGUFBytes(copying: TinyModel().bytes())], request: request,
            memory: MemoryLimits(limitBytes: nil, availableBytes: 1 << 34, totalBytes: 1 << 34), usableThreads: 2,
            limits: limits)
        engine = try NativeEngine(model: model, makeText: { AssembledText($0) }, emit: { [weak self] in self?.add($0) })
        _ = try running().openSession(Self.session)
    }

    deinit { engine?.stop() }

    func running() throws -> NativeEngine { try #require(engine) }

    private func add(_ batch: [(CallID, EngineEvent)]) {
        let paused: [CallID] = condition.withLock {
            for (call, event) in batch { events[call, default: []].append(event) }
            condition.broadcast()
            // `accepted` comes under the engine's lock.
            let begun = batch.filter { if case .accepted = $0.1 { false } else { true } }
            return Array(Set(begun.map(\.0))).filter { call in
                guard let count = pausesAfter[call], let events = events[call] else { return false }
                return tokens(events).count >= count
            }
        }
        for call in paused { engine?.pause(call) }
    }

    func start(_ request: GenerateRequest, pausingAfter count: Int? = nil) throws -> CallID {
        let call: CallID = condition.withLock {
            lastCall += 1
            pausesAfter[CallID(rawValue: lastCall)] = count
            return CallID(rawValue: lastCall)
        }
        try running().submit(running().prepare(request), call: call)
        return call
    }

    func finished(_ call: CallID) throws -> [EngineEvent] {
        let deadline = Date(timeIntervalSinceNow: 60)
        return try condition.withLock {
            while true {
                if let events = events[call], events.last?.isEnd == true { return events }
                try #require(condition.wait(until: deadline))
            }
        }
    }

    func run(_ request: GenerateRequest, pausingAfter count: Int? = nil) throws -> Said {
        Said(try finished(start(request, pausingAfter: count)))
    }

    /// Runs a generation of the session that is paused after so many tokens, again and again.
    func run(_ request: GenerateRequest, pausingEvery count: Int) throws -> (said: Said, pauses: Int) {
        var request = request
        request.session = SessionUse(id: Self.session)
        var said = try run(request, pausingAfter: count)
        var pauses = 0
        while said.reason == .paused {
            pauses += 1
            request.inputs = [.resumed]
            request.maximumTokens = nil
            said.append(try run(request, pausingAfter: count))
        }
        return (said, pauses)
    }
}

private func tokens(_ events: [EngineEvent]) -> [Int32] {
    events.flatMap { event -> [Int32] in if case .tokens(let chunk) = event { chunk.ids } else { [] } }
}

/// What an answer says.
private struct Said: Equatable {
    var ids: [Int32] = []
    var text = ""
    var logProbabilities: [TokenLogProbabilities] = []
    var rows: [UInt32] = []
    var reason: FinishReason?

    init(_ events: [EngineEvent]) {
        for event in events {
            switch event {
            case .tokens(let chunk):
                ids += chunk.ids
                text += chunk.text
                logProbabilities += chunk.logProbabilities
            case .tensor(let chunk): rows += chunk.tensor.values.map(\.bitPattern)
            case .choiceFinished(_, let reason): self.reason = reason
            default: break
            }
        }
    }

    mutating func append(_ other: Said) {
        ids += other.ids
        text += other.text
        logProbabilities += other.logProbabilities
        rows += other.rows
        reason = other.reason
    }
}

/// An answer that was paused goes on as if it had not been.
@Suite struct PausingTests {
    /// The bytes of "é" and "€", whole or not, beside letters.
    private static func bias() -> [LogitBias] {
        let bytes = [0xC3, 0xA9, 0xE2, 0x82, 0xAC].map { LogitBias(token: TinyModel.token(byte: $0), bias: 19) }
        return bytes + "qxyz".compactMap { TinyModel.token(letter: $0) }.map { LogitBias(token: $0, bias: 19.5) }
    }

    private static let variants: [(name: String, request: GenerateRequest)] = {
        func variant(
            _ name: String, _ temperature: Float = 1, _ change: (inout GenerateRequest) -> Void = { _ in }
        ) -> (String, GenerateRequest) {
            var request = GenerateRequest(
                inputs: [.text("the qqxq an qqxq the qqqx")], maximumTokens: 40,
                sampling: SamplingParameters(temperature: temperature, logitBias: bias(), seed: 3),
                ignoreEndOfSequence: true)
            change(&request)
            return (name, request)
        }
        return [
            variant("greedy", 0), variant("any token") { $0.sampling.logitBias = [] }, variant("characters"),
            variant("penalties") {
                ($0.sampling.repetitionPenalty, $0.sampling.frequencyPenalty) = (1.2, 0.3)
                $0.sampling.presencePenalty = 0.3
            },
            variant("DRY") { $0.sampling.dry.multiplier = 0.8 },
            variant("Mirostat 1") { ($0.sampling.mirostat.version, $0.sampling.mirostat.target) = (.one, 1) },
            variant("Mirostat 2") { ($0.sampling.mirostat.version, $0.sampling.mirostat.target) = (.two, 1) },
            variant("a stop string") { $0.stopStrings = ["qqxé", "zzy", "xqyz"] },
            variant("log-probabilities") { $0.logProbabilities = LogProbabilityOptions(top: 2, stage: .sampling) },
            variant("a stop token after the least length") {
                $0.minimumTokens = 20
                $0.stopTokenIDs = TinyModel.token(letter: "x").map { [$0] } ?? []
            },
            variant("no drafts") { $0.speculation = .off },
        ]
    }()

    @Test(arguments: variants.indices, [1, 2, 7])
    func `paused again and again, it says the same`(variant: Int, every: Int) throws {
        let engine = try PausingEngine()
        let (name, request) = Self.variants[variant]
        let (said, pauses) = try engine.run(request, pausingEvery: every)
        #expect(try said == engine.run(request), "\(name)")
        #expect(pauses > 0)
        #expect(try engine.running().statistics.cacheBlocksUsed == 0)
    }

    @Test(arguments: 1...39)
    func `one pause at any token changes nothing`(token: Int) throws {
        let engine = try PausingEngine()
        var request = Self.variants[2].request
        request.stopStrings = ["nowhere"]
        let expected = try engine.run(request)
        request.session = SessionUse(id: PausingEngine.session)
        request.speculation = .off
        var said = try engine.run(request, pausingAfter: token)
        #expect(said.reason == .paused && said.ids.count == token)
        let state = try engine.running().changeSession(PausingEngine.session, .clearRange(first: 0, end: 0))
        #expect(state.isPaused && Int(state.positions) > token)
        request.inputs = [.resumed]
        request.maximumTokens = nil
        said.append(try engine.run(request))
        #expect(said == expected)
    }

    @Test func `a pause while the prompt is computed, or before it is`() throws {
        var limits = EngineLimits()
        (limits.prefillRows, limits.prefillRowsBesideDecoding) = (8, 8)
        let engine = try PausingEngine(parallel: 1, limits: limits)
        var request = Self.variants[3].request
        let expected = try engine.run(request)
        request.session = SessionUse(id: PausingEngine.session, keepsHistory: true)
        // At the first event that is not `accepted`: prefill has begun.
        let begun = try engine.run(request, pausingAfter: 0)
        #expect(begun == Said([.choiceFinished(choice: 0, reason: .paused)]))
        var long = Self.variants[1].request
        // It waits for credit, and keeps the only slot.
        long.tensors = TensorRequest(kind: .hiddenStates, credit: 0)
        let busy = try engine.start(long)
        request.inputs = [.resumed]
        let waiting = try engine.start(request)
        try engine.running().pause(waiting)
        let events = try engine.finished(waiting)
        #expect(Said(events) == begun)
        #expect(events.contains(.started(cachedTokens: 0)))
        try engine.running().cancel(busy)
        #expect(try engine.run(request) == expected)
    }

    @Test func `a paused answer has a number of tokens of its own when it goes on`() throws {
        let engine = try PausingEngine()
        var request = Self.variants[1].request
        let expected = try engine.run(request)
        request.session = SessionUse(id: PausingEngine.session)
        request.speculation = .off
        var said = try engine.run(request, pausingAfter: 11)
        request.inputs = [.resumed]
        request.maximumTokens = 5
        let more = try engine.run(request)
        #expect(more.reason == .length && more.ids.count == 5)
        said.append(more)
        #expect(said.ids == Array(expected.ids[..<16]))
        // It ended, so there is nothing to resume.
        #expect(throws: EngineError.self) { try engine.start(request) }
    }

    @Test func `a new input on a paused session follows what was said`() throws {
        let engine = try PausingEngine()
        var request = Self.variants[0].request
        request.speculation = .off
        request.inputs = [.ids([7, 8, 9])]
        request.session = SessionUse(id: PausingEngine.session)
        let said = try engine.run(request, pausingAfter: 6)
        var whole = request
        (whole.inputs, whole.session) = ([.ids([7, 8, 9] + said.ids + [20, 21])], nil)
        request.inputs = [.ids([20, 21])]
        #expect(try engine.run(request) == engine.run(whole))
        #expect(throws: EngineError.self) {
            request.inputs = [.resumed]
            _ = try engine.start(request)
        }
    }

    @Test func `positions that are cleared are gone, and what follows them moves up`() throws {
        let engine = try PausingEngine()
        let ids: [Int32] = Array(10..<60)
        var request = Self.variants[0].request
        (request.inputs, request.speculation) = ([.ids(ids)], .off)
        request.session = SessionUse(id: PausingEngine.session)
        let said = try engine.run(request, pausingAfter: 6)
        let state = try engine.running().changeSession(PausingEngine.session, .clearRange(first: 4, end: 44))
        #expect(state == SessionState(positions: 16, isPaused: true))
        request.inputs = [.resumed]
        request.maximumTokens = nil
        let rest = try engine.run(request)
        // Greedy, so what follows depends on the positions alone.
        (request.inputs, request.session) = ([.ids(Array(ids[..<4]) + Array(ids[44...]) + said.ids)], nil)
        request.maximumTokens = 34
        #expect(try rest.ids == engine.run(request).ids)
    }

    @Test(arguments: [TensorRequest.Kind.hiddenStates, .logits], [1, 5])
    func `every row leaves once, whatever pauses`(kind: TensorRequest.Kind, every: Int) throws {
        let engine = try PausingEngine()
        var request = Self.variants[1].request
        request.tensors = TensorRequest(kind: kind, credit: .max)
        let (said, pauses) = try engine.run(request, pausingEvery: every)
        #expect(try said == engine.run(request))
        #expect(pauses > 3)
    }

    @Test func `what cannot be paused goes on`() throws {
        let engine = try PausingEngine()
        var request = Self.variants[1].request
        let expected = try engine.run(request)
        #expect(try engine.run(request, pausingAfter: 3) == expected)
        request.choices = 2
        request.session = SessionUse(id: PausingEngine.session)
        #expect(try engine.finished(engine.start(request, pausingAfter: 3)).count { $0.isEnd } == 1)
        try engine.running().pause(CallID(rawValue: 999))
        let state = try engine.running().changeSession(PausingEngine.session, .clear(keepsSystemPrompt: false))
        #expect(state == SessionState())
    }

    @Test func `a resumed answer that is cancelled leaves what was said, one that fails stays paused`() throws {
        let engine = try PausingEngine()
        var request = Self.variants[1].request
        let expected = try engine.run(request)
        request.session = SessionUse(id: PausingEngine.session, keepsHistory: true)
        request.speculation = .off
        var said = try engine.run(request, pausingAfter: 9)
        request.inputs = [.resumed]
        request.maximumTokens = nil
        var late = request
        late.deadline = 1
        #expect(try engine.finished(engine.start(late)).last == .failed(.deadlineExceeded))
        said.append(try engine.run(request))
        #expect(said == expected)
    }
}
