/// Which tokens occurred how often, and what that costs them.
///
/// Counts grow by one token at a time, so a step costs as much as there are different tokens, not as the text is long.
struct TokenPenalties: Sendable {
    private let repetition: Float
    private let presence: Float
    private let frequency: Float
    private var slots: [Int32: Int] = [:]
    private var tokens: [Int32] = []
    /// How often `tokens[i]` occurred in the answer; 0 for tokens that only the prompt has.
    private var answerCounts: [UInt32] = []

    init(_ parameters: SamplerParameters) {
        repetition = parameters.repetitionPenalty
        presence = parameters.presencePenalty
        frequency = parameters.frequencyPenalty
    }

    private var countsPrompt: Bool { repetition != 1 }
    private var countsAnswer: Bool { repetition != 1 || presence != 0 || frequency != 0 }

    mutating func recordPrompt(_ ids: some Sequence<Int32>) {
        guard countsPrompt else { return }
        for id in ids { _ = slot(of: id) }
    }

    mutating func recordAnswer(_ id: Int32) {
        guard countsAnswer else { return }
        answerCounts[slot(of: id)] += 1
    }

    private mutating func slot(of id: Int32) -> Int {
        if let slot = slots[id] { return slot }
        slots[id] = tokens.count
        tokens.append(id)
        answerCounts.append(0)
        return tokens.count - 1
    }

    /// Changes the logits of the tokens that occurred; ids outside the row have none.
    func apply(to row: UnsafeMutableBufferPointer<Float>) {
        for (id, count) in zip(tokens, answerCounts) where row.indices.contains(Int(id)) {
            var logit = row[Int(id)]
            if repetition != 1 {
                logit = logit > 0 ? logit / repetition : logit * repetition
            }
            if count > 0 {
                logit -= frequency * Float(count)
                logit -= presence
            }
            row[Int(id)] = logit
        }
    }
}
