import EngineProtocol
import Sampling

/// A call that the loop works on.
struct RunningCall {
    enum Work {
        case generation(PreparedGeneration)
        case scoring(RunningScore)
    }

    var work: Work
    var progress: CallProgress
    var choicesLeft: Int
    var completionTokens: UInt32 = 0

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
        }
    }
}

/// One choice that has a slot.
struct RunningChoice {
    let call: CallID
    let choice: UInt32
    let prompt: [Int32]
    let maximumTokens: Int
    let stopTokens: Set<Int32>
    let admittedAt: UInt64
    var sampler: Sampler
    var text: any ChoiceText
    /// Nil where no log-probabilities are wanted.
    var trail: LogProbabilityTrail?
    var generatedTokens = 0
    var lastToken: Int32 = 0

    /// The token of a row: of the prompt, or the last one that was generated.
    func token(at position: Int) -> Int32 { position < prompt.count ? prompt[position] : lastToken }
}

/// A text that is being scored, window by window.
struct RunningScore {
    let windows: ScoreWindows
    var window = 0
    /// Nats over all targets so far.
    var sum = 0.0

    func token(row: Int) -> Int32 { windows.token(window: window, row: row) }
    /// The token that a row predicts, if it counts.
    func target(row: Int) -> Int32? { windows.target(window: window, row: row) }

    var meanNegativeLogLikelihood: Double { sum / Double(windows.countedTokens) }
}
