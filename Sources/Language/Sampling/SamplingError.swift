/// Why no token can be chosen.
public enum SamplingError: Error, Sendable, Equatable, CustomStringConvertible {
    case invalidParameter(name: String, value: String, allowed: String)
    /// The row has no logit above minus infinity: the model's numbers are broken, or a bias excluded every token.
    case noCandidate(vocabularySize: Int)

    public var description: String {
        switch self {
        case .invalidParameter(let name, let value, let allowed):
            "\(name) is \(value): allowed is \(allowed)"
        case .noCandidate(let vocabularySize):
            "none of the \(vocabularySize) logits is a number above minus infinity"
        }
    }
}
