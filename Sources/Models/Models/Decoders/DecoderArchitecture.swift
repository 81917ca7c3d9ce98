/// What one architecture adds to the common transformer decoder.
///
/// The names of tensors and hyper-parameters are those of the GGUF format.
protocol DecoderArchitecture {
    /// The value of `general.architecture`, and the prefix of its hyper-parameters.
    static var name: String { get }

    /// Which elements of a head rotate together, in the order in which files hold the weights.
    static var pairing: RotaryEmbedding.Pairing { get }

    /// Whether heads of queries and keys are normalised before they are rotated.
    static var normalizesHeads: Bool { get }

    /// Whether the feed-forward part of every layer is a mixture of experts.
    static var mixesExperts: Bool { get }

    /// Refuses what the architecture could have and the code does not do.
    static func check(_ parameters: HyperParameters) throws(ModelLoadError)
}
