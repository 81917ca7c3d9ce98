/// Qwen 1.5, 2 and 2.5: the Llama block with biases on queries, keys and values, and halves that rotate together.
enum Qwen2: DecoderArchitecture {
    static let name = "qwen2"
    static let pairing = RotaryEmbedding.Pairing.halves
    static let normalizesHeads = false
    static let mixesExperts = false

    static func check(_ parameters: HyperParameters) throws(ModelLoadError) {}
}
