/// Qwen 3 with experts: the block of Qwen 3, and a mixture of experts in every layer.
///
/// The weights of a row's experts add up to one. Checkpoints could say otherwise (`norm_topk_prob`), but files of this
/// architecture have no place for it.
enum Qwen3MoE: DecoderArchitecture {
    static let name = "qwen3moe"
    static let pairing = Qwen3.pairing
    static let normalizesHeads = Qwen3.normalizesHeads
    static let mixesExperts = true

    static func check(_ parameters: HyperParameters) throws(ModelLoadError) { try Qwen3.check(parameters) }
}
