import ModelFiles
import Tensors

extension DecoderConfiguration {
    /// Reads and checks the hyper-parameters that all decoders share.
    init(
        _ parameters: HyperParameters, architecture: any DecoderArchitecture.Type, tensors: inout TensorTable,
        vocabularySize: Int, tiedEmbeddings: Bool
    ) throws(ModelLoadError) {
        let width = try parameters.requiredInteger("embedding_length", in: ModelLimits.width)
        let heads = try parameters.requiredInteger("attention.head_count", in: ModelLimits.heads)
        let keyValueHeads = try parameters.integer("attention.head_count_kv", in: ModelLimits.heads) ?? heads
        guard heads % keyValueHeads == 0 else {
            throw .invalidParameter(
                key: parameters.key("attention.head_count_kv"), reason: "\(keyValueHeads) does not divide \(heads)")
        }
        let headDimension = try Self.headDimension(parameters, width: width, heads: heads)
        let context = try parameters.requiredInteger("context_length", in: ModelLimits.contextLength)
        let window = try parameters.integer("attention.sliding_window", in: 0...Int(UInt32.max)) ?? 0
        let epsilon = try parameters.positive("attention.layer_norm_rms_epsilon", allowsZero: true)
        guard let epsilon else { throw .missingParameter(key: parameters.key("attention.layer_norm_rms_epsilon")) }

        self.architecture = architecture.name
        layerCount = try parameters.requiredInteger("block_count", in: ModelLimits.layers)
        self.width = width
        headCount = heads
        keyValueHeadCount = keyValueHeads
        self.headDimension = headDimension
        experts = architecture.mixesExperts ? try ExpertConfiguration(parameters) : nil
        feedForwardWidth = try parameters.requiredInteger(
            architecture.mixesExperts ? "expert_feed_forward_length" : "feed_forward_length",
            in: ModelLimits.feedForwardWidth)
        self.vocabularySize = vocabularySize
        trainedContextLength = context
        slidingWindow = window == 0 ? nil : window
        normEpsilon = Float(epsilon)
        rotary = try RotaryEmbedding(
            parameters, pairing: architecture.pairing, headDimension: headDimension, contextLength: context,
            tensors: &tensors)
        self.tiedEmbeddings = tiedEmbeddings
    }

    private static func headDimension(
        _ parameters: HyperParameters, width: Int, heads: Int
    ) throws(ModelLoadError) -> Int {
        let keyLength = try parameters.integer("attention.key_length", in: ModelLimits.headDimension)
        guard let dimension = keyLength ?? (width % heads == 0 ? width / heads : nil),
            ModelLimits.headDimension.contains(dimension)
        else {
            throw .invalidParameter(
                key: parameters.key("attention.head_count"), reason: "\(heads) heads do not divide the width \(width)")
        }
        let valueLength = try parameters.integer("attention.value_length", in: ModelLimits.headDimension) ?? dimension
        guard valueLength == dimension else {
            throw .unsupported(feature: "value heads of \(valueLength) beside key heads of \(dimension)")
        }
        return dimension
    }
}

extension RotaryEmbedding {
    init(
        _ parameters: HyperParameters, pairing: Pairing, headDimension: Int, contextLength: Int,
        tensors: inout TensorTable
    ) throws(ModelLoadError) {
        let dimensions = try parameters.integer("rope.dimension_count", in: 2...headDimension) ?? headDimension
        guard dimensions % 2 == 0 else {
            throw .invalidParameter(key: parameters.key("rope.dimension_count"), reason: "\(dimensions) is odd")
        }
        let base = try parameters.positive("rope.freq_base") ?? 10_000
        guard base > 1 else { throw .invalidParameter(key: parameters.key("rope.freq_base"), reason: "not above 1") }
        let divisors = try tensors.optionalVector("rope_freqs.weight", count: dimensions / 2).map { Array($0.values) }
        guard (divisors ?? []).allSatisfy({ $0.isFinite && $0 > 0 }) else {
            throw .invalidTensor(name: "rope_freqs.weight", reason: "a divisor is not a finite positive number")
        }
        self.init(
            pairing: pairing, dimensions: dimensions, base: base,
            scaling: try Self.scaling(parameters, contextLength: contextLength), divisors: divisors ?? [])
    }

    private static func scaling(
        _ parameters: HyperParameters, contextLength: Int
    ) throws(ModelLoadError) -> Scaling {
        // Files of 2023 name a linear factor only.
        let oldFactor = try parameters.positive("rope.scale_linear")
        let factor = try parameters.positive("rope.scaling.factor") ?? oldFactor ?? 1
        let type = try parameters.string("rope.scaling.type") ?? (factor == 1 ? "none" : "linear")
        switch type {
        case "none": return .none
        case "linear": return .linear(factor)
        case "yarn":
            let trained = try parameters.integer(
                "rope.scaling.original_context_length", in: ModelLimits.contextLength)
            var yarn = Yarn(factor: factor, trainedContextLength: Double(trained ?? contextLength))
            yarn.attentionFactor = try parameters.positive("rope.scaling.attn_factor") ?? yarn.attentionFactor
            let share = try parameters.positive("rope.scaling.yarn_ext_factor", allowsZero: true) ?? 1
            guard share == 1 else { throw .unsupported(feature: "YaRN with an extrapolation factor of \(share)") }
            yarn.fastTurns = try parameters.positive("rope.scaling.yarn_beta_fast") ?? yarn.fastTurns
            yarn.slowTurns = try parameters.positive("rope.scaling.yarn_beta_slow") ?? yarn.slowTurns
            return .yarn(yarn)
        default:
            throw .unsupported(feature: "RoPE scaling of type \(type.shortened); supported are none, linear, yarn")
        }
    }
}
