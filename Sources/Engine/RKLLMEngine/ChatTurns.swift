import EngineProtocol
import JSON

/// A conversation as the runtime can take it.
///
/// The runtime takes the text of one turn and puts it into the converted model's template itself. What this template would
/// need besides and cannot be told is refused by name.
struct ChatTurns {
    let turns: [ChatTurn]
    let thinks: Bool
    let template: PromptTemplate

    init(_ chat: ChatInput, family: RuntimeFamily, limits: RKLLMLimits) throws(EngineError) {
        guard family.appliesTemplate else {
            throw .unsupported(feature: "chat with runtime \(family.rawValue), which has no templates; send a text")
        }
        if chat.templateOverride != nil {
            throw .unsupported(feature: "chat_template with the Rockchip runtime; send the text that it would make")
        }
        if !chat.addGenerationPrompt { throw .unsupported(feature: "add_generation_prompt false: a run is an answer") }
        thinks = try Self.thinks(Self.json(chat.variablesJSON, field: "chat_template_kwargs", limits), family: family)
        let messages = try Self.json(chat.messagesJSON, field: "messages", limits)?.arrayValue ?? []
        guard (1...limits.messages).contains(messages.count) else {
            throw .invalidRequest(
                parameter: "messages",
                message: "there are \(messages.count) messages, allowed are 1 to \(limits.messages)")
        }
        let hasSystem = messages[0]["role"]?.stringValue == "system"
        template = try Self.template(chat, system: hasSystem ? messages[0] : nil, family: family, limits: limits)
        turns = try Self.turns(messages, after: hasSystem ? 1 : 0, family: family)
    }

    /// Tools stand in the model's own template, and a system message can be told together with them only.
    private static func template(
        _ chat: ChatInput, system: JSONValue?, family: RuntimeFamily, limits: RKLLMLimits
    ) throws(EngineError) -> PromptTemplate {
        guard let tools = try json(chat.toolsJSON, field: "tools", limits), tools.arrayValue?.isEmpty != true else {
            guard system == nil else {
                throw .unsupported(
                    feature:
                        "messages[0].role 'system' without tools: the Rockchip runtime has the model's own template")
            }
            return .ofModel
        }
        try family.require(\.hasTools, "tools")
        let words = try system.map { message throws(EngineError) in
            try text(message["content"], field: "messages[0].content")
        }
        let definitions = String(decoding: tools.serialized, as: UTF8.self)
        guard !(words ?? "").utf8.contains(0) else {
            throw .invalidRequest(parameter: "messages", message: "messages[0].content has a zero byte")
        }
        return .tools(system: words ?? "", definitions: definitions)
    }

    private static func thinks(_ variables: JSONValue?, family: RuntimeFamily) throws(EngineError) -> Bool {
        var thinks = false
        for member in variables?.objectValue?.members ?? [] {
            guard member.key == "enable_thinking", let value = member.value.boolValue else {
                throw .unsupported(feature: "chat_template_kwargs.\(member.key.prefix(64)) with the Rockchip runtime")
            }
            if value { try family.require(\.hasTools, "enable_thinking") }
            thinks = value
        }
        return thinks
    }

    /// The user's turns, or tools' in their place, alternate with the assistant's, and the last one is not the assistant's.
    private static func turns(
        _ messages: [JSONValue], after first: Int, family: RuntimeFamily
    ) throws(EngineError) -> [ChatTurn] {
        var turns: [ChatTurn] = []
        var results: [JSONValue] = []
        for index in first..<messages.count {
            let field = "messages[\(index)]"
            let word = messages[index]["role"]?.stringValue ?? ""
            guard let role = ChatTurn.Role(rawValue: word) else {
                throw .unsupported(
                    feature: "\(field).role '\(word.prefix(32))': the Rockchip runtime has the model's own template")
            }
            let content = try text(messages[index]["content"], field: "\(field).content")
            if role == .tool {
                try family.require(\.hasTools, "\(field).role 'tool'")
                results.append((try? JSONValue.parse(content)) ?? .string(content))
                let isNext = index + 1 < messages.count && messages[index + 1]["role"]?.stringValue == "tool"
                if isNext { continue }
            }
            let isAssistants = role == .assistant
            guard isAssistants == !turns.count.isMultiple(of: 2) else {
                throw .invalidRequest(
                    parameter: field, message: "\(field) is the \(word)'s, and turns have to alternate")
            }
            turns.append(ChatTurn(role: role, text: role == .tool ? array(of: results) : content))
            results = []
        }
        guard let last = turns.last, last.role != .assistant else {
            throw .invalidRequest(parameter: "messages", message: "the last message has to be the user's or a tool's")
        }
        return turns
    }

    /// Results of tools in the order of their calls; one that is an array already has them all.
    private static func array(of results: [JSONValue]) -> String {
        let all = results.count == 1 && results[0].arrayValue != nil ? results[0] : JSONValue.array(results)
        return String(decoding: all.serialized, as: UTF8.self)
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
