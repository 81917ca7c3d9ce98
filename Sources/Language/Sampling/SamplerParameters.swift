/// How the next token is chosen.
///
/// The defaults change nothing: plain sampling at temperature 1.
public struct SamplerParameters: Sendable, Equatable {
    /// Added to the logit of one token before anything else happens.
    public struct Bias: Sendable, Equatable {
        public var token: Int32
        public var value: Float

        public init(token: Int32, value: Float) {
            self.token = token
            self.value = value
        }
    }

    /// The penalty against repeated sequences: see `RepeatedSequences`.
    public struct DRY: Sendable, Equatable {
        /// What the shortest repetition costs; 0 is off.
        public var multiplier: Float = 0
        /// What each further token of it multiplies the cost by.
        public var base: Float = 1.75
        /// Tokens that may be repeated; the next one costs.
        public var allowedLength = 2
        /// Tokens that are looked at, counted from the end; nil is as many as the limits allow, 0 is off.
        public var window: Int?
        /// Texts over which no repetition reaches.
        public var breakers: [[UInt8]] = []

        public init() {}
    }

    /// The control of the answer's surprise: see `Mirostat`.
    public struct Mirostat: Sendable, Equatable {
        public enum Version: Sendable {
            case off
            case one
            case two
        }

        public var version = Version.off
        /// Bits of surprise for each token; the paper's tau.
        public var target: Float = 5
        /// How fast the bound follows; the paper's eta.
        public var rate: Float = 0.1

        public init() {}
    }

    /// Divides the logits; 0 is greedy.
    public var temperature: Float
    /// How far the temperature may move to both sides, by the model's certainty; 0 is off.
    public var dynamicTemperatureRange: Float = 0
    /// Bends the way in between; 1 is straight.
    public var dynamicTemperatureExponent: Float = 1
    /// Standard deviations of the logits kept, counted from the greatest logit; 0 is off.
    public var topNSigma: Float = 0
    /// Tokens kept, counted from the most likely one; 0 is off.
    public var topK: Int
    /// Probability mass kept, counted from the most typical token; 1 is off, and one token always stays.
    public var typicalP: Float = 1
    /// Probability mass kept, counted from the most likely token; 1 is off, and one token always stays.
    public var topP: Float
    /// Least probability as a share of the most likely token's; 0 is off.
    public var minP: Float
    /// How often the tokens that reach the threshold are dropped, but for the least likely of them; 0 is off.
    public var xtcProbability: Float = 0
    public var xtcThreshold: Float = 0.1
    public var mirostat = Mirostat()
    /// Over prompt and answer: divides positive logits and multiplies negative ones; 1 is off.
    public var repetitionPenalty: Float
    /// Over the answer: subtracted once from every token that occurred; 0 is off.
    public var presencePenalty: Float
    /// Over the answer: subtracted once per occurrence; 0 is off.
    public var frequencyPenalty: Float
    public var dry = DRY()
    public var biases: [Bias]
    /// Tokens of the answer before which none of `endTokens` is chosen.
    public var minimumTokens = 0
    public var endTokens: [Int32] = []
    /// The same seed, choice and position draw the same number.
    public var seed: UInt64

    public init(
        temperature: Float = 1, topK: Int = 0, topP: Float = 1, minP: Float = 0, repetitionPenalty: Float = 1,
        presencePenalty: Float = 0, frequencyPenalty: Float = 0, biases: [Bias] = [], seed: UInt64 = 0
    ) {
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        self.minP = minP
        self.repetitionPenalty = repetitionPenalty
        self.presencePenalty = presencePenalty
        self.frequencyPenalty = frequencyPenalty
        self.biases = biases
        self.seed = seed
    }

    public var isGreedy: Bool { temperature == 0 }

    /// Checks every field against the range in which sampling is defined.
    func validate(_ limits: SamplingLimits) throws(SamplingError) {
        try require("temperature", temperature, temperature >= 0, "a finite number from 0")
        try require("top_k", Float(topK), topK >= 0, "an integer from 0")
        try require("top_p", topP, topP >= 0 && topP <= 1, "a number from 0 to 1")
        try require("min_p", minP, minP >= 0 && minP <= 1, "a number from 0 to 1")
        try require("typical_p", typicalP, typicalP >= 0 && typicalP <= 1, "a number from 0 to 1")
        try require("top_n_sigma", topNSigma, topNSigma >= 0, "a finite number from 0")
        let exponent = dynamicTemperatureExponent
        try require("dynatemp_range", dynamicTemperatureRange, dynamicTemperatureRange >= 0, "a finite number from 0")
        try require("dynatemp_exponent", exponent, exponent >= 0, "a finite number from 0")
        try require(
            "xtc_probability", xtcProbability, xtcProbability >= 0 && xtcProbability <= 1, "a number from 0 to 1")
        try require("xtc_threshold", xtcThreshold, xtcThreshold >= 0 && xtcThreshold <= 1, "a number from 0 to 1")
        try require("mirostat_tau", mirostat.target, mirostat.target >= 0, "a finite number from 0")
        try require("mirostat_eta", mirostat.rate, mirostat.rate >= 0 && mirostat.rate <= 1, "a number from 0 to 1")
        try dry.validate(limits)
        try require("repetition_penalty", repetitionPenalty, repetitionPenalty > 0, "a finite number above 0")
        try require("presence_penalty", presencePenalty, true, "a finite number")
        try require("frequency_penalty", frequencyPenalty, true, "a finite number")
        guard biases.count <= limits.biases else {
            throw .invalidParameter(
                name: "logit_bias", value: "\(biases.count) entries", allowed: "at most \(limits.biases) entries")
        }
        for bias in biases {
            try require("logit_bias", bias.value, true, "finite numbers")
        }
    }

}

extension SamplerParameters.DRY {
    fileprivate func validate(_ limits: SamplingLimits) throws(SamplingError) {
        try require("dry_multiplier", multiplier, multiplier >= 0, "a finite number from 0")
        try require("dry_base", base, base >= 1, "a finite number from 1")
        try require("dry_allowed_length", Float(allowedLength), allowedLength >= 1, "an integer from 1")
        try require("dry_penalty_last_n", Float(window ?? 0), (window ?? 0) >= 0, "an integer from 0, or none")
        guard breakers.count <= limits.sequenceBreakers else {
            throw .invalidParameter(
                name: "dry_sequence_breakers", value: "\(breakers.count) entries",
                allowed: "at most \(limits.sequenceBreakers) entries")
        }
        for breaker in breakers where breaker.count > limits.sequenceBreakerBytes {
            throw .invalidParameter(
                name: "dry_sequence_breakers", value: "an entry of \(breaker.count) bytes",
                allowed: "at most \(limits.sequenceBreakerBytes) bytes each")
        }
    }
}

private func require(
    _ name: String, _ value: Float, _ isInRange: Bool, _ allowed: String
) throws(SamplingError) {
    guard value.isFinite, isInRange else {
        throw .invalidParameter(name: name, value: "\(value)", allowed: allowed)
    }
}

/// Bounds of this room.
public struct SamplingLimits: Sendable, Equatable {
    /// Entries of the logit bias of one request.
    public var biases = 16_384
    /// Tokens that the penalty against repeated sequences looks at.
    public var repetitionWindow = 32_768
    public var sequenceBreakers = 32
    public var sequenceBreakerBytes = 128

    public init() {}
}
