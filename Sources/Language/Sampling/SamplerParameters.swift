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

    /// Divides the logits; 0 is greedy.
    public var temperature: Float
    /// Tokens kept, counted from the most likely one; 0 is off.
    public var topK: Int
    /// Probability mass kept, counted from the most likely token; 1 is off, and one token always stays.
    public var topP: Float
    /// Least probability as a share of the most likely token's; 0 is off.
    public var minP: Float
    /// Over prompt and answer: divides positive logits and multiplies negative ones; 1 is off.
    public var repetitionPenalty: Float
    /// Over the answer: subtracted once from every token that occurred; 0 is off.
    public var presencePenalty: Float
    /// Over the answer: subtracted once per occurrence; 0 is off.
    public var frequencyPenalty: Float
    public var biases: [Bias]
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

    private func require(
        _ name: String, _ value: Float, _ isInRange: Bool, _ allowed: String
    ) throws(SamplingError) {
        guard value.isFinite, isInRange else {
            throw .invalidParameter(name: name, value: "\(value)", allowed: allowed)
        }
    }
}

/// Bounds of this room.
public struct SamplingLimits: Sendable, Equatable {
    /// Entries of the logit bias of one request.
    public var biases = 16_384

    public init() {}
}
