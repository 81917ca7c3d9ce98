import EngineProtocol
import NativeEngine
import Platform
import TestSupport
import Testing

/// What is refused before it reaches the engine loop, and with which words.
@Suite struct PreparationTests {
    let model: LoadedModel

    init() throws { model = try EngineHarness.load(TinyModel().bytes(), context: 64) }

    func refusal(_ change: (inout GenerateRequest) -> Void) throws -> EngineError? {
        var request = GenerateRequest(inputs: [.text("the")], maximumTokens: 4)
        change(&request)
        do {
            _ = try model.prepare(request)
            return nil
        } catch {
            return error
        }
    }

    func parameter(_ change: (inout GenerateRequest) -> Void) throws -> String? {
        guard case .invalidRequest(let parameter, _)? = try refusal(change) else { return nil }
        return parameter
    }

    @Test func `fields out of range are named`() throws {
        #expect(try refusal { _ in } == nil)
        #expect(try parameter { $0.inputs = [.ids([1, 9999])] } == "prompt")
        #expect(try parameter { $0.inputs = [.ids([-1])] } == "prompt")
        #expect(try parameter { $0.inputs = [] } == "prompt")
        #expect(try parameter { $0.sampling.logitBias = [LogitBias(token: 9999, bias: 1)] } == "logit_bias")
        #expect(try parameter { $0.sampling.temperature = -1 } == "temperature")
        #expect(try parameter { $0.sampling.temperature = .nan } == "temperature")
        #expect(try parameter { $0.stopTokenIDs = [-3] } == "stop_token_ids")
        #expect(try parameter { $0.maximumTokens = 0 } == "max_tokens")
        #expect(try parameter { $0.speculation = .model } == "speculation")
        #expect(try parameter { $0.choices = 0 } == "n")
        #expect(try parameter { $0.choices = .max } == "n")
        #expect(try parameter { $0.stopStrings = Array(repeating: "x", count: 1000) } == "stop")
        #expect(try parameter { $0.stopStrings = [String(repeating: "x", count: 5000)] } == "stop")
    }

    @Test func `a prompt and its answer must fit into the context`() throws {
        let ids = Array(repeating: Int32(5), count: 60)
        #expect(try refusal { $0.inputs = [.ids(ids)] } == nil)
        #expect(
            try refusal {
                $0.inputs = [.ids(ids)]
                $0.maximumTokens = 5
            } == .contextLengthExceeded(limit: 64, prompt: 60, requested: 5))
        #expect(
            try refusal {
                $0.inputs = [.ids(ids + ids)]
                $0.maximumTokens = nil
            } == .contextLengthExceeded(limit: 64, prompt: 120, requested: 0))
        #expect(
            try refusal {
                $0.inputs = [.ids(ids + [5, 5, 5, 5])]
                $0.maximumTokens = nil
            } == .contextLengthExceeded(limit: 64, prompt: 64, requested: 0))
    }

    @Test func `a chat is rendered by the model's template or by the request's`() throws {
        let messages = #"[{"role": "user", "content": "Hi"}]"#
        #expect(try model.renderTemplate(ChatInput(messagesJSON: messages)) == "[user]Hi\n[assistant]")
        let override = ChatInput(messagesJSON: messages, templateOverride: "{{ messages[0].content }}!{{ bos_token }}")
        #expect(try model.renderTemplate(override) == "Hi!<s>")
    }

    @Test func `what a template refuses is told`() throws {
        func error(_ chat: ChatInput, of model: LoadedModel) -> EngineError? {
            do {
                _ = try model.renderTemplate(chat)
                return nil
            } catch {
                return error
            }
        }
        let raising = ChatInput(messagesJSON: "[]", templateOverride: "{{ raise_exception('roles must alternate') }}")
        #expect(
            error(raising, of: model)
                == .invalidRequest(
                    parameter: "messages", message: "the chat template refuses the messages: roles must alternate"))
        guard case .invalidRequest("messages", _)? = error(ChatInput(messagesJSON: "{"), of: model) else {
            Issue.record("broken JSON passed")
            return
        }
        var bare = TinyModel()
        bare.chatTemplate = nil
        let without = try EngineHarness.load(bare.bytes())
        guard case .unsupported? = error(ChatInput(messagesJSON: "[]"), of: without) else {
            Issue.record("a model without template chats")
            return
        }
        #expect(!without.description.hasChatTemplate)
    }

    @Test func `text becomes ids and back`() throws {
        let ids = try model.tokenize(TokenizeRequest(text: "the fox"))
        #expect(ids.first == TinyModel.bos)
        let plain = try model.tokenize(TokenizeRequest(text: "the fox", addSpecial: false))
        #expect(plain == Array(ids.dropFirst()))
        #expect(throws: EngineError.self) { try model.detokenize([99999]) }
        #expect(String(decoding: try model.detokenize(plain), as: UTF8.self).hasSuffix("the fox"))
    }

    @Test func `a purpose loads no more than it needs`() throws {
        let bytes = TinyModel().bytes()
        let inspected = try EngineHarness.load(bytes, purpose: .inspect)
        #expect(inspected.inspect().contains("\"llama\""))
        #expect(throws: EngineError.self) { try inspected.tokenize(TokenizeRequest(text: "a")) }
        let tokenizing = try EngineHarness.load(bytes, purpose: .tokenize)
        #expect(try !tokenizing.tokenize(TokenizeRequest(text: "a")).isEmpty)
        #expect(throws: EngineError.self) { try tokenizing.prepare(GenerateRequest(inputs: [.text("a")])) }
        #expect(tokenizing.description.vocabularySize == UInt32(TinyModel.vocabularySize))
    }

    @Test func `a file that is no model is told apart`() {
        func error(_ bytes: [UInt8], memory: UInt64 = 1 << 34) -> EngineError? {
            do {
                _ = try EngineHarness.load(
                    bytes, memory: MemoryLimits(limitBytes: nil, availableBytes: memory, totalBytes: memory))
                return nil
            } catch {
                return error
            }
        }
        guard case .invalidRequest("model", _)? = error(Array("not a model at all".utf8)) else {
            Issue.record("garbage was loaded")
            return
        }
        guard case .invalidRequest("model", _)? = error(Array(TinyModel().bytes().dropLast(4000))) else {
            Issue.record("a truncated file was loaded")
            return
        }
        guard case .resourceExhausted(_, true)? = error(TinyModel().bytes(), memory: 1000) else {
            Issue.record("no memory was needed")
            return
        }
        #expect(error(TinyModel().bytes()) == nil)
    }
}
