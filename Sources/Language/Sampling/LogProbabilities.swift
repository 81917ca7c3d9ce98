/// A token and the natural logarithm of its probability.
public struct ScoredToken: Sendable, Equatable {
    public var id: Int32
    /// Finite: at least `LogProbabilityReader.least`.
    public var logProbability: Float

    public init(id: Int32, logProbability: Float) {
        self.id = id
        self.logProbability = logProbability
    }
}

/// A chosen token with the likeliest ones at its place, likeliest first; it can be among them.
public struct ScoredChoice: Sendable, Equatable {
    public var chosen: ScoredToken
    public var top: [ScoredToken]

    public init(chosen: ScoredToken, top: [ScoredToken]) {
        self.chosen = chosen
        self.top = top
    }
}

/// Samples and says how likely the chosen token and its rivals were.
///
/// It holds what a row needs besides the row itself, so one of them serves any number of choices in turn.
public struct LogProbabilityReader: Sendable {
    /// The distribution that is read.
    public enum Stage: Sendable {
        /// The model's own: the softmax of its logits.
        case model
        /// The one that was drawn from: after bias, penalties, temperature and filters. A token that they dropped has no
        /// probability and is not listed.
        case sampling
    }

    /// Stands for tokens without any probability.
    public static let least: Float = -9999

    private var model: [Float] = []
    private var selector = PrefixSelector()
    private var indices: [Int] = []

    public init() {}

    /// Does what `Sampler.sample` does, and draws the same token.
    public mutating func sample(
        with sampler: inout Sampler, logits: UnsafeMutableBufferPointer<Float>, position: Int, choice: Int,
        top: Int, stage: Stage
    ) throws(SamplingError) -> ScoredChoice {
        switch stage {
        case .model:
            copy(logits)
            let token = try sampler.sample(logits: logits, position: position, choice: choice)
            return scoreInModel(token, top: top)
        case .sampling:
            let pick = try sampler.pick(logits, position: position, choice: choice)
            let chosen = ScoredToken(id: pick.token, logProbability: Self.logarithm(pick.probability))
            guard let weights = pick.weights else {
                return ScoredChoice(chosen: chosen, top: top > 0 ? [chosen] : [])
            }
            let total = weights.total
            findLikeliest(top, of: weights, above: 0)
            return ScoredChoice(
                chosen: chosen,
                top: indices.map { index in
                    ScoredToken(
                        id: sampler.token(at: index), logProbability: Self.logarithm(Double(weights[index]) / total))
                })
        }
    }

    /// Keeps the model's row, which sampling changes, with NaN as minus infinity and finite values else.
    private mutating func copy(_ logits: UnsafeMutableBufferPointer<Float>) {
        model.removeAll(keepingCapacity: true)
        model.append(contentsOf: logits)
        for index in model.indices where !model[index].isFinite {
            model[index] = model[index] == .infinity ? .greatestFiniteMagnitude : -.infinity
        }
    }

    private mutating func scoreInModel(_ token: Int32, top: Int) -> ScoredChoice {
        // Taken out, so that the row and the rest of the reader can be used side by side.
        var row = model
        model = []
        defer { model = row }
        return row.withUnsafeMutableBufferPointer { row in
            let peak = Double(row.reduce(-.infinity) { max($0, $1) })
            var total = 0.0
            for logit in row { total += Exponential.ofNonPositive(Double(logit) - peak) }
            let logTotal = Logarithm.natural(total)
            func score(_ index: Int) -> ScoredToken {
                let logarithm = Double(row[index]) - peak - logTotal
                return ScoredToken(
                    id: Int32(truncatingIfNeeded: index), logProbability: Float(max(logarithm, Double(Self.least))))
            }
            findLikeliest(top, of: row, above: -.infinity)
            return ScoredChoice(chosen: score(Int(token)), top: indices.map(score))
        }
    }

    /// Sets `indices` to those of the greatest values, greatest first, ties by lower index.
    private mutating func findLikeliest(
        _ count: Int, of row: UnsafeMutableBufferPointer<Float>, above least: Float
    ) {
        indices.removeAll(keepingCapacity: true)
        guard count > 0 else { return }
        let cut = selector.cut(row, reaching: Double(count)) { _ in 1 }
        for index in row.indices where row[index] > least {
            if cut.keeps(key: PrefixSelector.key(row[index]), index: index) { indices.append(index) }
        }
        indices.sort { row[$0] > row[$1] || (row[$0] == row[$1] && $0 < $1) }
    }

    private static func logarithm(_ probability: Double) -> Float {
        Float(max(Logarithm.natural(probability), Double(least)))
    }
}
