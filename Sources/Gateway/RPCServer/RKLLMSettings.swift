import EngineProtocol
import JSON

/// The parameters of a handle, in the engine's words.
///
/// They travel with each run, so that no client changes another's answers.
struct RKLLMSettings: Sendable {
    /// As the client gave them.
    let given: ShapedObject?
    /// Positions of prompt and answer together; nil is the model's.
    let contextLength: UInt32?
    /// Nil is the rest of the context.
    let maximumTokens: UInt32?
    let sampling: SamplingParameters
    let ignoresEndOfSequence: Bool
    /// Inputs of each run.
    let batchCount: Int

    /// What holds without `rkllm.init`.
    static let standard = RKLLMSettings(defaults: ())

    private init(defaults: ()) {
        given = nil
        contextLength = nil
        maximumTokens = nil
        sampling = Self.standardSampling
        ignoresEndOfSequence = false
        batchCount = 1
    }

    init(_ param: ShapedObject) throws(RPCError) {
        try Self.refuseWhatIsMissing(param)
        given = param
        contextLength = param.integer("max_context_len").flatMap { $0 > 0 ? UInt32($0) : nil }
        maximumTokens = param.integer("max_new_tokens").flatMap { $0 > 0 ? UInt32($0) : nil }
        sampling = Self.standardSampling.changed(by: param)
        ignoresEndOfSequence = param.flag("ignore_eos_token") ?? false
        batchCount = Int(param.object("extend_param")?.integer("n_batch") ?? 1)
    }

    private static let standardSampling: SamplingParameters = {
        var sampling = SamplingParameters(temperature: 0.8, topP: 0.9, topK: 40, repetitionPenalty: 1.1)
        sampling.mirostat.target = 5
        sampling.mirostat.rate = 0.1
        return sampling
    }()

    private static func refuseWhatIsMissing(_ param: ShapedObject) throws(RPCError) {
        if param.flag("skip_special_token") == false {
            throw .unsupported("special tokens in the text", field: param.path("skip_special_token"))
        }
    }

    /// What stands around or in the place of images; empty: the model's own.
    func imageTag(_ name: String) -> String { given?.text(name) ?? "" }

    /// Whether the model's layers attend to what `rkllm.set_cross_attn_params` says.
    var usesCrossAttention: Bool { given?.object("extend_param")?.flag("use_cross_attn") ?? false }

    /// Every parameter as it holds, for the answer to `rkllm.init`.
    func effective(model: String, contextLength: UInt32?, threads: UInt32?) -> JSONObject {
        var object = RKLLMStructs.param.effective(given)
        object.set("model_path", .string(model))
        if let context = self.contextLength ?? contextLength {
            object.set("max_context_len", .number(JSONNumber(context)))
        }
        guard case .object(var extend)? = object["extend_param"] else { return object }
        extend.set("base_domain_id", .number(JSONNumber(0)))
        extend.set("embed_flash", .bool(false))
        extend.set("enabled_cpus_mask", .number(JSONNumber(0)))
        extend.set("enabled_cpus_num", threads.map { .number(JSONNumber($0)) } ?? .null)
        object.set("extend_param", .object(extend))
        return object
    }

    /// Fields that were given and have no meaning on this engine: they change no answer.
    var notApplied: [String] {
        guard let extend = given?.object("extend_param") else { return [] }
        return ["base_domain_id", "embed_flash", "enabled_cpus_num", "enabled_cpus_mask"].filter(extend.has)
            .map(extend.path)
    }
}

extension SamplingParameters {
    /// With the members that an `RKLLMParam` or `RKLLMSamplingParam` has.
    func changed(by param: ShapedObject) -> SamplingParameters {
        var sampling = self
        if let value = param.integer("top_k") { sampling.topK = UInt32(max(value, 0)) }
        if let value = param.number("top_p") { sampling.topP = value }
        if let value = param.number("temperature") { sampling.temperature = value }
        if let value = param.number("repeat_penalty") { sampling.repetitionPenalty = value }
        if let value = param.number("frequency_penalty") { sampling.frequencyPenalty = value }
        if let value = param.number("presence_penalty") { sampling.presencePenalty = value }
        if let value = param.integer("mirostat") {
            sampling.mirostat.version = value == 0 ? .off : value == 1 ? .one : .two
        }
        if let value = param.number("mirostat_tau") { sampling.mirostat.target = value }
        if let value = param.number("mirostat_eta") { sampling.mirostat.rate = value }
        return sampling
    }
}
