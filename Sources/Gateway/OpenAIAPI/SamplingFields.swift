import EngineProtocol
import JSON
import Platform

/// The fields that say how tokens are chosen, by the names that OpenAI's, llama.cpp's and vLLM's clients use.
enum SamplingFields {
    static func read(_ fields: inout RequestFields) throws(APIError) -> SamplingParameters {
        var sampling = SamplingParameters(
            temperature: try fields.number("temperature", in: 0...2) ?? 1,
            topP: try fields.number("top_p", in: 0...1) ?? 1,
            // -1 is how some clients spell "off".
            topK: UInt32(max(try fields.integer("top_k", in: -1...Int64(Int32.max)) ?? 0, 0)),
            minP: try fields.number("min_p", in: 0...1) ?? 0,
            repetitionPenalty: try fields.number("repetition_penalty", in: 0.01...10) ?? 1,
            presencePenalty: try fields.number("presence_penalty", in: -2...2) ?? 0,
            frequencyPenalty: try fields.number("frequency_penalty", in: -2...2) ?? 0,
            logitBias: try logitBias(&fields),
            seed: try fields.integer("seed", in: Int64.min...Int64.max).map(UInt64.init(bitPattern:))
                ?? SystemRandom.next())
        sampling.typicalP = try fields.number("typical_p", in: 0...1) ?? 1
        sampling.topNSigma = max(try fields.number("top_n_sigma", in: -1...100) ?? 0, 0)
        sampling.xtcProbability = try fields.number("xtc_probability", in: 0...1) ?? 0
        sampling.xtcThreshold = try fields.number("xtc_threshold", in: 0...1) ?? 0.1
        sampling.dynamicTemperatureRange = try fields.number("dynatemp_range", in: 0...2) ?? 0
        sampling.dynamicTemperatureExponent = try fields.number("dynatemp_exponent", in: 0...10) ?? 1
        sampling.dry = try dry(&fields)
        sampling.mirostat = try mirostat(&fields)
        return sampling
    }

    private static func dry(_ fields: inout RequestFields) throws(APIError) -> DRYParameters {
        var dry = DRYParameters()
        dry.multiplier = try fields.number("dry_multiplier", in: 0...100) ?? 0
        dry.base = try fields.number("dry_base", in: 1...10) ?? 1.75
        dry.allowedLength = UInt32(
            try fields.integer("dry_allowed_length", in: 1...OpenAILimits.dryAllowedLength) ?? 2)
        let window = try fields.integer("dry_penalty_last_n", in: -1...Int64(Int32.max)) ?? -1
        dry.window = window < 0 ? nil : UInt32(window)
        let breakers = try fields.strings(
            "dry_sequence_breakers", count: OpenAILimits.drySequenceBreakers,
            bytes: OpenAILimits.drySequenceBreakerBytes)
        // Most requests have no use for them.
        if dry.multiplier > 0 { dry.breakers = breakers ?? ["\n", ":", "\"", "*"] }
        return dry
    }

    private static func mirostat(_ fields: inout RequestFields) throws(APIError) -> MirostatParameters {
        var mirostat = MirostatParameters()
        let version = try fields.integer("mirostat", in: 0...2) ?? 0
        mirostat.version = version == 0 ? .off : version == 1 ? .one : .two
        mirostat.target = try fields.number("mirostat_tau", in: 0...100) ?? 5
        mirostat.rate = try fields.number("mirostat_eta", in: 0...1) ?? 0.1
        return mirostat
    }

    private static func logitBias(_ fields: inout RequestFields) throws(APIError) -> [LogitBias] {
        guard let value = fields.value("logit_bias") else { return [] }
        guard let object = value.objectValue else { throw .wrongType("logit_bias", "an object", value) }
        guard object.members.count <= OpenAILimits.logitBiases else {
            throw .invalid("logit_bias", "'logit_bias' has at most \(OpenAILimits.logitBiases) members")
        }
        var biases: [LogitBias] = []
        for member in object.members {
            // Only one spelling of each number, so that no token is named twice.
            guard let token = Int32(member.key), token >= 0, String(token) == member.key else {
                throw .invalid(
                    "logit_bias", "'logit_bias' maps token ids to numbers; '\(member.key.prefix(32))' is no id")
            }
            guard let bias = member.value.doubleValue, (-100...100).contains(bias) else {
                throw .invalid("logit_bias", "the bias of token \(token) is a number between -100 and 100")
            }
            biases.append(LogitBias(token: token, bias: Float(bias)))
        }
        return biases.sorted { $0.token < $1.token }
    }
}

/// The fields that ask for log-probabilities: each route has its own.
enum LogProbabilityFields {
    /// `logprobs` says whether, `top_logprobs` how many rivals.
    static func chat(_ fields: inout RequestFields) throws(APIError) -> LogProbabilityOptions? {
        let isWanted = try fields.bool("logprobs") ?? false
        let top = try fields.integer("top_logprobs", in: 0...OpenAILimits.topLogProbabilities) ?? 0
        guard isWanted || top == 0 else {
            throw .invalid("top_logprobs", "'top_logprobs' needs 'logprobs': true")
        }
        return try options(isWanted ? top : nil, &fields)
    }

    /// `logprobs` is the number of rivals.
    static func completion(_ fields: inout RequestFields) throws(APIError) -> LogProbabilityOptions? {
        try options(try fields.integer("logprobs", in: 0...OpenAILimits.topLogProbabilities), &fields)
    }

    private static func options(
        _ top: Int64?, _ fields: inout RequestFields
    ) throws(APIError) -> LogProbabilityOptions? {
        let isAfterSampling = try fields.bool("post_sampling_probs") ?? false
        guard let top else {
            guard !isAfterSampling else {
                throw .invalid("post_sampling_probs", "'post_sampling_probs' needs 'logprobs'")
            }
            return nil
        }
        return LogProbabilityOptions(top: UInt32(top), stage: isAfterSampling ? .sampling : .model)
    }
}
