/// Chooses the next token of one choice of one request.
///
/// The order of the steps: logit bias, repetition penalty, frequency and presence penalty, then the greatest logit
/// (temperature 0; ties go to the lowest id), or temperature, top-k, top-p, min-p and a draw. Each filter works on what
/// the one before it left, renormalised. Temperature comes before the filters, as in the OpenAI-compatible servers
/// that clients are tuned against; llama.cpp applies it last.
///
/// A row's result depends on nothing but the row, the parameters, the tokens recorded here, choice and position.
public struct Sampler: Sendable {
    public let parameters: SamplerParameters
    private var penalties: TokenPenalties
    private var selector = PrefixSelector()
    /// The ids that top-k kept, in ascending order; empty without top-k.
    private var keptIDs: [Int32] = []

    public init(
        _ parameters: SamplerParameters, limits: SamplingLimits = SamplingLimits()
    ) throws(SamplingError) {
        try parameters.validate(limits)
        self.parameters = parameters
        penalties = TokenPenalties(parameters)
    }

    /// Counts the prompt's tokens for the repetition penalty; call it once, before the first token is chosen.
    public mutating func recordPrompt(_ ids: some Sequence<Int32>) {
        penalties.recordPrompt(ids)
    }

    /// Counts a token of the answer that `sample` did not choose.
    public mutating func recordAnswer(_ id: Int32) {
        penalties.recordAnswer(id)
    }

    /// Chooses a token, counts it for the penalties and returns its id.
    ///
    /// `logits` is one row, one value per id of the vocabulary; its contents are undefined afterwards. `position` is
    /// the token's place in its choice: any numbering that a replay repeats. NaN counts as minus infinity.
    /// Throws `noCandidate` if nothing is left to choose from. Complexity: O(vocabulary), without allocation.
    public mutating func sample(
        logits: UnsafeMutableBufferPointer<Float>, position: Int, choice: Int
    ) throws(SamplingError) -> Int32 {
        let peak = try adjust(logits)
        var token = peak.index
        if !parameters.isGreedy {
            let weights = weigh(logits, peak: peak.logit)
            let random = CounterRandom.uniform(
                seed: parameters.seed, choice: UInt64(truncatingIfNeeded: choice),
                position: UInt64(truncatingIfNeeded: position))
            token = Self.draw(weights, random: random).map(token(at:)) ?? peak.index
        }
        let id = Int32(truncatingIfNeeded: token)
        penalties.recordAnswer(id)
        return id
    }

    // MARK: Steps, in their order

    /// Applies bias and penalties, replaces what is not finite, and finds the greatest logit with the lowest id.
    private func adjust(_ row: UnsafeMutableBufferPointer<Float>) throws(SamplingError) -> (index: Int, logit: Float) {
        for bias in parameters.biases where row.indices.contains(Int(bias.token)) {
            row[Int(bias.token)] += bias.value
        }
        penalties.apply(to: row)
        var peak = (index: 0, logit: -Float.infinity)
        for index in row.indices {
            var logit = row[index]
            if !logit.isFinite {
                logit = logit == .infinity ? .greatestFiniteMagnitude : -.infinity
                row[index] = logit
            }
            if logit > peak.logit { peak = (index, logit) }
        }
        guard peak.logit > -.infinity else { throw .noCandidate(vocabularySize: row.count) }
        return peak
    }

    /// Turns logits into weights: 1 for the most likely token, 0 for those that the filters drop.
    ///
    /// With top-k the weights that stay move to the front of the row, still in the order of their ids, and `keptIDs`
    /// remembers whose they are: what follows then works on k values and not on the whole vocabulary.
    private mutating func weigh(
        _ row: UnsafeMutableBufferPointer<Float>, peak: Float
    ) -> UnsafeMutableBufferPointer<Float> {
        let temperature = Double(parameters.temperature)
        let top = Double(peak)
        func weight(_ logit: Float) -> Float {
            Float(Exponential.ofNonPositive((Double(logit) - top) / temperature))
        }
        var weights = row
        keptIDs.removeAll(keepingCapacity: true)
        if parameters.topK > 0, parameters.topK < row.count {
            let cut = selector.cut(row, reaching: Double(parameters.topK)) { _ in 1 }
            for index in row.indices where cut.keeps(key: PrefixSelector.key(row[index]), index: index) {
                row[keptIDs.count] = weight(row[index])
                keptIDs.append(Int32(truncatingIfNeeded: index))
            }
            weights = UnsafeMutableBufferPointer(rebasing: row[..<keptIDs.count])
        } else {
            for index in row.indices { row[index] = weight(row[index]) }
        }
        keepTopP(weights)
        keepMinP(weights)
        return weights
    }

    /// The id whose weight is at `index` of the weights.
    private func token(at index: Int) -> Int {
        keptIDs.isEmpty ? index : Int(keptIDs[index])
    }

    private mutating func keepTopP(_ row: UnsafeMutableBufferPointer<Float>) {
        guard parameters.topP < 1 else { return }
        let target = Double(parameters.topP) * Self.sum(row)
        let cut = selector.cut(row, reaching: target) { Double($0) }
        for index in row.indices where !cut.keeps(key: PrefixSelector.key(row[index]), index: index) {
            row[index] = 0
        }
    }

    private func keepMinP(_ row: UnsafeMutableBufferPointer<Float>) {
        // The most likely token has the weight 1 and no filter drops it, so the bound needs no sum.
        guard parameters.minP > 0 else { return }
        for index in row.indices where row[index] < parameters.minP { row[index] = 0 }
    }

    private static func sum(_ row: UnsafeMutableBufferPointer<Float>) -> Double {
        var sum = 0.0
        for weight in row { sum += Double(weight) }
        return sum
    }

    /// The first id at which the running sum of the weights passes `random` times their total.
    private static func draw(_ row: UnsafeMutableBufferPointer<Float>, random: Double) -> Int? {
        let target = random * sum(row)
        var running = 0.0
        var last: Int?
        for index in row.indices where row[index] > 0 {
            running += Double(row[index])
            last = index
            if running > target { return index }
        }
        return last
    }

    /// The probabilities from which `sample` would draw, in place of the logits: greedy has a single 1.
    mutating func distribution(_ row: UnsafeMutableBufferPointer<Float>) throws(SamplingError) {
        let peak = try adjust(row)
        if parameters.isGreedy {
            for index in row.indices { row[index] = index == peak.index ? 1 : 0 }
        } else {
            let weights = weigh(row, peak: peak.logit)
            let total = Self.sum(weights)
            let probabilities = weights.map { Float(Double($0) / total) }
            for index in row.indices { row[index] = 0 }
            for (index, probability) in probabilities.enumerated() { row[token(at: index)] = probability }
        }
    }
}
