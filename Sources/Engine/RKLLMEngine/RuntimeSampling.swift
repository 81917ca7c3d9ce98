import CRKLLM
import EngineProtocol

extension apus_rkllm_sampling {
    /// A request's parameters in the runtime's words.
    ///
    /// What the runtime does not have is refused, and so is anything but the defaults where it takes no parameters with a
    /// run. It draws with numbers of its own: a seed has no effect.
    init(_ asked: SamplingParameters, family: RuntimeFamily) throws(EngineError) {
        let plain = SamplingParameters()
        let absent: [(String, Bool)] = [
            ("min_p", asked.minP != plain.minP), ("typical_p", asked.typicalP != plain.typicalP),
            ("top_n_sigma", asked.topNSigma != plain.topNSigma),
            ("xtc_probability", asked.xtcProbability != plain.xtcProbability),
            ("dynatemp_range", asked.dynamicTemperatureRange != plain.dynamicTemperatureRange),
            ("dry_multiplier", asked.dry.multiplier != plain.dry.multiplier), ("logit_bias", !asked.logitBias.isEmpty),
        ]
        try Self.refuse(absent, why: "with the Rockchip runtime")
        if !family.samplesPerRun {
            let fixed: [(String, Bool)] = [
                ("temperature", asked.temperature != plain.temperature), ("top_p", asked.topP != plain.topP),
                ("top_k", asked.topK != plain.topK),
                ("repetition_penalty", asked.repetitionPenalty != plain.repetitionPenalty),
                ("presence_penalty", asked.presencePenalty != plain.presencePenalty),
                ("frequency_penalty", asked.frequencyPenalty != plain.frequencyPenalty),
                ("mirostat", asked.mirostat.version != plain.mirostat.version),
            ]
            try Self.refuse(fixed, why: "with runtime \(family.rawValue), which takes it with a model only")
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

    private static func refuse(_ parameters: [(name: String, isSet: Bool)], why: String) throws(EngineError) {
        guard let first = parameters.first(where: \.isSet) else { return }
        throw .unsupported(feature: "\(first.name) \(why)")
    }
}
