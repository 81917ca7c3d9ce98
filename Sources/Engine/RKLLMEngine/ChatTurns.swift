import EngineProtocol
import JSON

/// A conversation as the runtime can take it.
///
/// The runtime takes the text of one turn and puts it into the converted model's template itself. Everything that this
/// template would need besides, it cannot be told for one request alone, and is refused by name.
struct ChatTurns {
    let turns: [ChatTurn]
    let thinks: Bool

    init(_ chat: ChatInput, family: RuntimeFamily, limits: RKLLMLimits) throws(EngineError) {
        guard family.appliesTemplate else {
            throw .unsupported(feature: "chat with runtime \(family.rawValue), which has no templates; send a text")
        }
        if chat.templateOverride != nil {
            throw .unsupported(feature: "chat_template: the Rockchip runtime keeps a template for all later requests")
        }
        if let tools = try Self.json(chat.toolsJSON, field: "tools", limits), tools.arrayValue?.isEmpty != true {
            throw .unsupported(feature: "tools: the Rockchip runtime keeps them for all later requests")
        }
        if !chat.addGenerationPrompt { throw .unsupported(feature: "add_generation_prompt false: a run is an answer") }
        thinks = try Self.thinks(Self.json(chat.variablesJSON, field: "chat_template_kwargs", limits), family: family)
        let messages = try Self.json(chat.messagesJSON, field: "messages", limits)?.arrayValue ?? []
        guard (1...limits.messages).contains(messages.count) else {
            throw .invalidRequest(
                parameter: "messages",
                message: "there are \(messages.count) messages, allowed are 1 to \(limits.messages)")
        }
        var turns: [ChatTurn] = []
        for (index, message) in messages.enumerated() { turns.append(try Self.turn(message, index: index)) }
        self.turns = turns
    }

    private static func thinks(_ variables: JSONValue?, family: RuntimeFamily) throws(EngineError) -> Bool {
        var thinks = false
        for member in variables?.objectValue?.members ?? [] {
            guard member.key == "enable_thinking", let value = member.value.boolValue else {
                throw .unsupported(feature: "chat_template_kwargs.\(member.key.prefix(64)) with the Rockchip runtime")
            }
            guard family.hasThinking || !value else {
                throw .unsupported(feature: "enable_thinking with runtime \(family.rawValue)")
            }
            thinks = value
        }
        return thinks
    }

    /// Turns of user and assistant alternate, and the last one is the user's.
    private static func turn(_ message: JSONValue, index: Int) throws(EngineError) -> ChatTurn {
        let field = "messages[\(index)]"
        let word = message["role"]?.stringValue ?? ""
        guard let role = ChatTurn.Role(rawValue: word) else {
            throw .unsupported(
                feature: "\(field).role '\(word.prefix(32))': the Rockchip runtime has the model's own template")
        }
        guard role == (index.isMultiple(of: 2) ? .user : .assistant) else {
            throw .invalidRequest(parameter: field, message: "\(field) is the \(word)'s, and turns have to alternate")
        }
        return ChatTurn(role: role, text: try text(message["content"], field: "\(field).content"))
    }

    /// A string, or parts of which each is a text.
    private static func text(_ content: JSONValue?, field: String) throws(EngineError) -> String {
        if let text = content?.stringValue { return text }
        guard let parts = content?.arrayValue else {
            throw .invalidRequest(parameter: field, message: "\(field) is neither a text nor a list of parts")
        }
        var text = ""
        for part in parts {
            guard part["type"]?.stringValue == "text", let piece = part["text"]?.stringValue else {
                throw .unsupported(feature: "\(field) with a part that is no text")
            }
            text += piece
        }
        return text
    }

    private static func json(_ text: String?, field: String, _ limits: RKLLMLimits) throws(EngineError) -> JSONValue? {
        guard let text else { return nil }
        do throws(JSONError) {
            return try JSONValue.parse(text, limits: JSONLimits(depth: 64, bytes: limits.promptBytes))
        } catch {
            throw .invalidRequest(parameter: field, message: "\(field): \(error)")
        }
    }
}
