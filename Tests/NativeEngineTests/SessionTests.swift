import EngineProtocol
import Platform
import TestSupport
import Testing

@testable import NativeEngine

/// What a session says is what one request with everything before it says.
@Suite struct SessionTests {
    static let id = SessionID(rawValue: 5)
    /// ChatML, but for the end of a message, which is the model's end token.
    static let chatTemplate =
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}</s>\n{% endfor %}"
        + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"

    static func harness(
        template: String = chatTemplate, context: Int = 512, parallel: UInt32 = 4,
        limits: EngineLimits = EngineLimits()
    ) throws -> EngineHarness {
        var tiny = TinyModel()
        tiny.chatTemplate = template
        tiny.contextLength = context
        let harness = try EngineHarness(
            model: EngineHarness.load(tiny.bytes(), parallel: parallel, limits: limits),
            makeText: { StoppingText($0.stopStrings) })
        #expect(try harness.engine.openSession(Self.id) == SessionState())
        return harness
    }

    /// Letters, and now and then the end: text whose tokens are those that the tokenizer makes of it.
    static func request(
        _ input: GenerateRequest.Input, tokens: UInt32? = 12, seed: UInt64 = 7, keepsHistory: Bool? = true
    ) -> GenerateRequest {
        var request = GenerateRequest(
            inputs: [input], maximumTokens: tokens,
            sampling: SamplingParameters(
                logitBias: SpeculationTests.bias([20, 19.5, 19, 18.5]) + [LogitBias(token: TinyModel.eos, bias: 18)],
                seed: seed))
        request.session = keepsHistory.map { SessionUse(id: id, keepsHistory: $0) }
        return request
    }

    static func chat(_ messages: [(role: String, content: String)], tools: String? = nil) -> GenerateRequest.Input {
        let list = messages.map { #"{"role": "\#($0.role)", "content": "\#($0.content)"}"# }
        return .chat(ChatInput(messagesJSON: "[\(list.joined(separator: ","))]", toolsJSON: tools))
    }

    @Test func `a window of its own refuses a prompt before the session knows it, and ends an answer`() throws {
        let harness = try Self.harness()
        let first = try harness.run(Self.request(.text("the fox")))
        let usage = try #require(first.usage)
        let held = usage.promptTokens + usage.completionTokens
        var long = Self.request(.text(String(repeating: "a", count: 40)))
        long.session?.contextLength = held + 30
        let refusal = #expect(throws: EngineError.self) { try harness.start(long) }
        guard case .contextLengthExceeded(let limit, let prompt, 12)? = refusal else {
            Issue.record("\(String(describing: refusal))")
            return
        }
        #expect(limit == held + 30 && prompt >= held + 40)
        // The next one goes on after the first, up to its window.
        var next = Self.request(.ids([5, 290]), tokens: nil)
        next.ignoreEndOfSequence = true
        next.session?.contextLength = held + 30
        let events = try harness.run(next)
        #expect(events.usage?.promptTokens == held + 2 && events.usage?.completionTokens == 28)
        #expect(events.reason() == .length)
    }

    private static func text(_ events: [EngineEvent]) -> String { Answer.all(events, choices: 1)[0].text }

    // MARK: History

    @Test func `a chat in turns is the chat at once`() throws {
        let harness = try Self.harness(context: 1024)
        var conversation: [(role: String, content: String)] = [("system", "be the fox")]
        var reasons: Set<FinishReason> = []
        for turn in 0..<8 {
            let new = (turn == 0 ? conversation : []) + [("user", "the qq \(turn)")]
            if turn > 0 { conversation += new } else { conversation = new }
            let seed = UInt64(turn)
            let events = try harness.run(Self.request(Self.chat(new), seed: seed))
            let whole = try harness.run(Self.request(Self.chat(conversation), seed: seed, keepsHistory: nil))
            #expect(events.ids() == whole.ids())
            #expect(events.usage?.promptTokens == whole.usage?.promptTokens)
            conversation.append(("assistant", Self.text(events)))
            reasons.insert(try #require(events.reason()))
            let state = try harness.engine.sessionState(Self.id)
            let usage = try #require(events.usage)
            #expect(state == SessionState(positions: usage.promptTokens + usage.completionTokens))
        }
        #expect(reasons == [.stop, .length])
        #expect(harness.engine.statistics.cacheBlocksUsed == 0)
    }

    @Test func `what was computed before is found again`() throws {
        let harness = try Self.harness()
        let first = try harness.run(Self.request(.text(String(repeating: "the fox ", count: 20)), tokens: 30))
        let next = try harness.run(Self.request(.text("an")))
        let held = try #require(first.usage)
        #expect(try #require(next.usage).cachedTokens >= (held.promptTokens + held.completionTokens - 1) / 32 * 32)
    }

    /// A template that leaves earlier answers out, as those of thinking models do.
    @Test func `where the template rewrites the past, new messages follow what was said`() throws {
        let harness = try Self.harness(
            template: "<s>{% for message in messages %}{% if message['role'] == 'user' or loop.last %}"
                + "[{{ message['role'] }}]{{ message['content'] }}{% endif %}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
        )
        var held = try harness.prompt("<s>[user]the fox[assistant]")
        held += try harness.run(Self.request(Self.chat([("user", "the fox")]))).ids()
        for turn in 1..<4 {
            // The token that begins a text is there already.
            held += try harness.prompt("[user]and \(turn)[assistant]")
            let events = try harness.run(Self.request(Self.chat([("user", "and \(turn)")]), seed: UInt64(turn)))
            let whole = try harness.run(Self.request(.ids(held), seed: UInt64(turn), keepsHistory: nil))
            #expect(events.ids() == whole.ids())
            #expect(events.usage?.promptTokens == UInt32(held.count))
            held += events.ids()
        }
    }

    @Test func `texts, ids and rows follow each other`() throws {
        let harness = try Self.harness()
        var held = try harness.model.tokenize(TokenizeRequest(text: "the fox"))
        let ids: [Int32] = [7, 9, 200, 270, 281]
        let inputs: [(GenerateRequest.Input, [Int32])] = [
            (.text("the fox"), held), (.ids(ids), ids), (.embeddings(try TensorTests.embedding(of: ids)), ids),
            (.text("an a"), try harness.prompt("an a")), (.text(""), []),
            (Self.chat([("user", "a")]), try harness.prompt("<|im_start|>user\na</s>\n<|im_start|>assistant\n")),
            (.embeddings(try TensorTests.embedding(of: [40, 41])), [40, 41]), (.ids([5]), [5]),
        ]
        held = []
        for (turn, (input, tokens)) in inputs.enumerated() {
            held += tokens
            let events = try harness.run(Self.request(input, tokens: 20, seed: UInt64(turn)))
            let whole = try harness.run(Self.request(.ids(held), tokens: 20, seed: UInt64(turn), keepsHistory: nil))
            #expect(events.ids() == whole.ids(), "turn \(turn)")
            #expect(events.usage?.promptTokens == UInt32(held.count))
            held += events.ids()
        }
    }

    @Test func `a session goes on only where both generations keep their history`() throws {
        let harness = try Self.harness()
        let alone = try harness.run(Self.request(.text("the fox"), keepsHistory: nil))
        for keeps in [[true, false], [false, true], [false, false], [true, false, true]] {
            for kept in keeps.dropLast() { _ = try harness.run(Self.request(.text("an a"), keepsHistory: kept)) }
            let events = try harness.run(Self.request(.text("the fox"), keepsHistory: keeps.last))
            #expect(events.ids() == alone.ids() && events.usage?.promptTokens == alone.usage?.promptTokens)
            _ = try harness.engine.changeSession(Self.id, .clear(keepsSystemPrompt: false))
        }
    }

    @Test func `sessions beside each other, with other work and too few blocks, say what they say alone`() throws {
        var limits = EngineLimits()
        limits.cacheBlocks = 14
        let harness = try Self.harness(context: 256, parallel: 6, limits: limits)
        let calm = try Self.harness(context: 256)
        let sessions = (10..<16).map { SessionID(rawValue: $0) }
        for session in sessions { _ = try harness.engine.openSession(session) }
        var held: [[Int32]] = Array(repeating: [], count: sessions.count)
        for turn in 0..<4 {
            let new = try harness.prompt("the qqxq fox \(turn) an qq")
            let others = try (0..<4).map {
                try harness.start(SharedCacheTests.request($0 + 10 * turn, common: 0, own: 100, tokens: 60))
            }
            let calls = try sessions.enumerated().map { number, session in
                var request = Self.request(.ids(new), tokens: 24, seed: UInt64(number))
                request.session?.id = session
                return try harness.start(request)
            }
            for (number, call) in calls.enumerated() {
                held[number] += new
                let ids = try harness.log.finished(call).ids()
                let whole = Self.request(.ids(held[number]), tokens: 24, seed: UInt64(number), keepsHistory: nil)
                #expect(try ids == calm.run(whole).ids(), "session \(number), turn \(turn)")
                held[number] += ids
            }
            for call in others { #expect(try harness.log.finished(call).ids().count == 60) }
        }
        #expect(harness.engine.statistics.preemptions > 0)
        #expect(harness.engine.statistics.cacheBlocksUsed == 0)
    }

    @Test(arguments: [SpeculationMode.off, .ngram, .model, .automatic])
    func `drafts change nothing`(mode: SpeculationMode) throws {
        let harness = try EngineHarness(
            model: EngineHarness.load(TinyModel().bytes(), draft: TinyModel().bytes()), draftCost: 0.2)
        _ = try harness.engine.openSession(Self.id)
        var held: [Int32] = []
        for turn in 0..<3 {
            let new = try harness.prompt("the qqxq an qqxq")
            held += new
            var request = Self.request(.ids(new), tokens: 40, seed: UInt64(turn))
            request.speculation = mode
            request.ignoreEndOfSequence = true
            var whole = request
            (whole.inputs, whole.session, whole.speculation) = ([.ids(held)], nil, .off)
            let events = try harness.run(request)
            #expect(try events.ids() == harness.run(whole).ids())
            if mode == .model { #expect(events.usage?.acceptedDraftTokens ?? 0 > 0) }
            held += events.ids()
        }
    }

    @Test func `rows that leave are those of the new positions`() throws {
        let harness = try Self.harness()
        let new = try harness.prompt("the fox an a")
        let first = try harness.run(Self.request(.ids(new), tokens: 9))
        let held = new + first.ids() + new
        for kind in [TensorRequest.Kind.hiddenStates, .logits] {
            var request = Self.request(.ids(held), tokens: 5, keepsHistory: nil)
            request.tensors = TensorRequest(kind: kind, credit: .max)
            let whole = try harness.run(request)
            (request.inputs, request.session) = ([.ids(new)], SessionUse(id: Self.id, keepsHistory: true))
            let before = try harness.engine.sessionState(Self.id)
            let events = try harness.run(request)
            #expect(events.ids() == whole.ids())
            let chunks = events.compactMap { if case .tensor(let chunk) = $0 { chunk } else { nil } }
            #expect(chunks.first?.firstRow == before.positions)
            let rows = chunks.flatMap(\.tensor.values).map(\.bitPattern)
            let expected = try bits(whole.rows())[Int(before.positions)...].flatMap(\.self)
            #expect(rows == expected)
            // Back to where both kinds begin.
            _ = try harness.engine.changeSession(Self.id, .clear(keepsSystemPrompt: false))
            _ = try harness.run(Self.request(.ids(new), tokens: 9))
        }
    }

    // MARK: Ends

    @Test func `a generation that fails leaves the session as it was, a cancelled one what had come`() throws {
        let harness = try Self.harness()
        let first = try harness.run(Self.request(.text("the fox")))
        let before = try harness.engine.sessionState(Self.id)
        var late = Self.request(.text("an"))
        late.deadline = 1
        #expect(try harness.run(late).last == .failed(.deadlineExceeded))
        #expect(try harness.engine.sessionState(Self.id) == before)

        var long = Self.request(.ids([9, 8]), tokens: 400)
        long.ignoreEndOfSequence = true
        long.sampling.logitBias = []
        // It waits for credit after a few tokens.
        long.tensors = TensorRequest(kind: .hiddenStates, credit: UInt64(8 * TinyModel().width * 4))
        let call = try harness.start(long)
        _ = try harness.log.events(of: call) { $0.ids().count > 4 }
        harness.engine.cancel(call)
        let events = try harness.log.finished(call)
        #expect(events.last == .failed(.cancelled))
        let held = try harness.model.tokenize(TokenizeRequest(text: "the fox")) + first.ids() + [9, 8] + events.ids()
        #expect(try harness.engine.sessionState(Self.id).positions == UInt32(held.count))
        let next = try harness.run(Self.request(.ids([5])))
        #expect(try next.ids() == harness.run(Self.request(.ids(held + [5]), keepsHistory: nil)).ids())
    }

    @Test func `a call that is cancelled before it begins leaves its prompt`() throws {
        let harness = try Self.harness(parallel: 1)
        let busy = try harness.start(TensorTests.request("a", kind: .logits, tokens: 400, credit: 0))
        let call = try harness.start(Self.request(.ids([9, 8, 7])))
        harness.engine.cancel(call)
        #expect(try harness.log.finished(call).last == .failed(.cancelled))
        #expect(try harness.engine.sessionState(Self.id) == SessionState(positions: 3))
        harness.engine.cancel(busy)
    }

    // MARK: Rules

    private func refusal(_ body: () throws -> Void) throws -> (parameter: String, message: String) {
        let error = #expect(throws: EngineError.self, performing: body)
        guard case .invalidRequest(let parameter, let message)? = error else {
            Issue.record("\(String(describing: error))")
            return ("", "")
        }
        return (parameter, message)
    }

    @Test func `what a session does not allow is refused by name`() throws {
        let harness = try Self.harness()
        let engine = harness.engine
        let other = SessionID(rawValue: 77)
        var unknown = Self.request(.text("a"))
        unknown.session?.id = other
        for body in [
            { _ = try harness.start(unknown) },
            { _ = try engine.changeSession(other, .clear(keepsSystemPrompt: false)) },
            { _ = try engine.closeSession(other) }, { _ = try engine.openSession(Self.id) },
            { _ = try harness.start(Self.request(.resumed)) },
        ] as [() throws -> Void] {
            let refusal = try refusal(body)
            #expect(refusal.parameter == "session")
            #expect(refusal.message.contains("session 77") || refusal.message.contains("session 5"))
        }
        var several = Self.request(.text("a"))
        several.choices = 2
        #expect(try refusal { _ = try harness.start(several) }.parameter == "n")
        several.session?.keepsHistory = false
        #expect(try harness.run(several).reason(choice: 1) != nil)
        #expect(try engine.sessionState(Self.id) == SessionState())
        #expect(try refusal { _ = try harness.start(Self.request(.resumed, keepsHistory: nil)) }.parameter == "prompt")
    }

    @Test func `one generation at a time, and nothing else meanwhile`() throws {
        let harness = try Self.harness()
        var long = TensorTests.request("the", kind: .logits, tokens: 400, credit: 0)
        long.session = SessionUse(id: Self.id)
        let call = try harness.start(long)
        for body in [
            { _ = try harness.start(Self.request(.text("a"))) },
            { _ = try harness.engine.changeSession(Self.id, .clear(keepsSystemPrompt: true)) },
            { _ = try harness.engine.changeSession(Self.id, .clearRange(first: 0, end: 1)) },
        ] as [() throws -> Void] {
            #expect(try refusal(body).message == "session 5 has a generation that has not ended")
        }
        // Closing it ends what runs.
        #expect(try harness.engine.closeSession(Self.id) == SessionState())
        #expect(try harness.log.finished(call).last == .failed(.cancelled))
        #expect(try harness.engine.openSession(Self.id) == SessionState())
    }

    @Test func `what was prepared for another state of the session is refused`() throws {
        let harness = try Self.harness()
        let prepared = try harness.engine.prepare(Self.request(.text("a")))
        _ = try harness.run(Self.request(.text("the")))
        #expect(try refusal { try harness.engine.submit(prepared, call: harness.nextCall()) }.parameter == "session")
    }

    @Test func `sessions are bounded in number, in bytes and in positions`() throws {
        var limits = EngineLimits()
        (limits.sessions, limits.sessionBytes) = (2, 1000)
        let harness = try Self.harness(context: 256, limits: limits)
        let second = SessionID(rawValue: 6)
        _ = try harness.engine.openSession(second)
        #expect(
            throws: EngineError.resourceExhausted(message: "2 sessions are open, the limit is 2", permanent: false)
        ) { try harness.engine.openSession(SessionID(rawValue: 7)) }
        let ids = GenerateRequest.Input.ids(Array(repeating: 9, count: 200))
        _ = try harness.run(Self.request(ids))
        var other = Self.request(ids)
        other.session?.id = second
        let refusal = #expect(throws: EngineError.self) { try harness.start(other) }
        guard case .resourceExhausted(_, permanent: false)? = refusal else {
            Issue.record("\(String(describing: refusal))")
            return
        }
        _ = try harness.engine.closeSession(Self.id)
        #expect(try harness.run(other).reason() != nil)
        let more = GenerateRequest.Input.ids(Array(repeating: 9, count: 50))
        other.inputs = [more]
        let positions = try harness.engine.sessionState(second).positions
        #expect(throws: EngineError.contextLengthExceeded(limit: 256, prompt: positions + 50, requested: 12)) {
            try harness.start(other)
        }
    }

    // MARK: Changes

    @Test func `a cleared session is a new one`() throws {
        let harness = try Self.harness()
        _ = try harness.run(Self.request(.text("the fox")))
        #expect(try harness.engine.changeSession(Self.id, .clear(keepsSystemPrompt: true)) == SessionState())
        let events = try harness.run(Self.request(.text("an a")))
        #expect(try events.ids() == harness.run(Self.request(.text("an a"), keepsHistory: nil)).ids())
    }

    @Test func `the system prompt can stay`() throws {
        let harness = try Self.harness()
        let system = (role: "system", content: "be the fox")
        _ = try harness.run(Self.request(Self.chat([system, ("user", "the")])))
        let kept = try harness.prompt("<|im_start|>system\nbe the fox</s>\n")
        for _ in 0..<2 {
            let state = try harness.engine.changeSession(Self.id, .clear(keepsSystemPrompt: true))
            #expect(state == SessionState(positions: UInt32(kept.count)))
            let events = try harness.run(Self.request(Self.chat([("user", "an")])))
            let whole = Self.request(Self.chat([system, ("user", "an")]), keepsHistory: nil)
            #expect(try events.ids() == harness.run(whole).ids())
        }
    }

    /// As Llama 2's: the system prompt is a part of the first user's message.
    @Test func `a system prompt without positions of its own stays as a message`() throws {
        let harness = try Self.harness(
            template: "{% if messages[0]['role'] == 'system' %}"
                + "{% if messages|length == 1 %}{{ raise_exception('a user must follow') }}{% endif %}"
                + "{% set system = messages[0]['content'] %}{% set messages = messages[1:] %}{% endif %}"
                + "{% for message in messages %}[{{ message['role'] }}]{% if loop.first %}{{ system }}{% endif %}"
                + "{{ message['content'] }}{% endfor %}[assistant]")
        let system = (role: "system", content: "be the fox")
        _ = try harness.run(Self.request(Self.chat([system, ("user", "the")])))
        #expect(try harness.engine.changeSession(Self.id, .clear(keepsSystemPrompt: true)) == SessionState())
        let events = try harness.run(Self.request(Self.chat([("user", "an")])))
        let whole = Self.request(Self.chat([system, ("user", "an")]), keepsHistory: nil)
        #expect(try events.ids() == harness.run(whole).ids())
    }
}

extension EngineHarness {
    /// Tokens of a text that does not begin a prompt.
    func prompt(_ text: String) throws -> [Int32] {
        try model.tokenize(TokenizeRequest(text: text, addSpecial: false))
    }
}

extension NativeEngine {
    func sessionState(_ id: SessionID) throws -> SessionState {
        try state.withLock { try $0.sessions.session(id).state }
    }
}
