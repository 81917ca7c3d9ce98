public import JSON

/// A model's chat template: turns a conversation into the text that the model continues.
///
/// The language is Jinja as Hugging Face's transformers sets it up for chat templates: `trim_blocks` and
/// `lstrip_blocks` on, nothing escaped, no changing methods, loop controls, `generation` blocks, `raise_exception`,
/// `strftime_now`, and a `tojson` that writes what Python's `json.dumps` writes. Not there: template inheritance,
/// includes, recursive loops.
public struct ChatTemplate: Sendable {
    private let body: [Statement]

    /// Reads a template.
    ///
    /// Throws `syntax`, `unsupported` or `limitExceeded`.
    public init(source: String, limits: TemplateLimits = TemplateLimits()) throws(TemplateError) {
        body = try Parser.parse(source, limits: limits)
    }

    /// Renders a conversation.
    ///
    /// Throws `raised` when the template refuses it, and any other error when the template
    /// itself fails; work and memory are bounded by `limits`.
    public func render(
        _ context: TemplateContext, limits: TemplateLimits = TemplateLimits()
    ) throws(TemplateError) -> String {
        let interpreter = Interpreter(limits: limits, now: context.now)
        try context.define(in: interpreter)
        return try interpreter.render(body)
    }
}

/// What a template can see.
public struct TemplateContext: Sendable {
    /// An array of messages.
    public var messages: JSONValue
    /// An array of tool definitions; templates see None without one.
    public var tools: JSONValue?
    /// Whether the text ends with the opening of the assistant's answer.
    public var addGenerationPrompt: Bool
    public var bosToken: String
    public var eosToken: String
    /// Further variables, such as `enable_thinking`.
    ///
    /// They come before `bos_token`, `eos_token` and `documents`, and after messages, tools and
    /// `add_generation_prompt`.
    public var variables: JSONObject?
    /// What `strftime_now` writes.
    public var now: TemplateTime

    public init(
        messages: JSONValue, tools: JSONValue? = nil, addGenerationPrompt: Bool = true, bosToken: String = "",
        eosToken: String = "", variables: JSONObject? = nil, now: TemplateTime
    ) {
        self.messages = messages
        self.tools = tools
        self.addGenerationPrompt = addGenerationPrompt
        self.bosToken = bosToken
        self.eosToken = eosToken
        self.variables = variables
        self.now = now
    }

    func define(in interpreter: Interpreter) throws(TemplateError) {
        interpreter.define("bos_token", .string(bosToken))
        interpreter.define("eos_token", .string(eosToken))
        interpreter.define("documents", .none)
        for member in variables?.members ?? [] {
            interpreter.define(member.key, try interpreter.budget.value(member.value))
        }
        interpreter.define("messages", try interpreter.budget.value(messages))
        interpreter.define(
            "tools", try tools.map { (json) throws(TemplateError) in try interpreter.budget.value(json) } ?? .none)
        interpreter.define("add_generation_prompt", .boolean(addGenerationPrompt))
    }
}
