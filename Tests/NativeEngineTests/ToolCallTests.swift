import EngineProtocol
import NativeEngine
import TestSupport
import Testing

/// Tool calls on their way from the text of a choice to its events.
@Suite struct ToolCallTests {
    /// Says a call between two pieces of content for each token, and keeps the bytes that it got.
    struct CallingText: ChoiceText {
        let options: TextOptions
        let withheldBytes = 0

        func append(_ bytes: [UInt8], to output: inout ChoiceOutput) -> Bool {
            output.add("before")
            if options.findsToolCalls { output.add("{}", kind: .toolCall) }
            output.add(" after")
            return false
        }

        func flush(to output: inout ChoiceOutput) { output.add("the end") }
    }

    static func chat(tools: String?) -> GenerateRequest {
        let chat = ChatInput(messagesJSON: #"[{"role":"user","content":"Hi"}]"#, toolsJSON: tools)
        return GenerateRequest(inputs: [.chat(chat)], maximumTokens: 2, ignoreEndOfSequence: true)
    }

    @Test func `parts leave as chunks of their kind, in their order`() throws {
        let model = try EngineHarness.load(TinyModel().bytes())
        let harness = try EngineHarness(model: model, makeText: { CallingText(options: $0) })
        let events = try harness.run(Self.chat(tools: #"[{"type":"function"}]"#))
        var chunks: [TokenChunk] = []
        for case .tokens(let chunk) in events { chunks.append(chunk) }
        #expect(chunks.map(\.text) == ["before", "{}", " after", "before", "{}", " afterthe end"])
        #expect(chunks.map(\.kind) == [.content, .toolCall, .content, .content, .toolCall, .content])
        #expect(chunks.map(\.ids.count) == [1, 0, 0, 1, 0, 0])
        #expect(events.reason() == .length)
    }

    @Test(arguments: [nil, "[]", "null"])
    func `without tools there are no calls`(tools: String?) throws {
        let model = try EngineHarness.load(TinyModel().bytes())
        let harness = try EngineHarness(model: model, makeText: { CallingText(options: $0) })
        let events = try harness.run(Self.chat(tools: tools))
        var texts: [String] = []
        for case .tokens(let chunk) in events { texts.append(chunk.text) }
        #expect(texts == ["before after", "before afterthe end"])
    }

    @Test func `a tag that is a special token is written where there are tools, and nowhere else`() throws {
        var tiny = TinyModel()
        tiny.lastPiece = "<tool_call>"
        var writer = tiny.writer()
        let ordinary = Array(repeating: Int32(1), count: TinyModel.vocabularySize - 260)
        writer.set(
            "tokenizer.ggml.token_type", .integers([2, 3, 3] + Array(repeating: 6, count: 256) + ordinary + [3]))
        let harness = try EngineHarness(model: EngineHarness.load(writer.bytes()))
        let tag = LogitBias(token: Int32(TinyModel.vocabularySize - 1), bias: 1000)
        for (tools, expected) in [("[1]", "<tool_call><tool_call>"), ("[]", "")] {
            var request = Self.chat(tools: tools)
            request.sampling = SamplingParameters(logitBias: [tag])
            let events = try harness.run(request)
            #expect(Answer.all(events, choices: 1)[0].text == expected)
        }
    }
}
