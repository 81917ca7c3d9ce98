import CRKLLM
import EngineProtocol

extension apus_rkllm_sampling {
    /// A request's parameters in the runtime's words.
    ///
    /// What the runtime does not have is refused. It draws with numbers of its own: a seed has no effect.
    init(_ asked: SamplingParameters) throws(EngineError) {
        let plain = SamplingParameters()
        let absent: [(String, Bool)] = [
            ("min_p", asked.minP != plain.minP), ("typical_p", asked.typicalP != plain.typicalP),
            ("top_n_sigma", asked.topNSigma != plain.topNSigma),
            ("xtc_probability", asked.xtcProbability != plain.xtcProbability),
            ("dynatemp_range", asked.dynamicTemperatureRange != plain.dynamicTemperatureRange),
            ("dry_multiplier", asked.dry.multiplier != plain.dry.multiplier), ("logit_bias", !asked.logitBias.isEmpty),
        ]
        if let first = absent.first(where: \.1) {
            throw .unsupported(feature: "\(first.0) with the Rockchip runtime")
        }
        self = .unchanged
        // The likeliest token is the first of one.
        top_k = asked.temperature == 0 ? 1 : asked.topK == 0 ? Self.everyToken : Int32(clamping: asked.topK)
        top_p = asked.topP
        temperature = asked.temperature == 0 ? 1 : asked.temperature
        repeat_penalty = asked.repetitionPenalty
        frequency_penalty = asked.frequencyPenalty
        presence_penalty = asked.presencePenalty
        mirostat = asked.temperature == 0 ? 0 : Int32(asked.mirostat.version.rawValue)
        mirostat_tau = asked.mirostat.target
        mirostat_eta = asked.mirostat.rate
    }
}
