/// What one choice is expected to say next, from what its prompt and its answer said before.
///
/// It never changes a token: the target samples each position from its own logits, and a guess is only compared with that.
struct Speculation: Sendable {
    private var index: NGramIndex
    private var control = DraftControl()
    /// The expected tokens from position `start` on.
    private var guesses: [Int32] = []
    private var start = 0
    /// So many guesses are worth a row in the next step.
    private(set) var draftTokens = 0

    /// - Parameter tokens: the most that prompt and answer can have.
    init(tokens: Int) { index = NGramIndex(tokens: tokens) }

    /// The token that is expected at a position.
    func guess(at position: Int) -> Int32? {
        guesses.indices.contains(position - start) ? guesses[position - start] : nil
    }

    /// Learns from a token that the target chose.
    mutating func observe(_ token: Int32, at position: Int) {
        guard let guess = guess(at: position) else { return }
        control.observe(isRight: guess == token)
    }

    /// Guesses what follows `tokens`.
    ///
    /// - Parameters:
    ///   - stopTokens: nothing follows them, so that they need no row.
    ///   - rowCost: see `DraftControl`.
    mutating func propose(after tokens: [Int32], stopTokens: Set<Int32>, rowCost: Double, most: Int) {
        let count = control.count(rowCost: rowCost, most: most)
        index.extend(to: tokens)
        // One more than gets a row: the last row has a token too, and tells whether the guess for it was right.
        index.predict(count + 1, after: tokens, into: &guesses)
        start = tokens.count
        draftTokens = min(count, guesses.firstIndex(where: stopTokens.contains) ?? guesses.count)
    }
}
