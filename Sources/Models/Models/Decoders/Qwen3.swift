/// Qwen 3: no biases, a norm on each head of queries and keys, and a head dimension of its own.
enum Qwen3: DecoderArchitecture {
    static let name = "qwen3"
    static let pairing = RotaryEmbedding.Pairing.halves
    static let normalizesHeads = true
    static let mixesExperts = false

    static func check(_ parameters: HyperParameters) throws(ModelLoadError) {
        guard parameters.has("attention.key_length") else {
            throw .missingParameter(key: parameters.key("attention.key_length"))
        }
    }
}
