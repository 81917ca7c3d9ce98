import EngineProtocol

/// What `RKLLMParam` says, whatever its layout is.
public struct ModelParameters: Sendable {
    public var modelPath = ""
    /// 0 is the model's.
    public var contextLength: Int32 = 0
    /// 0 and -1 are the rest of the context.
    public var maximumTokens: Int32 = -1
    public var sampling = SamplingChoice()
    public var skipsSpecialTokens = true
    public var ignoresEndOfSequence = false
    /// 0 is what the machine grants.
    public var threads: Int8 = 0
    /// Inputs of each run; 0 is 1.
    public var batch: UInt8 = 1
    public var usesCrossAttention = false
    /// Fields that are set and mean nothing without an NPU.
    public var withoutEffect: [String] = []

    public init() {}

    /// How many inputs a run has.
    var inputs: Int { max(1, Int(batch)) }

    func check() throws(Refusal) {
        if modelPath.isEmpty { throw Refusal("model_path is empty") }
        try Self.check("max_context_len", contextLength, 0...(1 << 24))
        try Self.check("max_new_tokens", maximumTokens, -1...Int32.max)
        try sampling.check()
        try Self.check("enabled_cpus_num", threads, 0...Int8.max)
        try Self.check("n_batch", Int(batch), 0...RKLLMLibraryLimits.batch)
        if !skipsSpecialTokens { throw .unsupported("special tokens in the text (skip_special_token is false)") }
        if usesCrossAttention { throw .unsupported("cross attention (use_cross_attn)") }
    }

    static func check<Number: Comparable>(
        _ field: String, _ value: Number, _ range: ClosedRange<Number>
    ) throws(Refusal) {
        guard range.contains(value) else {
            throw Refusal("\(field) is \(value); allowed is \(range.lowerBound) to \(range.upperBound)")
        }
    }
}

/// What `RKLLMParam` and `RKLLMSamplingParam` say about the choice of tokens; the values are the defaults.
public struct SamplingChoice: Sendable {
    public var topK: Int32 = 40
    public var topP: Float = 0.9
    public var temperature: Float = 0.8
    public var repeatPenalty: Float = 1.1
    public var frequencyPenalty: Float = 0
    public var presencePenalty: Float = 0
    public var mirostat: Int32 = 0
    public var mirostatTau: Float = 5
    public var mirostatEta: Float = 0.1

    public init() {}

    func check() throws(Refusal) {
        try ModelParameters.check("top_k", topK, -1...Int32.max)
        try ModelParameters.check("top_p", topP, 0...1)
        try ModelParameters.check("temperature", temperature, 0...2)
        try ModelParameters.check("repeat_penalty", repeatPenalty, 0.01...10)
        try ModelParameters.check("frequency_penalty", frequencyPenalty, -2...2)
        try ModelParameters.check("presence_penalty", presencePenalty, -2...2)
        try ModelParameters.check("mirostat", mirostat, 0...2)
        try ModelParameters.check("mirostat_tau", mirostatTau, 0...100)
        try ModelParameters.check("mirostat_eta", mirostatEta, 0...1)
    }

    /// In the engine's words.
    ///
    /// - Parameter seed: the interface has none, so every run draws its own.
    func engine(seed: UInt64) -> SamplingParameters {
        var sampling = SamplingParameters(
            temperature: temperature, topP: topP, topK: UInt32(max(topK, 0)), repetitionPenalty: repeatPenalty,
            presencePenalty: presencePenalty, frequencyPenalty: frequencyPenalty, seed: seed)
        sampling.mirostat.version = mirostat == 0 ? .off : mirostat == 1 ? .one : .two
        sampling.mirostat.target = mirostatTau
        sampling.mirostat.rate = mirostatEta
        return sampling
    }
}
