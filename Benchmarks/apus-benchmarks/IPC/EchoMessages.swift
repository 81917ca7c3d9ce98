import EngineProtocol

/// The typed messages that go to and fro, and the check that what came back is what was asked for.
enum EchoMessages {
    static let model = "model"
    static let requestID = "benchmark"

    /// Text of so many bytes, as prompts and answers look.
    static func text(bytes: Int) -> String {
        let words = "let count = values.filter { $0 > limit }.count // \"river\" and stone,\n\tlamp "
        var text = String(repeating: words, count: bytes / words.utf8.count + 1)
        text.utf8.count > bytes ? text.removeLast(text.utf8.count - bytes) : ()
        text.makeContiguousUTF8()
        return text
    }

    static func request(_ number: UInt64, _ text: String) -> Message {
        call(number, .tokenize(TokenizeRequest(text: text)))
    }

    static func call(_ number: UInt64, _ request: EngineRequest) -> Message {
        .localCall(
            LocalCall(model: model, requestID: requestID, request: request), call: CallID(rawValue: number))
    }

    /// What an echo answers; checks every field of the request.
    static func reply(to message: Message) throws -> Message {
        if case .ping(let number) = message { return .pong(number) }
        guard case .localCall(let local, let call) = message, local.model == model, local.requestID == requestID,
            !local.resumes
        else { throw BenchmarkError("a request that nobody sent") }
        return .events([(call, try event(for: local.request))])
    }

    private static func event(for request: EngineRequest) throws -> EngineEvent {
        switch request {
        case .tokenize(let tokenize):
            guard tokenize.addSpecial, tokenize.parseSpecial else { throw BenchmarkError("wrong flags") }
            return .tokens(chunk(of: tokenize.text))
        case .generate(let generate):
            guard case .text(let text)? = generate.inputs.first else { throw BenchmarkError("no text") }
            return .tokens(chunk(of: text))
        case .embed(let embed):
            guard case .ids(let ids)? = embed.inputs.first, ids.count == 1 else { throw BenchmarkError("no ids") }
            return .result(.embedded(vector(seed: ids[0]), promptTokens: 1))
        case .renderTemplate(let chat): return .result(.rendered(text: chat.messagesJSON))
        case .load, .inspect, .score, .detokenize, .cancel, .credit, .pause, .openSession, .changeSession,
            .closeSession, .loadAdapter, .unloadAdapter:
            throw BenchmarkError("a request that nobody sent")
        }
    }

    /// An embedding whose size, and all of whose values, follow from one number.
    static func vector(seed: Int32) -> Tensor {
        Tensor(rows: 1, columns: UInt32(seed), values: [Float](repeating: 1 / Float(seed), count: Int(seed)))
    }

    private static func chunk(of text: String) -> TokenChunk {
        TokenChunk(choice: 0, ids: [Int32(text.utf8.count)], text: text)
    }

    /// Whether a message answers `request(number, text)`.
    static func verify(_ message: Message, _ number: UInt64, _ text: String) throws {
        guard case .events(let events) = message, events.count == 1, events[0].0.rawValue == number,
            case .tokens(let chunk) = events[0].1, chunk.choice == 0, chunk.kind == .content,
            chunk.ids == [Int32(text.utf8.count)], chunk.logProbabilities.isEmpty, chunk.text == text
        else { throw BenchmarkError("answer \(number) is not what was asked for") }
    }

    /// A message as a server sends many of: some text of one stream.
    static func streamed(_ number: UInt64, _ text: String) -> Message {
        .events([(CallID(rawValue: number), .tokens(chunk(of: text)))])
    }
}
