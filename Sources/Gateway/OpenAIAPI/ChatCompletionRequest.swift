import EngineProtocol
public import JSON

extension GenerationRequest {
    /// The body of `POST /v1/chat/completions`.
    public static func chat(_ body: JSONValue) throws(APIError) -> GenerationRequest {
        var fields = try RequestFields(body)
        let common = try CommonFields(&fields)
        let messages = try ChatMessages(&fields)
        let variables = try templateVariables(&fields)
        let maximum = try maximumTokens(&fields)
        let logProbabilities = try LogProbabilityFields.chat(&fields)
        try refuseWhatIsMissing(&fields)
        try fields.finish()
        let input = ChatInput(messagesJSON: messages.json, variablesJSON: variables)
        return GenerationRequest(
            shape: .chat, model: common.model,
            generate: try common.request(
                inputs: [.chat(input)], maximumTokens: maximum, logProbabilities: logProbabilities),
            streams: common.streams, includesUsage: common.includesUsage, resumes: common.resumes)
    }

    /// `max_completion_tokens`, or its older name.
    private static func maximumTokens(_ fields: inout RequestFields) throws(APIError) -> UInt32? {
        let range = 1...Int64(Int32.max)
        let older = try fields.integer("max_tokens", in: range)
        let newer = try fields.integer("max_completion_tokens", in: range)
        if let older, let newer, older != newer {
            throw .invalid("max_tokens", "'max_tokens' (\(older)) and 'max_completion_tokens' (\(newer)) disagree")
        }
        return (newer ?? older).map { UInt32($0) }
    }

    /// Variables for the model's chat template, such as `{"enable_thinking": false}`.
    private static func templateVariables(_ fields: inout RequestFields) throws(APIError) -> String? {
        guard let value = fields.value("chat_template_kwargs") else { return nil }
        guard value.objectValue != nil else { throw .wrongType("chat_template_kwargs", "an object", value) }
        return String(decoding: value.serialized, as: UTF8.self)
    }

    private static func refuseWhatIsMissing(_ fields: inout RequestFields) throws(APIError) {
        try fields.accept("response_format", only: { $0["type"]?.stringValue == "text" })
        try fields.accept("tools", only: { $0.arrayValue?.isEmpty == true })
        try fields.accept("tool_choice", only: { ["none", "auto"].contains($0.stringValue) })
        try fields.accept("parallel_tool_calls", only: { $0.boolValue != nil })
        try fields.accept("functions", only: { $0.arrayValue?.isEmpty == true })
        try fields.accept("function_call", only: { ["none", "auto"].contains($0.stringValue) })
        try fields.accept("modalities", only: { $0.arrayValue?.map(\.stringValue) == ["text"] })
        for name in ["audio", "prediction", "reasoning_effort", "verbosity", "web_search_options"] {
            try fields.accept(name, only: { _ in false })
        }
    }
}

/// The `messages` of a chat, checked, with text parts joined, and written as JSON for the template.
struct ChatMessages {
    let json: String

    private static let roles: Set<String> = ["system", "developer", "user", "assistant", "tool", "function"]

    init(_ fields: inout RequestFields) throws(APIError) {
        guard let value = fields.value("messages") else {
            throw .invalid("messages", "'messages' is required", code: "missing_required_parameter")
        }
        guard let messages = value.arrayValue else { throw .wrongType("messages", "an array", value) }
        guard (1...OpenAILimits.messages).contains(messages.count) else {
            throw .invalid("messages", "'messages' holds 1 to \(OpenAILimits.messages) messages, not \(messages.count)")
        }
        var writer = JSONWriter()
        writer.beginArray()
        for (index, message) in messages.enumerated() {
            writer.value(.object(try Self.checked(message, place: "messages[\(index)]")))
        }
        writer.endArray()
        json = String(decoding: writer.bytes, as: UTF8.self)
    }

    private static func checked(_ message: JSONValue, place: String) throws(APIError) -> JSONObject {
        guard var object = message.objectValue else { throw .wrongType(place, "an object", message) }
        guard let role = object["role"]?.stringValue, roles.contains(role) else {
            let known = roles.sorted().joined(separator: ", ")
            throw .invalid("\(place).role", "'\(place).role' is one of \(known)")
        }
        // Templates know the older name of the same role.
        if role == "developer" { object.set("role", .string("system")) }
        let callsTool = role == "assistant" && !(object["tool_calls"]?.isNull ?? true)
        object.set("content", try content(object["content"], place: "\(place).content", mayBeAbsent: callsTool))
        return object
    }

    private static func content(_ value: JSONValue?, place: String, mayBeAbsent: Bool) throws(APIError) -> JSONValue {
        guard let value, !value.isNull else {
            if mayBeAbsent { return .null }
            throw .invalid(place, "'\(place)' is required", code: "missing_required_parameter")
        }
        if value.stringValue != nil { return value }
        guard let parts = value.arrayValue else { throw .wrongType(place, "a string or an array of parts", value) }
        var text = ""
        for (index, part) in parts.enumerated() {
            switch part["type"]?.stringValue {
            case "text":
                guard let piece = part["text"]?.stringValue else {
                    throw .invalid("\(place)[\(index)].text", "a text part has a string 'text'", code: "invalid_type")
                }
                text += piece
            case let type?:
                throw .unsupported("\(place)[\(index)]", "parts of type '\(type.prefix(32))' are not supported")
            case nil:
                throw .invalid("\(place)[\(index)].type", "a part has a string 'type'", code: "invalid_type")
            }
        }
        return .string(text)
    }
}
