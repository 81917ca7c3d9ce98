public import EngineProtocol
public import JSON

/// A function of the client that a model may call.
public struct Tool: Sendable {
    public var name: String
    public var purpose: String
    /// A JSON schema of its arguments.
    public var parameters: JSONValue

    public init(name: String, purpose: String, parameters: JSONValue) {
        self.name = name
        self.purpose = purpose
        self.parameters = parameters
    }
}

/// What a model asks of a tool.
public struct ToolCall: Sendable, Equatable {
    public var name: String
    public var arguments: JSONValue

    /// - Parameter text: the JSON object that the model wrote; nil if it is not a call.
    init?(text: String) {
        guard let value = try? JSONValue.parse(Array(text.utf8)), let name = value["name"]?.stringValue else {
            return nil
        }
        self.name = name
        arguments = value["arguments"] ?? .object(JSONObject())
    }
}

/// A conversation in which the model may call the client's tools.
///
/// The messages are the session: each turn sends them all, and the server finds what it has computed of them in its
/// prefix cache. One task uses it at a time.
public struct Dialogue {
    /// How often the model may call tools before it has to answer.
    public var maximumRounds = 8
    public var request = GenerateRequest(inputs: [])
    public private(set) var messages: [JSONValue] = []
    private let client: ApusClient
    private let model: String
    private let tools: [Tool]

    public init(client: ApusClient, model: String = "", tools: [Tool] = [], system: String? = nil) {
        self.client = client
        self.model = model
        self.tools = tools
        if let system { messages.append(Self.message("system", system)) }
    }

    /// What one round brought: text, and the tools that are to be used before the model goes on.
    public struct Turn: Sendable, Equatable {
        public var text = ""
        public var calls: [ToolCall] = []
    }

    /// The model's answer to a user, after all tools that it wanted.
    ///
    /// - Parameter use: does what a tool does; its result goes back to the model.
    public mutating func answer(
        _ text: String, use: (ToolCall) async -> String = { _ in "there is no such tool" }
    ) async throws(ClientError) -> String {
        messages.append(Self.message("user", text))
        for _ in 0..<maximumRounds {
            let turn = try await next()
            guard !turn.calls.isEmpty else { return turn.text }
            for call in turn.calls { add(result: await use(call), of: call) }
        }
        throw .engine(
            .invalidRequest(
                parameter: "tools", message: "the model called tools in \(maximumRounds) rounds without an answer"))
    }

    /// The model's next turn, which is added to the messages.
    public mutating func next() async throws(ClientError) -> Turn {
        var request = request
        request.inputs = [.chat(chat)]
        var turn = Turn()
        for try await event in client.generate(request, model: model) {
            guard case .tokens(let chunk) = event, chunk.choice == 0 else { continue }
            if chunk.kind == .toolCall, let call = ToolCall(text: chunk.text) {
                turn.calls.append(call)
            } else {
                turn.text += chunk.text
            }
        }
        messages.append(Self.message(of: turn))
        return turn
    }

    /// What a tool has found out, for the model's next turn.
    public mutating func add(result: String, of call: ToolCall) {
        var message = JSONObject()
        message.set("role", .string("tool"))
        message.set("name", .string(call.name))
        message.set("content", .string(result))
        messages.append(.object(message))
    }
}

// MARK: - As templates see it

extension Dialogue {
    private var chat: ChatInput {
        ChatInput(
            messagesJSON: JSONValue.array(messages).serializedText,
            toolsJSON: tools.isEmpty ? nil : JSONValue.array(tools.map(Self.definition)).serializedText)
    }

    private static func definition(of tool: Tool) -> JSONValue {
        var function = JSONObject()
        function.set("name", .string(tool.name))
        function.set("description", .string(tool.purpose))
        function.set("parameters", tool.parameters)
        return typed(function)
    }

    private static func message(of turn: Turn) -> JSONValue {
        guard !turn.calls.isEmpty else { return message("assistant", turn.text) }
        let calls = turn.calls.map { call in
            var function = JSONObject()
            function.set("name", .string(call.name))
            function.set("arguments", call.arguments)
            return typed(function)
        }
        var message = JSONObject()
        message.set("role", .string("assistant"))
        message.set("content", .string(turn.text))
        message.set("tool_calls", .array(calls))
        return .object(message)
    }

    private static func typed(_ function: JSONObject) -> JSONValue {
        var object = JSONObject()
        object.set("type", .string("function"))
        object.set("function", .object(function))
        return .object(object)
    }

    private static func message(_ role: String, _ text: String) -> JSONValue {
        var object = JSONObject()
        object.set("role", .string(role))
        object.set("content", .string(text))
        return .object(object)
    }
}
