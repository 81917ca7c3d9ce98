/// Llama 1 to 3 and what shares its shape under the same name: Mistral, TinyLlama, SmolLM.
///
/// Files hold the query and key weights permuted so that neighbouring elements rotate together. Llama 3.1 and later
/// bring divisors for the frequencies in the tensor `rope_freqs.weight`, Mistral its window in
/// `llama.attention.sliding_window`, SmolLM ties the output to the embedding, some variants have biases.
enum Llama: DecoderArchitecture {
    static let name = "llama"
    static let pairing = RotaryEmbedding.Pairing.neighbours
    static let normalizesHeads = false
    static let mixesExperts = false

    static func check(_ parameters: HyperParameters) throws(ModelLoadError) {
        if let experts = try parameters.integer("expert_count", in: 0...65_536), experts > 0 {
            throw .unsupported(feature: "a mixture of \(experts) experts (Mixtral)")
        }
    }
}
