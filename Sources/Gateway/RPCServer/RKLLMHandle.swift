import EngineProtocol
import JSON
import Platform

/// What `rkllm.init` opens: a served model, as one client has set it up.
///
/// Everything that the `set_…` methods change is here and goes with each run: no client changes another's answers.
final class RKLLMHandle {
    /// What `rkllm.set_chat_template` says: the prompt stands between two strings, after a third.
    struct PromptFrame {
        var system: String
        var prefix: String
        var postfix: String
    }

    struct FunctionTools {
        var system: String?
        /// A JSON array.
        var definitions: String
    }

    let id: String
    let model: String
    let settings: RKLLMSettings
    var frame: PromptFrame?
    var tools: FunctionTools?

    init(id: String, model: String, settings: RKLLMSettings) {
        self.id = id
        self.model = model
        self.settings = settings
    }
}

/// A run, as the engine is to do it.
struct RKLLMRunRequest {
    var generate: GenerateRequest
    /// What holds the prompt and the answer together; nil is the model's.
    let contextLength: UInt32?
    let userdata: [UInt8]?

    /// - Parameter model: nil while nothing is known of it.
    init(_ fields: ShapedObject, handle: RKLLMHandle, model: ModelDescription?) throws(RPCError) {
        let infer = try Self.part("infer_param", of: fields, RKLLMStructs.inferParam)
        try Self.refuseWhatIsMissing(infer)
        let inputs = try Self.inputs(fields, handle: handle)
        var engineInputs: [GenerateRequest.Input] = []
        for input in inputs { engineInputs.append(try Self.engineInput(input, handle: handle, model: model)) }
        let settings = handle.settings
        var sampling = settings.sampling
        if let own = infer.object("sampling_params") { sampling = sampling.changed(by: own) }
        sampling.seed = infer.integer("seed").map { UInt64(bitPattern: $0) } ?? SystemRandom.next()
        let ownMaximum = infer.integer("max_new_tokens").flatMap { $0 > 0 ? UInt32($0) : nil }
        generate = GenerateRequest(
            inputs: engineInputs, maximumTokens: ownMaximum ?? settings.maximumTokens, sampling: sampling,
            stopStrings: (infer.list("stop") ?? []).compactMap { if case .text(let text) = $0 { text } else { nil } },
            ignoreEndOfSequence: settings.ignoresEndOfSequence)
        if let empty = generate.stopStrings.first(where: \.isEmpty) {
            throw .invalid(infer.path("stop"), "a string of 'stop' has \(empty.utf8.count) bytes; the least is 1")
        }
        if let kind = Self.tensorKind(infer.integer("mode") ?? 0) {
            // The prompt alone is computed, unless the run itself asks for more.
            generate.maximumTokens = ownMaximum ?? 0
            generate.tensors = TensorRequest(kind: kind, credit: Self.tensorCredit)
        }
        if let milliseconds = infer.integer("timeout_ms") {
            generate.deadline = MonotonicClock.now() + UInt64(milliseconds) * 1_000_000
        }
        contextLength = settings.contextLength
        userdata = try Self.userdata(fields)
    }

    /// Bytes of rows that may come before the outbox has been emptied.
    private static let tensorCredit: UInt64 = 256 << 10

    private static func tensorKind(_ mode: Int64) -> TensorRequest.Kind? {
        switch mode {
        case 1: .hiddenStates
        case 2: .logits
        default: nil
        }
    }

    private static func userdata(_ fields: ShapedObject) throws(RPCError) -> [UInt8]? {
        guard let value = fields.json("userdata") else { return nil }
        let bytes = value.serialized
        guard bytes.count <= RPCLimits.userdataBytes else {
            throw .invalid("userdata", "'userdata' has \(bytes.count) bytes; the limit is \(RPCLimits.userdataBytes)")
                .with("limit", RPCLimits.userdataBytes).with("value", bytes.count)
        }
        return bytes
    }

    /// The member that holds a struct, or else the struct's own members among the parameters, as older clients send them.
    private static func part(
        _ name: String, of fields: ShapedObject, _ shape: StructShape
    ) throws(RPCError) -> ShapedObject {
        guard let part = fields.object(name) else { return fields }
        try refuseMixture(of: name, fields, shape)
        return part
    }

    private static func refuseMixture(
        of name: String, _ fields: ShapedObject, _ shape: StructShape
    ) throws(RPCError) {
        guard let other = shape.fields.first(where: { fields.has($0.name) }) else { return }
        throw .invalid(other.name, "'\(other.name)' is a member of '\(name)', which is given too")
    }

    private static func inputs(_ fields: ShapedObject, handle: RKLLMHandle) throws(RPCError) -> [ShapedObject] {
        var inputs = [fields]
        if let list = fields.list("input") {
            try refuseMixture(of: "input", fields, RKLLMStructs.input)
            inputs = list.compactMap { if case .object(let input) = $0 { input } else { nil } }
        }
        let wanted = handle.settings.batchCount
        guard inputs.count == wanted else {
            throw .invalid("input", "the handle's 'n_batch' is \(wanted), but there are \(inputs.count) inputs")
                .with("limit", wanted).with("value", inputs.count)
        }
        return inputs
    }

    private static func refuseWhatIsMissing(_ infer: ShapedObject) throws(RPCError) {
        if infer.flag("keep_history") == true {
            throw .unsupported("sessions (keep_history)", field: infer.path("keep_history"))
        }
        if let lora = infer.object("lora_params"), lora.text("lora_adapter_name")?.isEmpty == false {
            throw .unsupported("LoRA adapters", field: infer.path("lora_params"))
        }
        if let cache = infer.object("prompt_cache_params"),
            cache.flag("save_prompt_cache") == true || cache.text("prompt_cache_path")?.isEmpty == false
        {
            throw .unsupported("prompt cache files", field: infer.path("prompt_cache_params"))
        }
    }
}

// MARK: - Inputs

extension RKLLMRunRequest {
    private static func engineInput(
        _ input: ShapedObject, handle: RKLLMHandle, model: ModelDescription?
    ) throws(RPCError) -> GenerateRequest.Input {
        let kinds = ["prompt_input", "token_input", "embed_input", "multimodal_input"]
        let given = kinds.indices.filter { input.has(kinds[$0]) }
        guard given.count == 1, let kind = given.first else {
            let found = given.isEmpty ? "none" : given.map { kinds[$0] }.joined(separator: " and ")
            throw .invalid(
                input.path("prompt_input"), "an input has one of \(kinds.joined(separator: ", ")), not \(found)")
        }
        if let type = input.integer("input_type"), type != Int64(kind) {
            throw .invalid(
                input.path("input_type"),
                "'input_type' is \(type), but '\(kinds[kind])' is there, whose type is \(kind)")
        }
        switch kind {
        case 0: return prompt(input.text("prompt_input") ?? "", input, handle: handle, model: model)
        case 1: return try tokens(input)
        case 2: return try embeddings(input, model: model)
        default: throw .unsupported("images (multimodal_input)", field: input.path("multimodal_input"))
        }
    }

    /// The handle's frame, else the model's template, else the text alone.
    private static func prompt(
        _ text: String, _ input: ShapedObject, handle: RKLLMHandle, model: ModelDescription?
    ) -> GenerateRequest.Input {
        if let frame = handle.frame { return .text(frame.system + frame.prefix + text + frame.postfix) }
        guard model?.hasChatTemplate ?? true else { return .text(text) }
        var writer = JSONWriter()
        writer.beginArray()
        if let system = handle.tools?.system, !system.isEmpty { writer.message(role: "system", system) }
        writer.message(role: input.integer("role") == 1 ? "tool" : "user", text)
        writer.endArray()
        let thinks = input.flag("enable_thinking") ?? false
        return .chat(
            ChatInput(
                messagesJSON: String(decoding: writer.bytes, as: UTF8.self), toolsJSON: handle.tools?.definitions,
                variablesJSON: #"{"enable_thinking":\#(thinks)}"#))
    }

    private static func tokens(_ input: ShapedObject) throws(RPCError) -> GenerateRequest.Input {
        let tokens = input.object("token_input") ?? ShapedObject()
        let ids = (tokens.list("input_ids") ?? []).compactMap { value -> Int32? in
            if case .integer(let id) = value { Int32(id) } else { nil }
        }
        guard !ids.isEmpty else {
            throw .invalid(tokens.path("input_ids"), "'\(tokens.path("input_ids"))' holds at least one token id")
        }
        if let count = tokens.integer("n_tokens"), count != Int64(ids.count) {
            throw .invalid(
                tokens.path("n_tokens"),
                "'\(tokens.path("n_tokens"))' is \(count), but there are \(ids.count) token ids"
            ).with("value", count)
        }
        return .ids(ids)
    }

    private static func embeddings(
        _ input: ShapedObject, model: ModelDescription?
    ) throws(RPCError) -> GenerateRequest.Input {
        let embed = input.object("embed_input") ?? ShapedObject()
        let place = embed.path("embed")
        let rows = try Tensor(
            embed.json("embed") ?? .null, rows: embed.integer("n_tokens").map { Int($0) }, place: place)
        if let width = model?.embeddingWidth, width > 0, rows.columns != width {
            throw .invalid(
                place, "'\(place)' has rows of \(rows.columns) numbers; this model's width is \(width)"
            ).with("limit", width).with("value", rows.columns)
        }
        return .embeddings(rows)
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
