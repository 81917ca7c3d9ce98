import EngineLink
import EngineProtocol
import Foundation
import Platform
import TestSupport
import Testing

/// The built worker, with a tiny model, as its gateway sees it.
@Suite(.serialized) struct WorkerProcessTests {
    /// A generation that says one letter again and again.
    static func letters(
        _ letter: Character, tokens: UInt32?, stops: [String] = [], choices: UInt32 = 1
    ) -> GenerateRequest {
        let bias = TinyModel.token(letter: letter).map { LogitBias(token: $0, bias: 1000) }
        return GenerateRequest(
            inputs: [.text("the")], choices: choices, maximumTokens: tokens,
            sampling: SamplingParameters(logitBias: bias.map { [$0] } ?? []), stopStrings: stops)
    }

    static func text(_ events: [EngineEvent], choice: UInt32 = 0) -> String {
        events.reduce(into: "") { text, event in
            if case .tokens(let chunk) = event, chunk.choice == choice { text += chunk.text }
        }
    }

    @Test func `a model is loaded, described and asked, and the worker ends with its link`() throws {
        let worker = try WorkerProcess()
        guard case .result(.loaded(let model)) = try worker.load(TinyModel().bytes(), context: 128) else {
            Issue.record("not loaded")
            return
        }
        #expect(model.architecture == "llama")
        #expect(model.contextLength == 128)
        #expect(model.parallel == 4)
        #expect(model.hasChatTemplate)
        let events = try worker.finished(worker.send(.generate(Self.letters("q", tokens: 5))))
        #expect(Self.text(events) == "qqqqq")
        let ids = try worker.ask(.tokenize(TokenizeRequest(text: "the fox")))
        guard case .result(.tokenized(let tokens)) = ids else {
            Issue.record("\(ids)")
            return
        }
        guard case .result(.detokenized(let bytes)) = try worker.ask(.detokenize(ids: tokens)) else {
            Issue.record("not detokenized")
            return
        }
        #expect(String(decoding: bytes, as: UTF8.self).hasSuffix("the fox"))
        guard case .result(.inspected) = try worker.ask(.inspect) else {
            Issue.record("not inspected")
            return
        }
        guard case .result(.scored(let count, let mean)) = try worker.ask(.score(ScoreRequest(text: "the fox ran")))
        else {
            Issue.record("not scored")
            return
        }
        #expect(count > 5 && mean > 0)
        let chat = ChatInput(messagesJSON: #"[{"role":"user","content":"Hi"}]"#)
        #expect(try worker.ask(.renderTemplate(chat)) == .result(.rendered(text: "[user]Hi\n[assistant]")))
        let ended = try worker.end()
        #expect(ended.exit == .status(0))
        #expect(ended.errors.split(separator: "\n").allSatisfy { $0.hasPrefix("{") && $0.hasSuffix("}") })
        #expect(!ended.errors.contains("fox"))
    }

    @Test func `a draft model comes with the model, and must have its tokenizer`() throws {
        let worker = try WorkerProcess()
        var draft = TinyModel()
        draft.lastPiece = "ax"
        guard
            case .failed(.invalidRequest("draft_model", _)) = try worker.load(TinyModel().bytes(), draft: draft.bytes())
        else {
            Issue.record("another tokenizer was not refused")
            return
        }
        draft.lastPiece = TinyModel().lastPiece
        draft.layers = 1
        guard case .result(.loaded) = try worker.load(TinyModel().bytes(), draft: draft.bytes()) else {
            Issue.record("not loaded")
            return
        }
        var request = Self.letters("q", tokens: 40)
        request.speculation = .model
        let events = try worker.finished(worker.send(.generate(request)))
        #expect(Self.text(events) == String(repeating: "q", count: 40))
        _ = try worker.end()
    }

    @Test func `rows come within their credit, and inputs are embedded`() throws {
        let worker = try WorkerProcess()
        try worker.load(TinyModel().bytes(), context: 128)
        var request = Self.letters("q", tokens: 3)
        let rowBytes = UInt32(TinyModel.vocabularySize * 4)
        request.tensors = TensorRequest(kind: .logits, credit: UInt64(rowBytes))
        let call = worker.send(.generate(request))
        func rows(_ events: [EngineEvent]) -> Int {
            events.reduce(0) { if case .tensor(let chunk) = $1 { $0 + Int(chunk.tensor.rows) } else { $0 } }
        }
        _ = try worker.events(of: call) { rows($0) == 1 }
        // Another call ends while this one waits.
        #expect(Self.text(try worker.finished(worker.send(.generate(Self.letters("z", tokens: 5))))) == "zzzzz")
        #expect(rows(try worker.events(of: call) { _ in true }) == 1)
        worker.send(.credit(bytes: 100 * rowBytes), call: call)
        let events = try worker.finished(call)
        #expect(Self.text(events) == "qqq")
        guard case .finished(let usage, _)? = events.last else { throw CancellationError() }
        #expect(rows(events) == Int(usage.promptTokens) + 2)
        let embedded = try worker.ask(.embed(EmbedRequest(inputs: [.text("the fox"), .ids([5])])))
        guard case .result(.embedded(let vectors, let tokens)) = embedded else {
            Issue.record("\(embedded)")
            return
        }
        #expect(vectors.rows == 2 && vectors.columns == 32 && tokens > 4)
        for row in 0..<2 {
            let length = vectors.values[row * 32..<(row + 1) * 32].reduce(0) { $0 + $1 * $1 }
            #expect(abs(length - 1) < 1e-5)
        }
    }

    @Test func `stop strings end choices across tokens`() throws {
        let worker = try WorkerProcess()
        try worker.load(TinyModel().bytes())
        let events = try worker.finished(worker.send(.generate(Self.letters("q", tokens: 50, stops: ["x", "qqqq"]))))
        #expect(Self.text(events) == "")
        #expect(events.contains(.choiceFinished(choice: 0, reason: .stop)))
        guard case .finished(let usage, _)? = events.last else {
            Issue.record("\(events)")
            return
        }
        #expect(usage.completionTokens == 4)
        _ = try worker.end()
    }

    @Test func `a cancelled call ends once and the worker stops computing`() throws {
        let worker = try WorkerProcess()
        var tiny = TinyModel()
        tiny.contextLength = 100_000
        try worker.load(tiny.bytes(), context: 60_000)
        let call = worker.send(.generate(Self.letters("q", tokens: nil)))
        _ = try worker.events(of: call) { $0.count > 10 }
        let busy = try worker.statistics(after: MonotonicClock.now())
        #expect(busy.sequencesRunning == 1)
        worker.send(.cancel, call: call)
        worker.send(.cancel, call: call)
        worker.send(.cancel, call: CallID(generation: 1, sequence: 4711))
        #expect(try worker.end(of: call) == .failed(.cancelled))
        let first = try worker.statistics(after: MonotonicClock.now())
        let second = try worker.statistics(after: first.takenAt)
        let third = try worker.statistics(after: second.takenAt)
        #expect(first.steps == third.steps)
        #expect(third.sequencesRunning == 0)
        #expect(third.cancelled == 1)
        #expect(try worker.finished(call).count(where: \.isEnd) == 1)
        _ = try worker.end()
    }

    @Test func `calls that wait or prefill are cancelled too`() throws {
        let worker = try WorkerProcess()
        var tiny = TinyModel()
        (tiny.layers, tiny.width, tiny.feedForward) = (8, 128, 512)
        tiny.contextLength = 20_000
        try worker.load(tiny.bytes(), context: 20_000, parallel: 1)
        var long = Self.letters("q", tokens: 1)
        long.inputs = [.ids(Array(repeating: 270, count: 19_000))]
        let prefilling = worker.send(.generate(long))
        let waiting = worker.send(.generate(Self.letters("q", tokens: 3)))
        let patient = worker.send(.generate(Self.letters("r", tokens: 3)))
        _ = try worker.events(of: prefilling) { $0.contains(.started(cachedTokens: 0)) }
        _ = try worker.events(of: patient) { !$0.isEmpty }
        worker.send(.cancel, call: waiting)
        worker.send(.cancel, call: prefilling)
        let prefilled = try worker.finished(prefilling)
        #expect(prefilled.last == .failed(.cancelled))
        #expect(prefilled.count == 3)
        let waited = try worker.finished(waiting)
        #expect(waited.last == .failed(.cancelled))
        #expect(waited.count == 2)
        #expect(Self.text(try worker.finished(patient)) == "rrr")
        _ = try worker.end()
    }

    @Test func `whenever the cancellation comes, a call ends once`() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        let worker = try WorkerProcess()
        try worker.load(TinyModel().bytes(), parallel: 2)
        var calls: [CallID] = []
        for _ in 0..<150 {
            var request = Self.letters("q", tokens: UInt32.random(in: 1...60, using: &random))
            // Long texts keep the preparation thread busy, so that some calls are cancelled while they wait for it.
            let words = Int.random(in: 0..<4, using: &random) == 0 ? 10_000 : 10
            request.inputs = [.text(String(repeating: "the ", count: words))]
            let isScore = Int.random(in: 0..<6, using: &random) == 0
            let score = ScoreRequest(text: String(repeating: "fox ", count: 200), window: 64)
            calls.append(worker.send(isScore ? .score(score) : .generate(request)))
            for _ in 0..<Int.random(in: 0...2, using: &random) {
                worker.send(.cancel, call: calls.suffix(20).randomElement(using: &random))
            }
        }
        for call in calls { _ = try worker.end(of: call) }
        // What comes later than this answer would have been a second end event.
        _ = try worker.ask(.inspect)
        _ = try worker.statistics(after: MonotonicClock.now())
        for call in calls {
            #expect(try worker.finished(call).count(where: \.isEnd) == 1, "seed \(seed)")
        }
        let statistics = try worker.statistics(after: MonotonicClock.now())
        #expect(statistics.sequencesRunning == 0 && statistics.sequencesWaiting == 0, "seed \(seed)")
        #expect(statistics.cacheBlocksUsed == 0, "seed \(seed)")
        #expect(statistics.cancelled > 0, "seed \(seed)")
        _ = try worker.end()
    }

    @Test func `memory stays within the plan, however many prompts pass through the cache`() throws {
        let worker = try WorkerProcess()
        var tiny = TinyModel()
        (tiny.width, tiny.heads, tiny.keyValueHeads, tiny.feedForward) = (256, 4, 4, 32)
        let loaded = try worker.load(tiny.bytes(), context: 256, parallel: 2)
        guard case .result(.loaded(let model)) = loaded else {
            Issue.record("\(loaded)")
            return
        }
        #expect(model.keyValueCacheBytes <= 2 << 20)
        func anonymousBytes() throws -> UInt64 {
            UInt64(try #require(ProcessMemory.of(processID: worker.process.processID)).anonymousBytes)
        }
        let before = try anonymousBytes()
        // Forty times what the cache holds.
        let calls = (0..<100).map { number in
            var request = Self.letters("q", tokens: 3)
            let bytes = (0..<200).map { UInt8(truncatingIfNeeded: $0 * $0 + number) }
            request.inputs = [.ids(bytes.map(TinyModel.token(byte:)))]
            return worker.send(.generate(request))
        }
        for call in calls { #expect(Self.text(try worker.finished(call)) == "qqq") }
        #expect(try anonymousBytes() < before + model.keyValueCacheBytes + (16 << 20))
        let statistics = try worker.statistics(after: MonotonicClock.now())
        #expect(statistics.cacheBlocks == 16)
        #expect(statistics.cacheBlocksUsed == 0)
        #expect(statistics.cacheBlocksIdle > 8)
        _ = try worker.end()
    }

    @Test func `many calls at once all end well`() throws {
        let worker = try WorkerProcess()
        try worker.load(TinyModel().bytes())
        let letters = Array("abcdefghijklmnopqrstuvwxyz")
        let calls = (0..<52).map { worker.send(.generate(Self.letters(letters[$0 % 26], tokens: 12, choices: 2))) }
        for (index, call) in calls.enumerated() {
            let events = try worker.finished(call)
            for choice: UInt32 in 0..<2 {
                #expect(Self.text(events, choice: choice) == String(repeating: letters[index % 26], count: 12))
            }
        }
        _ = try worker.end()
    }

    @Test func `bad models and bad requests get errors and the worker lives on`() throws {
        let worker = try WorkerProcess()
        guard case .failed(.modelNotReady) = try worker.ask(.inspect) else {
            Issue.record("there is a model")
            return
        }
        guard case .failed(.invalidRequest("model", _)) = try worker.load(Array("garbage".utf8)) else {
            Issue.record("garbage was loaded")
            return
        }
        guard case .result = try worker.load(TinyModel().bytes()) else {
            Issue.record("not loaded")
            return
        }
        guard case .failed(.invalidRequest("model", _)) = try worker.load(TinyModel().bytes()) else {
            Issue.record("loaded twice")
            return
        }
        var request = Self.letters("q", tokens: 3)
        request.inputs = [.ids([12345])]
        guard case .failed(.invalidRequest("prompt", _)) = try worker.ask(.generate(request)) else {
            Issue.record("a token that is none was taken")
            return
        }
        #expect(
            try worker.ask(.generate(Self.letters("q", tokens: 256)))
                == .failed(.contextLengthExceeded(limit: 256, prompt: 2, requested: 256)))
        #expect(Self.text(try worker.finished(worker.send(.generate(Self.letters("q", tokens: 2))))) == "qq")
        _ = try worker.end()
    }

    @Test func `a killed worker closes the link`() throws {
        let worker = try WorkerProcess()
        try worker.load(TinyModel().bytes())
        worker.process.signal(SIGKILL)
        #expect(try worker.linkClosed() == .endOfStream)
        #expect(try worker.end().exit == .signal(SIGKILL))
    }

    @Test func `garbage on the link ends the worker with a reason`() throws {
        let (ours, theirs) = WorkerProcess.take(try Socket.pair())
        let errors = Collector()
        let process = try WorkerProcess.spawn(link: theirs, errors: errors)
        close(theirs)
        defer { close(ours) }
        let garbage = (0..<4096).map { _ in UInt8.random(in: 0...255) }
        _ = try garbage.withUnsafeBytes { bytes throws(SystemError) in try Socket.write(ours, bytes) }
        #expect(try process.wait() == .status(1))
        #expect(errors.text().contains("link_failed"))
    }

    @Test func `a worker does not outlive its parent`() throws {
        let (ours, theirs) = WorkerProcess.take(try Socket.pair())
        let errors = Collector()
        let process = try WorkerProcess.spawn(link: theirs, errors: errors, parent: 1)
        close(theirs)
        defer { close(ours) }
        #expect(try process.wait() == .status(1))
        #expect(errors.text().contains("parent_gone"))
    }

    @Test func `a wrong command line is told with status 2`() throws {
        let output = try Programs.run("apus-worker", ["--model", "x"])
        #expect(output.status == 2)
        #expect(output.standardError.contains("unknown argument --model"))
        #expect(output.standardOutput.isEmpty)
        #expect(try Programs.run("apus-worker", ["--help"]).standardOutput.hasPrefix("usage: apus-worker"))
    }
}
