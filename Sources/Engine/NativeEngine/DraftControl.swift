import Scheduling

/// Decides how many draft tokens of a sequence are worth what they cost.
///
/// A draft counts only if all before it were right, so with an acceptance of p the i-th is used with a probability of p^i.
/// It is worth its cost if that exceeds it, told in tokens that the same time would make without it.
struct DraftControl: Sendable {
    /// Weight of the newest guess.
    private static let weight = 0.125
    /// What a source that is not asked regains with each token of what it is expected to be at first.
    private static let recovery = 1.0 / 256

    /// Share of the recent guesses that were right, given that those before them were.
    private(set) var acceptance: Double
    private let expected: Double

    /// - Parameter expected: the acceptance as long as nothing is known.
    init(expected: Double) {
        acceptance = expected
        self.expected = expected
    }

    mutating func observe(isRight: Bool) { acceptance += ((isRight ? 1 : 0) - acceptance) * Self.weight }

    /// Lets time pass without a guess, so that one is tried again some day.
    mutating func recover() { acceptance += max(0, expected - acceptance) * Self.recovery }

    /// Drafts that are worth their cost, up to `most`, and what they gain on average, in tokens.
    func plan(cost: Double, most: Int) -> (count: Int, gain: Double) {
        var plan = (count: 0, gain: 0.0)
        var probability = acceptance
        while plan.count < most, probability > cost {
            plan.count += 1
            plan.gain += probability - cost
            probability *= acceptance
        }
        return plan
    }
}

/// What a draft costs, in tokens that the same time would make without it.
struct DraftCosts: Equatable {
    /// Its row in the model's step.
    var row: Double
    /// The same, and the draft model's work.
    var fromModel: Double
    /// A row of the draft model that no guess comes from.
    var catchUpRow = 0.0

    /// Every draft costs the same, whatever was measured.
    init(fixed: Double) { (row, fromModel) = (fixed, fixed) }

    /// A token costs its own row and its share of what every step costs; so does a draft, of the draft model's step.
    ///
    /// The fit of the costs is a guess. So it is never taken to say that a row costs nothing, nor that those of drafts which
    /// are nearly always right do not pay.
    ///
    /// - Parameters:
    ///   - sequences: those that got a token from the last step.
    ///   - modelShare: what the draft model's step takes of the model's, as long as neither was measured.
    init(position: Int, sequences: Int, step: StepCosts?, draftStep: StepCosts?, modelShare: Double) {
        row = 0.1
        fromModel = row + modelShare
        guard let step, let token = step.token(position: position, sequences: sequences) else { return }
        row = min(0.9, max(0.1, step.nanoseconds(StepWork(from: position, count: 1)) / token))
        fromModel = row + modelShare
        guard let draftStep, let draft = draftStep.token(position: position, sequences: sequences) else { return }
        fromModel = row + draft / token
        catchUpRow = draftStep.nanoseconds(StepWork(from: position / 2, count: 1)) / token
    }
}

extension StepCosts {
    /// Nanoseconds of a sequence's row and its share of the step.
    fileprivate func token(position: Int, sequences: Int) -> Double? {
        let token = step / Double(max(1, sequences)) + nanoseconds(StepWork(from: position, count: 1))
        return token > 0 ? token : nil
    }
}
