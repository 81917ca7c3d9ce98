import EngineProtocol
import Sampling

/// A call that the loop works on.
struct RunningCall {
    enum Work {
        case generation(PreparedGeneration)
        case scoring(RunningScore)
        case embedding(RunningEmbedding)
    }

    var work: Work
    var progress: CallProgress
    var choicesLeft: Int
    var completionTokens: UInt32 = 0
    /// Tokens of the prompts that were found in the cache; those that choices share count once, as in `promptTokens`.
    var cachedTokens = 0
    /// Draft tokens that were computed, and those of them that were right.
    var draftTokens: UInt32 = 0
    var acceptedDraftTokens: UInt32 = 0
    /// Choices that had a slot and wait for another one.
    var parked: [UInt32: RunningChoice] = [:]

    init(_ arrival: EngineState.Arrival) {
        switch arrival.work {
        case .generation(let generation):
            work = .generation(generation)
            choicesLeft = generation.sequenceCount
            progress = CallProgress(preparation: generation.preparationNanoseconds, acceptedAt: arrival.acceptedAt)
        case .scoring(let score):
            work = .scoring(RunningScore(windows: score.windows))
            choicesLeft = 1
            progress = CallProgress(preparation: score.preparationNanoseconds, acceptedAt: arrival.acceptedAt)
        case .embedding(let embedding):
            work = .embedding(RunningEmbedding(embedding))
            choicesLeft = embedding.inputs.count
            progress = CallProgress(preparation: embedding.preparationNanoseconds, acceptedAt: arrival.acceptedAt)
        }
    }
}

/// One choice that has a slot, or that was paused.
struct RunningChoice: Sendable {
    private(set) var call: CallID
    let choice: UInt32
    /// The prompt, and what was generated.
    var tokens: [Int32]
    /// Rows in the place of some of the prompt's tokens.
    private(set) var rows: EmbeddedRows
    /// What leaves of every row; nil: nothing.
    private(set) var tensors: TensorRequest.Kind?
    private(set) var maximumTokens: Int
    let stopTokens: Set<Int32>
    private(set) var admittedAt: UInt64
    /// What was there when its call began: the prompt, and of a resumed answer what was said before.
    private(set) var firstTokens: Int
    /// Position of the next row that leaves.
    var nextRow: Int
    var sampler: Sampler
    var text: any ChoiceText
    let findsToolCalls: Bool
    /// Nil where no log-probabilities are wanted.
    var trail: LogProbabilityTrail?
    /// Nil where every step chooses one token.
    var speculation: Speculation?
    var generatedTokens = 0
    /// Tokens that the scheduler knows.
    var scheduledTokens: Int

    init(
        _ choice: UInt32, of generation: PreparedGeneration, call: CallID, admittedAt: UInt64, text: any ChoiceText,
        hasDraftModel: Bool
    ) {
        let input = generation.inputs[generation.input(of: choice)]
        self.call = call
        self.choice = choice
        tokens = input.prompt.tokens
        rows = input.prompt.rows
        tensors = generation.tensors?.kind
        maximumTokens = input.maximumTokens
        firstTokens = tokens.count
        nextRow = generation.session?.firstRow ?? 0
        stopTokens = generation.stopTokens
        self.admittedAt = admittedAt
        sampler = input.sampler
        self.text = text
        findsToolCalls = input.findsToolCalls
        trail = generation.logProbabilities.map(LogProbabilityTrail.init)
        speculation =
            generation.speculates
            ? Speculation(
                generation.speculation, tokens: tokens.count + maximumTokens, hasDraftModel: hasDraftModel) : nil
        scheduledTokens = tokens.count
    }

    /// Goes on with a paused answer as a choice of another call.
    ///
    /// What shapes the answer stays: sampler, text, stop tokens, log-probabilities.
    mutating func resume(
        in generation: PreparedGeneration, call: CallID, admittedAt: UInt64, hasDraftModel: Bool
    ) {
        let input = generation.inputs[0]
        self.call = call
        self.admittedAt = admittedAt
        // Positions may have been taken out meanwhile.
        tokens = input.prompt.tokens
        rows = input.prompt.rows
        tensors = generation.tensors?.kind
        maximumTokens = generatedTokens + input.maximumTokens
        firstTokens = tokens.count
        nextRow = generation.session?.firstRow ?? 0
        scheduledTokens = tokens.count
        speculation =
            generation.speculates
            ? Speculation(
                generation.speculation, tokens: tokens.count + input.maximumTokens, hasDraftModel: hasDraftModel) : nil
    }

    /// Nothing of the answer was chosen in this call yet.
    var isBeforeFirstToken: Bool { tokens.count == firstTokens }

    /// All of the prompt is computed, and nothing is to follow it.
    func endsWithPrompt(at position: Int) -> Bool { tokensLeft == 0 && position == tokens.count }
}

/// A text that is being scored, window by window.
struct RunningScore {
    let windows: ScoreWindows
    var window = 0
    /// Nats over all targets of the windows before, and of this one so far.
    var sum = 0.0
    var windowSum = 0.0

    func token(row: Int) -> Int32 { windows.token(window: window, row: row) }
    /// The token that a row predicts, if it counts.
    func target(row: Int) -> Int32? { windows.target(window: window, row: row) }

    var meanNegativeLogLikelihood: Double { sum / Double(windows.countedTokens) }
}
