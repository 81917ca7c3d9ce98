import EngineProtocol

/// One input of a run, which is a batch of them, and its answer as far as that has come.
struct BatchElement {
    /// Its choice's index.
    let choice: Int
    var text: (any AnswerText)?
    /// Content as it was said; of an answer with tool calls it is not all.
    var said = ""
    var hasToolCalls = false
    /// With the history that it goes on after, as far as they are known.
    var inputTokens = 0
    var generated = 0
    var heldIDs: [Int32] = []
    var lastToken: Int32 = -1
    var rows = 0
    var vector = PooledVector()
    /// The choice has ended: what the runtime still says is dropped.
    var isOver = false

    /// What it takes of the context.
    var positions: Int { inputTokens + generated }
}
