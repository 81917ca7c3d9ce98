import Scheduling

/// Decides how many draft tokens of a sequence are worth their rows.
///
/// A draft counts only if all before it were right, so with an acceptance of p the i-th is used with a probability of p^i.
/// It is worth its row if that exceeds the row's cost, told in tokens that the same time would make without it. Guesses
/// that get no row are compared with what is sampled too: a sequence that stopped drafting notices when it would pay again.
struct DraftControl: Sendable {
    /// Weight of the newest guess.
    private static let weight = 0.125

    /// Share of the recent guesses that were right, given that those before them were.
    private(set) var acceptance = 0.5

    mutating func observe(isRight: Bool) { acceptance += ((isRight ? 1 : 0) - acceptance) * Self.weight }

    /// Drafts that are worth a row of this cost, up to `most`.
    func count(rowCost: Double, most: Int) -> Int {
        var count = 0
        var probability = acceptance
        while count < most, probability > rowCost {
            count += 1
            probability *= acceptance
        }
        return count
    }

    /// What a draft's row costs, in tokens: a token costs its own row and its share of what every step costs.
    ///
    /// The fit of the costs is a guess. So it is never taken to say that drafts cost nothing, nor that those which are
    /// nearly always right do not pay.
    ///
    /// - Parameter sequences: those that got a token from the last step.
    static func rowCost(position: Int, sequences: Int, costs: StepCosts?) -> Double {
        guard let costs else { return 0.1 }
        let row = costs.nanoseconds(rows: 1, depths: Double(position + 1))
        let token = costs.step / Double(max(1, sequences)) + row
        return token > 0 ? min(0.9, max(0.1, row / token)) : 0.1
    }
}
