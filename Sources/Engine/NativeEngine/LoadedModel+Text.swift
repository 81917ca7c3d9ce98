import ChatTemplates
public import EngineProtocol
import JSON
import Platform
import Tokenizers

/// What needs the tokenizer or the chat template, but no weights.
extension LoadedModel {
    public func tokenize(_ request: TokenizeRequest) throws(EngineError) -> [Int32] {
        let tokenizer = try requireTokenizer()
        try checkBytes(request.text.utf8.count, field: "text", limit: limits.promptBytes)
        do {
            return try tokenizer.encode(
                request.text, addSpecial: request.addSpecial, parseSpecial: request.parseSpecial)
        } catch {
            throw .invalidRequest(parameter: "text", message: error.description)
        }
    }

    public func detokenize(_ ids: [Int32]) throws(EngineError) -> [UInt8] {
        let tokenizer = try requireTokenizer()
        for id in ids where !(0..<tokenizer.vocabularySize).contains(Int(id)) {
            throw .invalidRequest(
                parameter: "ids", message: "token \(id): the vocabulary has \(tokenizer.vocabularySize) tokens")
        }
        return tokenizer.decode(ids, renderSpecial: true)
    }

    /// Renders a conversation with the model's template, or with the one that the request brings.
    public func renderTemplate(_ chat: ChatInput) throws(EngineError) -> String {
        try renderTemplate(chat, messages: try Self.json(chat.messagesJSON, field: "messages"))
    }

    /// - Parameter messages: in the place of the conversation's own.
    func renderTemplate(_ chat: ChatInput, messages: JSONValue) throws(EngineError) -> String {
        let template = try template(for: chat)
        let context = TemplateContext(
            messages: messages,
            tools: try Self.optionalJSON(chat.toolsJSON, field: "tools"),
            addGenerationPrompt: chat.addGenerationPrompt, bosToken: tokenText(\.bos), eosToken: tokenText(\.eos),
            variables: try Self.variables(chat.variablesJSON),
            now: TemplateTime(unixSeconds: Int64(WallClock.now() / 1_000_000_000)))
        do {
            return try template.render(context)
        } catch {
            throw Self.requestError(error)
        }
    }

    private func template(for chat: ChatInput) throws(EngineError) -> ChatTemplate {
        if let source = chat.templateOverride {
            do {
                return try ChatTemplate(source: source)
            } catch {
                throw .invalidRequest(parameter: "chat_template", message: error.description)
            }
        }
        switch chatTemplate {
        case .usable(let template): return template
        case .unusable(let reason): throw .unsupported(feature: "this model's chat template: \(reason)")
        case .absent:
            throw .unsupported(feature: "chat: this model has no chat template; use a completion instead")
        }
    }

    /// A template fails on what the request holds, unless it uses what the interpreter lacks.
    private static func requestError(_ error: TemplateError) -> EngineError {
        switch error {
        case .unsupported: .unsupported(feature: "this model's chat template: \(error.description)")
        default: .invalidRequest(parameter: "messages", message: error.description)
        }
    }

    private func tokenText(_ token: (Tokenizer) -> Int32?) -> String {
        guard let tokenizer, let id = token(tokenizer) else { return "" }
        return tokenizer.text(of: id)
    }

    static func json(_ text: String, field: String) throws(EngineError) -> JSONValue {
        do {
            return try JSONValue.parse(text)
        } catch {
            throw .invalidRequest(parameter: field, message: "\(field): \(error.description)")
        }
    }

    static func optionalJSON(_ text: String?, field: String) throws(EngineError) -> JSONValue? {
        guard let text else { return nil }
        return try json(text, field: field)
    }

    private static func variables(_ text: String?) throws(EngineError) -> JSONObject? {
        guard let value = try optionalJSON(text, field: "chat_template_kwargs") else { return nil }
        guard case .object(let object) = value else {
            throw .invalidRequest(
                parameter: "chat_template_kwargs", message: "chat_template_kwargs must be an object")
        }
        return object
    }

    // MARK: For every preparation

    func encode(
        _ text: String, with tokenizer: Tokenizer, field: String, parseSpecial: Bool
    ) throws(EngineError) -> [Int32] {
        do {
            return try tokenizer.encode(text, addSpecial: false, parseSpecial: parseSpecial)
        } catch {
            throw .invalidRequest(parameter: field, message: "\(field): \(error.description)")
        }
    }

    func checkBytes(_ count: Int, field: String, limit: Int) throws(EngineError) {
        guard count <= limit else {
            throw .invalidRequest(parameter: field, message: "\(field) has \(count) bytes, the limit is \(limit)")
        }
    }
}
