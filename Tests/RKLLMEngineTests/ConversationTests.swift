import EngineProtocol
import RKLLMEngine
import TestSupport
import Testing

@Suite struct ConversationTests {
    @Test(arguments: [120, 121, 130]) func `a conversation goes on in the runtime's cache`(family: Int) throws {
        let harness = try RuntimeHarness(family, "say Good\nsay \\_day")
        #expect(try harness.run(harness.ask("Hello")).text == "Good day")
        let second = try harness.run(harness.ask("Hello", "Good day", "And now?"))
        #expect(second.text == "Good day")
        // What was there already is in the prompt's length; 1.2.0 tells nobody how long a text was.
        #expect(second.usage?.cachedTokens == (family == 120 ? 2 : 3))
        #expect(second.usage?.promptTokens == (family == 120 ? 2 : 5))
        let third = try harness.run(harness.ask("Hello", "Good day", "And now?", "Good day", "Bye"))
        #expect(third.text == "Good day")
        #expect(third.first == .accepted(promptTokens: family == 120 ? 4 : 7, queuePosition: 0))
        let told = harness.told.filter { $0.hasPrefix("run prompt") || $0.hasPrefix("clear") }
        #expect(told == ["run prompt=Hello", "run prompt=And now?", "run prompt=Bye"])
        // Another one begins with an empty cache.
        _ = try harness.run(harness.ask("Hello"))
        #expect(harness.told.contains("clear keep_system_prompt=1"))
    }

    @Test func `a conversation that was said otherwise, or elsewhere, is refused`() throws {
        let harness = try RuntimeHarness(130, "say Good\nsay \\_day")
        _ = try harness.run(harness.ask("Hello"))
        for turns in [["Hello", "Bad day", "And now?"], ["Hi", "Good day", "And now?"]] {
            let request = GenerateRequest(inputs: [.chat(RuntimeHarness.chat(turns))])
            guard case .unsupported(let feature)? = try harness.run(request).failure else {
                Issue.record("not refused")
                return
            }
            #expect(feature.hasPrefix("this conversation"))
        }
        // An answer that was cut is not what the client has.
        _ = try harness.run(harness.ask("Hello", tokens: 1))
        #expect(try harness.run(harness.ask("Hello", "Good", "And now?")).failure != nil)
    }

    @Test func `what the runtime does not have is refused by name`() throws {
        let harness = try RuntimeHarness(130, "say x")
        let tool = #"[{"type":"function","function":{"name":"f"}}]"#
        let chats: [(ChatInput, String)] = [
            (RuntimeHarness.chat(["Hello"], variables: #"{"date":"today"}"#), "chat_template_kwargs.date"),
            (ChatInput(messagesJSON: "[]", templateOverride: "x"), "chat_template"),
            (ChatInput(messagesJSON: #"[{"role":"system","content":"Be kind."}]"#), "messages[0].role 'system'"),
            (
                ChatInput(messagesJSON: #"[{"role":"user","content":[{"type":"image_url"}]}]"#),
                "messages[0].content with a part"
            ),
        ]
        for (chat, words) in chats {
            #expect(harness.unsupported(GenerateRequest(inputs: [.chat(chat)])).hasPrefix(words))
        }
        var request = harness.ask("Hello")
        request.logProbabilities = LogProbabilityOptions()
        #expect(harness.unsupported(request).hasPrefix("logprobs"))
        request = harness.ask("Hello")
        request.sampling.minP = 0.1
        #expect(harness.unsupported(request).hasPrefix("min_p"))
        let old = try RuntimeHarness(110, "say x")
        #expect(throws: EngineError.self) {
            try old.engine.prepare(GenerateRequest(inputs: [.chat(RuntimeHarness.chat(["Hello"]))]))
        }
        let middle = try RuntimeHarness(120, "say x")
        #expect(throws: EngineError.unsupported(feature: "tools with runtime 1.2.0")) {
            try middle.engine.prepare(GenerateRequest(inputs: [.chat(RuntimeHarness.chat(["Hello"], tools: tool))]))
        }
    }

    @Test func `inputs that the runtime would choke on are refused`() throws {
        let harness = try RuntimeHarness(130, "say x", context: 64)
        let long = GenerateRequest(inputs: [.ids(Array(repeating: 1, count: 60))], maximumTokens: 5)
        #expect(throws: EngineError.contextLengthExceeded(limit: 64, prompt: 60, requested: 5)) {
            try harness.engine.prepare(long)
        }
        let wrong: [GenerateRequest.Input] = [
            .ids([]), .ids([-1]), .embeddings(Tensor(rows: 2, columns: 3, values: [1])),
            .embeddings(Tensor(rows: 1, columns: 1, values: [.nan])),
            .chat(RuntimeHarness.chat(["zero \u{0} byte"])), .chat(RuntimeHarness.chat([""])),
            .chat(RuntimeHarness.chat(["Hello", "Hi"])), .chat(ChatInput(messagesJSON: "[")),
            .chat(ChatInput(messagesJSON: "[]")),
        ]
        for input in wrong {
            #expect { try harness.engine.prepare(GenerateRequest(inputs: [input])) } throws: { error in
                guard case .invalidRequest? = error as? EngineError else { return false }
                return true
            }
        }
    }
}
