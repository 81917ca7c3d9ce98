// Filters over weights: numbers in proportion to the tokens' probabilities, in the order of the ids. What a filter drops
// becomes 0, and something always stays. The total need not be 1, so nothing has to be renormalised between them.

/// Keeps the likeliest tokens that hold a share of the probability.
enum TopP {
    static func apply(
        _ share: Float, to weights: UnsafeMutableBufferPointer<Float>, selector: inout PrefixSelector
    ) {
        let target = Double(share) * weights.total
        let cut = selector.cut(weights, reaching: target) { Double($0) }
        for index in weights.indices where !cut.keeps(key: PrefixSelector.key(weights[index]), index: index) {
            weights[index] = 0
        }
    }
}

/// Keeps the tokens that are at least a share as likely as the likeliest.
enum MinP {
    static func apply(_ share: Float, to weights: UnsafeMutableBufferPointer<Float>) {
        let bound = share * weights.reduce(0) { max($0, $1) }
        for index in weights.indices where weights[index] < bound { weights[index] = 0 }
    }
}

/// Locally typical sampling (Meister et al.: "Locally Typical Sampling", 2022).
///
/// Keeps a share of the probability in the tokens whose surprise, -ln p, is nearest to the surprise that is expected of
/// the distribution, its entropy. The likeliest token can be among those that go.
enum TypicalP {
    static func apply(
        _ share: Float, to weights: UnsafeMutableBufferPointer<Float>, selector: inout PrefixSelector
    ) {
        var total = 0.0
        var weighted = 0.0
        for weight in weights where weight > 0 {
            total += Double(weight)
            weighted += Double(weight) * Logarithm.natural(Double(weight))
        }
        // A token with this weight is as surprising as expected. The distance of another's surprise is the logarithm
        // of how many times greater or smaller its weight is, so the ratio orders the tokens without a logarithm each.
        let typical = Exponential.of(weighted / total)
        func nearness(_ weight: Float) -> Float {
            let ratio = Double(weight) / typical
            return Float(ratio > 1 ? 1 / ratio : ratio)
        }
        let target = Double(share) * total
        let cut = selector.cut(weights, reaching: target, score: nearness) { Double($0) }
        for index in weights.indices where !cut.keeps(key: PrefixSelector.key(nearness(weights[index])), index: index) {
            weights[index] = 0
        }
    }
}

/// Exclude top choices (XTC, by p-e-w): drops every token that reaches the threshold but the least likely of them.
///
/// It only ever drops what has an alternative that is good enough, so it makes answers less expected and not less
/// coherent. Among equals the one with the highest id stays.
enum ExcludeTopChoices {
    static func apply(threshold: Float, to weights: UnsafeMutableBufferPointer<Float>) {
        let bound = Double(threshold) * weights.total
        var kept: Int?
        for index in weights.indices where weights[index] > 0 && Double(weights[index]) >= bound {
            if let other = kept, weights[other] < weights[index] { continue }
            kept = index
        }
        guard let kept else { return }
        for index in weights.indices where index != kept && Double(weights[index]) >= bound { weights[index] = 0 }
    }
}

extension UnsafeMutableBufferPointer<Float> {
    var total: Double {
        var total = 0.0
        for weight in self { total += Double(weight) }
        return total
    }
}
