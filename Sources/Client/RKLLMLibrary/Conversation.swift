import EngineProtocol
import JSON

/// How the prompts of a handle become the engine's inputs.
struct Conversation: Sendable {
    /// What `rkllm_set_chat_template` says.
    struct Frame: Sendable {
        var system: String
        var prefix: String
        var postfix: String
    }

    struct Tools: Sendable {
        var system: String
        /// A JSON array.
        var definitions: String
    }

    var frame: Frame?
    var tools: Tools?

    /// - Parameter goesOn: whether the input follows what is in the cache already.
    func engineInput(_ input: RunInput, model: ModelDescription, goesOn: Bool) -> GenerateRequest.Input {
        switch input.content {
        case .tokens(let ids): return .ids(ids)
        case .embeddings(let values, let rows):
            return .embeddings(Tensor(rows: UInt32(rows), columns: model.embeddingWidth, values: values))
        case .prompt(let text):
            if let frame { return .text((goesOn ? "" : frame.system) + frame.prefix + text + frame.postfix) }
            guard model.hasChatTemplate else { return .text(text) }
            return .chat(chat(text, input, goesOn: goesOn))
        }
    }

    private func chat(_ text: String, _ input: RunInput, goesOn: Bool) -> ChatInput {
        var writer = JSONWriter()
        writer.beginArray()
        if let system = tools?.system, !system.isEmpty, !goesOn { writer.message(role: "system", system) }
        writer.message(role: input.role.rawValue, text)
        writer.endArray()
        return ChatInput(
            messagesJSON: String(decoding: writer.bytes, as: UTF8.self), toolsJSON: tools?.definitions,
            variablesJSON: #"{"enable_thinking":\#(input.thinks)}"#)
    }

    /// Puts prompts between strings; without any, the model's template holds again.
    mutating func setFrame(system: String?, prefix: String?, postfix: String?) throws(Refusal) {
        guard system != nil || prefix != nil || postfix != nil else {
            frame = nil
            return
        }
        guard tools == nil else {
            throw Refusal("the handle has function tools, which need the model's own template")
        }
        frame = Frame(system: system ?? "", prefix: prefix ?? "", postfix: postfix ?? "")
    }

    /// - Parameter definitions: the JSON of an array; none or an empty text ends the tools.
    mutating func setTools(system: String?, definitions: String?) throws(Refusal) {
        guard let definitions, !definitions.isEmpty else {
            tools = nil
            return
        }
        guard frame == nil else {
            throw Refusal("rkllm_set_chat_template has replaced the model's template, which tells tools")
        }
        try Self.checkArray(definitions)
        tools = Tools(system: system ?? "", definitions: definitions)
    }

    private static func checkArray(_ definitions: String) throws(Refusal) {
        let limits = JSONLimits(depth: 32, bytes: RKLLMLibraryLimits.toolsBytes)
        let value: JSONValue
        do throws(JSONError) {
            value = try JSONValue.parse(definitions, limits: limits)
        } catch {
            throw Refusal("tools: \(error.description)")
        }
        if value.arrayValue == nil { throw Refusal("tools is no JSON array") }
    }
}

extension JSONWriter {
    fileprivate mutating func message(role: String, _ content: String) {
        beginObject()
        key("role")
        string(role)
        key("content")
        string(content)
        endObject()
    }
}
