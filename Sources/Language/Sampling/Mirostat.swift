/// Mirostat (Basu et al.: "Mirostat: A Neural Text Decoding Algorithm that Directly Controls Perplexity", 2021).
///
/// It aims at an average surprise of `target` bits for each token, by feedback: what was more surprising than that
/// lowers the bound for the next token, what was less raises it. Surprise is measured after the cut, as llama.cpp does, so
/// that its settings mean the same.
///
/// The bound follows from the rows and the tokens drawn from them, so a replay comes to the same one.
struct Mirostat: Sendable {
    /// Tokens from which version 1 estimates how fast probabilities fall with their rank.
    private static let estimated = 100

    private let version: SamplerParameters.Mirostat.Version
    private let target: Double
    private let rate: Double
    /// The surprise in bits that the next token may have; the paper's mu.
    private(set) var bound: Double
    /// Reused from token to token.
    private var likeliest: [Float] = []

    /// Nil if it is off.
    init?(_ parameters: SamplerParameters.Mirostat) {
        guard parameters.version != .off else { return nil }
        version = parameters.version
        target = Double(parameters.target)
        rate = Double(parameters.rate)
        bound = 2 * target
    }

    /// Drops the tokens beyond the bound; the likeliest always stays.
    mutating func apply(
        to weights: UnsafeMutableBufferPointer<Float>, vocabularySize: Int, selector: inout PrefixSelector
    ) {
        switch version {
        case .off: return
        case .one:
            let rank = lastRank(weights, vocabularySize: vocabularySize, selector: &selector)
            keep(rank, of: weights, selector: &selector)
        case .two:
            let least = bound < 0 ? .infinity : Exponential.ofNonPositive(-bound * Logarithm.ofTwo) * weights.total
            guard weights.contains(where: { Double($0) >= least }) else {
                return keep(1, of: weights, selector: &selector)
            }
            for index in weights.indices where Double(weights[index]) < least { weights[index] = 0 }
        }
    }

    /// Learns how likely the drawn token was among those that were left.
    mutating func observe(probability: Double) {
        let surprise = -Logarithm.natural(probability) / Logarithm.ofTwo
        bound -= rate * (surprise - target)
    }

    private func keep(
        _ count: Int, of weights: UnsafeMutableBufferPointer<Float>, selector: inout PrefixSelector
    ) {
        guard count < weights.count else { return }
        let cut = selector.cut(weights, reaching: Double(count)) { _ in 1 }
        for index in weights.indices where !cut.keeps(key: PrefixSelector.key(weights[index]), index: index) {
            weights[index] = 0
        }
    }

    /// How many tokens version 1 keeps: probabilities are taken to fall with a power of the rank, as in Zipf's law.
    private mutating func lastRank(
        _ weights: UnsafeMutableBufferPointer<Float>, vocabularySize: Int, selector: inout PrefixSelector
    ) -> Int {
        collectLikeliest(of: weights, selector: &selector)
        guard likeliest.count > 1, vocabularySize > 1 else { return 1 }
        var products = 0.0
        var squares = 0.0
        for rank in 1..<likeliest.count {
            let step = Logarithm.natural(Double(rank + 1) / Double(rank))
            products += step * Logarithm.natural(Double(likeliest[rank - 1]) / Double(likeliest[rank]))
            squares += step * step
        }
        let exponent = products / squares
        let excess = exponent - 1
        let size = Logarithm.natural(Double(vocabularySize))
        // excess / (1 - size^-excess), and its limit where both sides of the fraction vanish.
        let scale = abs(excess) < 1e-9 ? 1 / size : excess / (1 - Exponential.of(-excess * size))
        let logarithm = Logarithm.natural(scale) + bound * Logarithm.ofTwo
        // A flat top has no slope: then everything stays, or one token.
        let rank = exponent > 0 ? logarithm / exponent : (logarithm > 0 ? .infinity : 0)
        guard rank < Logarithm.natural(Double(weights.count)) else { return weights.count }
        return max(1, Int(Exponential.of(rank)))
    }

    /// The greatest weights in falling order.
    private mutating func collectLikeliest(
        of weights: UnsafeMutableBufferPointer<Float>, selector: inout PrefixSelector
    ) {
        likeliest.removeAll(keepingCapacity: true)
        let cut = selector.cut(weights, reaching: Double(Self.estimated)) { _ in 1 }
        for index in weights.indices where weights[index] > 0 {
            if cut.keeps(key: PrefixSelector.key(weights[index]), index: index) { likeliest.append(weights[index]) }
        }
        likeliest.sort(by: >)
    }
}
