/// Chooses the next token of one choice of one request.
///
/// The order of the steps:
///
/// 1. on logits: end tokens barred before the least length; logit bias; repetition, frequency and presence penalty; DRY;
/// 2. temperature 0: the greatest logit, ties go to the lowest id. Otherwise
/// 3. on logits: top-n-sigma, temperature (fixed or dynamic);
/// 4. on probabilities: top-k, typical-p, top-p, min-p, XTC, Mirostat, each on what the one before it left, renormalised;
/// 5. a draw.
///
/// Temperature comes before the filters, as in the OpenAI-compatible servers that clients are tuned against; llama.cpp
/// applies it last.
///
/// A row's result depends on nothing but the row, the parameters, the tokens and rows that came before here, choice and
/// position. It is a value: a copy goes on by itself, and rows can be sampled ahead of knowing whether they will be used.
public struct Sampler: Sendable {
    /// The bytes that a token writes.
    public typealias TokenBytes = @Sendable (_ id: Int32) -> [UInt8]

    public let parameters: SamplerParameters
    private var penalties: TokenPenalties
    private var repeatedSequences: RepeatedSequences?
    private var mirostat: Mirostat?
    private var answerTokens = 0
    private var selector = PrefixSelector()
    /// The ids that top-k kept, in ascending order; empty without top-k.
    private var keptIDs: [Int32] = []

    /// - Parameter tokenBytes: where sequence breakers are looked for; asked only with a DRY penalty.
    public init(
        _ parameters: SamplerParameters, limits: SamplingLimits = SamplingLimits(),
        tokenBytes: @escaping TokenBytes = { _ in [] }
    ) throws(SamplingError) {
        try parameters.validate(limits)
        self.parameters = parameters
        penalties = TokenPenalties(parameters)
        repeatedSequences = RepeatedSequences(parameters.dry, limits: limits, tokenBytes: tokenBytes)
        mirostat = Mirostat(parameters.mirostat)
    }

    /// Counts the prompt's tokens for the penalties that look at it; call it once, before the first token is chosen.
    public mutating func recordPrompt(_ ids: some Collection<Int32>) {
        penalties.recordPrompt(ids)
        repeatedSequences?.record(ids)
    }

    /// Counts a token of the answer that `sample` did not choose.
    ///
    /// It has no row here, so Mirostat learns nothing from it.
    public mutating func recordAnswer(_ id: Int32) {
        answerTokens += 1
        penalties.recordAnswer(id)
        repeatedSequences?.record(id)
    }

    /// Chooses a token, counts it and returns its id.
    ///
    /// `logits` is one row, one value per id of the vocabulary; its contents are undefined afterwards. `position` is
    /// the token's place in its choice: any numbering that a replay repeats. NaN counts as minus infinity.
    /// Throws `noCandidate` if nothing is left to choose from. Complexity: O(vocabulary), without allocation.
    public mutating func sample(
        logits: UnsafeMutableBufferPointer<Float>, position: Int, choice: Int
    ) throws(SamplingError) -> Int32 {
        try pick(logits, position: position, choice: choice).token
    }

    /// A chosen token, and what it was chosen from.
    struct Pick {
        let token: Int32
        /// Its share of the weights.
        let probability: Double
        /// Nil if the greatest logit was taken.
        let weights: UnsafeMutableBufferPointer<Float>?
    }

    /// What `sample` does; `weights` lie in the row.
    mutating func pick(
        _ row: UnsafeMutableBufferPointer<Float>, position: Int, choice: Int
    ) throws(SamplingError) -> Pick {
        let place = Place(seed: parameters.seed, choice: choice, position: position)
        let peak = try adjust(row)
        var pick = Pick(token: Int32(truncatingIfNeeded: peak.index), probability: 1, weights: nil)
        if !parameters.isGreedy {
            let weights = weigh(row, peak: peak.logit, at: place)
            let total = weights.total
            if let index = Self.draw(weights, total: total, random: place.uniform(.token)) {
                pick = Pick(token: token(at: index), probability: Double(weights[index]) / total, weights: weights)
                mirostat?.observe(probability: pick.probability)
            }
        }
        recordAnswer(pick.token)
        return pick
    }

    /// The id whose weight is at `index` of the weights.
    func token(at index: Int) -> Int32 {
        keptIDs.isEmpty ? Int32(truncatingIfNeeded: index) : keptIDs[index]
    }

    /// Where in all the random numbers a token stands.
    private struct Place {
        let seed: UInt64
        let choice: Int
        let position: Int

        func uniform(_ stream: CounterRandom.Stream) -> Double {
            CounterRandom.uniform(
                seed: seed, choice: UInt64(truncatingIfNeeded: choice), position: UInt64(truncatingIfNeeded: position),
                stream: stream)
        }
    }

    // MARK: Steps, in their order

    /// Applies what changes logits, replaces what is not finite, and finds the greatest logit with the lowest id.
    private mutating func adjust(
        _ row: UnsafeMutableBufferPointer<Float>
    ) throws(SamplingError) -> (index: Int, logit: Float) {
        // Minus infinity survives every step that follows, so a barred token is never drawn.
        if answerTokens < parameters.minimumTokens {
            for id in parameters.endTokens where row.indices.contains(Int(id)) { row[Int(id)] = -.infinity }
        }
        for bias in parameters.biases where row.indices.contains(Int(bias.token)) {
            row[Int(bias.token)] += bias.value
        }
        penalties.apply(to: row)
        repeatedSequences?.apply(to: row)
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
    private mutating func weigh(
        _ row: UnsafeMutableBufferPointer<Float>, peak: Float, at place: Place
    ) -> UnsafeMutableBufferPointer<Float> {
        if parameters.topNSigma > 0 { TopNSigma.apply(parameters.topNSigma, to: row, peak: peak) }
        let weights = scale(row, peak: peak)
        if parameters.typicalP < 1 { TypicalP.apply(parameters.typicalP, to: weights, selector: &selector) }
        if parameters.topP < 1 { TopP.apply(parameters.topP, to: weights, selector: &selector) }
        if parameters.minP > 0 { MinP.apply(parameters.minP, to: weights) }
        if parameters.xtcProbability > 0, place.uniform(.exclusion) < Double(parameters.xtcProbability) {
            ExcludeTopChoices.apply(threshold: parameters.xtcThreshold, to: weights)
        }
        mirostat?.apply(to: weights, vocabularySize: row.count, selector: &selector)
        return weights
    }

    /// Applies temperature and top-k.
    ///
    /// With top-k the weights that stay move to the front of the row, still in the order of their ids, and `keptIDs`
    /// remembers whose they are: what follows then works on k values and not on the whole vocabulary.
    private mutating func scale(
        _ row: UnsafeMutableBufferPointer<Float>, peak: Float
    ) -> UnsafeMutableBufferPointer<Float> {
        let temperature =
            parameters.dynamicTemperatureRange > 0
            ? DynamicTemperature(parameters).temperature(for: row, peak: peak) : Double(parameters.temperature)
        let top = Double(peak)
        func weight(_ logit: Float) -> Float {
            Float(Exponential.ofNonPositive((Double(logit) - top) / temperature))
        }
        keptIDs.removeAll(keepingCapacity: true)
        guard parameters.topK > 0, parameters.topK < row.count else {
            for index in row.indices { row[index] = weight(row[index]) }
            return row
        }
        let cut = selector.cut(row, reaching: Double(parameters.topK)) { _ in 1 }
        for index in row.indices where cut.keeps(key: PrefixSelector.key(row[index]), index: index) {
            row[keptIDs.count] = weight(row[index])
            keptIDs.append(Int32(truncatingIfNeeded: index))
        }
        return UnsafeMutableBufferPointer(rebasing: row[..<keptIDs.count])
    }

    /// The first id at which the running sum of the weights passes `random` times their total.
    private static func draw(
        _ row: UnsafeMutableBufferPointer<Float>, total: Double, random: Double
    ) -> Int? {
        let target = random * total
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
    mutating func distribution(
        _ row: UnsafeMutableBufferPointer<Float>, position: Int = 0, choice: Int = 0
    ) throws(SamplingError) {
        let peak = try adjust(row)
        guard !parameters.isGreedy else {
            for index in row.indices { row[index] = index == peak.index ? 1 : 0 }
            return
        }
        let place = Place(seed: parameters.seed, choice: choice, position: position)
        let weights = weigh(row, peak: peak.logit, at: place)
        let total = weights.total
        let probabilities = weights.map { Float(Double($0) / total) }
        for index in row.indices { row[index] = 0 }
        for (index, probability) in probabilities.enumerated() { row[Int(token(at: index))] = probability }
    }
}
