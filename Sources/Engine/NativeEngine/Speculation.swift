import EngineProtocol

/// What one choice is expected to say next: what its prompt and its answer said before, or what a draft model says.
///
/// It never changes a token: the target samples each position from its own logits, and a guess is only compared with that.
struct Speculation: Sendable {
    /// Tokens that one source expects from position `start` on, and how often it is right.
    private struct Guesses: Sendable {
        var control: DraftControl
        var tokens: [Int32] = []
        var start = 0

        func token(at position: Int) -> Int32? {
            tokens.indices.contains(position - start) ? tokens[position - start] : nil
        }

        mutating func observe(_ token: Int32, at position: Int) {
            if let guess = self.token(at: position) { control.observe(isRight: guess == token) }
        }
    }

    /// Nil where the text so far is not asked.
    private var index: NGramIndex?
    private var fromText = Guesses(control: DraftControl(expected: 0.5))
    /// Nil without a draft model.
    ///
    /// A model is expected to know more than a repetition does.
    private var fromModel: Guesses?
    /// So many guesses are worth a row in the next step.
    private(set) var draftTokens = 0
    /// They are the draft model's, or will be.
    private(set) var usesModel = false
    /// So many guesses are wanted from the draft model, and so many of the text's are there otherwise.
    private var wantedFromModel = 0
    private var draftsFromText = 0

    /// Nil if nobody guesses.
    ///
    /// - Parameter tokens: the most that prompt and answer can have.
    init?(_ mode: SpeculationMode, tokens: Int, hasDraftModel: Bool) {
        let usesModel = mode.usesModel && hasDraftModel
        guard mode.usesText || usesModel else { return nil }
        index = mode.usesText ? NGramIndex(tokens: tokens) : nil
        fromModel = usesModel ? Guesses(control: DraftControl(expected: 0.8)) : nil
    }

    /// The token that is expected at a position, by the source of the drafts.
    func guess(at position: Int) -> Int32? { (usesModel ? fromModel : fromText)?.token(at: position) }

    /// Learns from a token that the target chose.
    mutating func observe(_ token: Int32, at position: Int) {
        fromText.observe(token, at: position)
        fromModel?.observe(token, at: position)
    }

    /// Guesses what follows `tokens`, or leaves it to the draft model, whichever gains more.
    ///
    /// - Parameter stopTokens: nothing follows them, so that they need no row.
    mutating func propose(after tokens: [Int32], stopTokens: Set<Int32>, costs: DraftCosts, most: Int) {
        let gain = lookUp(tokens, stopTokens: stopTokens, cost: costs.row, most: most)
        usesModel = false
        guard let plan = fromModel?.control.plan(cost: costs.fromModel, most: most) else { return }
        fromModel?.tokens.removeAll(keepingCapacity: true)
        fromModel?.start = tokens.count
        if plan.count == 0 { fromModel?.control.recover() }
        guard plan.gain > gain else { return }
        (usesModel, wantedFromModel) = (true, plan.count)
        draftTokens = 0
    }

    /// Takes a guess of the draft model; true if it wants another one after it.
    mutating func add(_ guess: Int32, stopTokens: Set<Int32>) -> Bool {
        fromModel?.tokens.append(guess)
        guard !stopTokens.contains(guess) else { return false }
        draftTokens += 1
        return draftTokens < wantedFromModel
    }

    /// Goes on with what the text tells, because the draft model cannot guess now.
    mutating func abandonModel() { (usesModel, draftTokens) = (false, draftsFromText) }

    /// Guesses what followed the same tokens before, and returns what that gains on average.
    private mutating func lookUp(_ tokens: [Int32], stopTokens: Set<Int32>, cost: Double, most: Int) -> Double {
        let plan = fromText.control.plan(cost: cost, most: most)
        index?.extend(to: tokens)
        // One more than gets a row: the last row has a token too, and tells whether the guess for it was right. So a
        // choice that stopped drafting notices when it would pay again.
        index?.predict(plan.count + 1, after: tokens, into: &fromText.tokens)
        fromText.start = tokens.count
        let guesses = fromText.tokens.firstIndex(where: stopTokens.contains) ?? fromText.tokens.count
        draftsFromText = min(plan.count, guesses)
        draftTokens = draftsFromText
        return draftTokens > 0 ? plan.gain : 0
    }
}
