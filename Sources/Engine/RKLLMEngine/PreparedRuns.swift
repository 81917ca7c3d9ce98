import CRKLLM
import EngineProtocol

/// A call as runs of the runtime, one after the other; everything that can be refused before has been.
public struct PreparedRuns: Sendable {
    enum Answer {
        /// Text, or rows of the prompt.
        case generation(stopStrings: [String], stopTokens: Set<Int32>, tensors: TensorRequest?)
        case embedding(pooling: EmbedRequest.Pooling, normalizes: Bool)
    }

    /// Choice for choice; those of one input stand side by side.
    let runs: [PreparedRun]
    var choicesPerInput = 1
    let answer: Answer
    let deadline: UInt64
    /// Nanoseconds that the checks took.
    public var preparationNanoseconds: UInt64 = 0

    /// Tokens of the inputs, as far as they are known: a text's are the runtime's secret until it has run.
    var knownPromptTokens: Int { runs.reduce(0) { $0 + $1.input.positions } / choicesPerInput }
    /// Whether it goes on with a conversation that the runtime has to have in its cache.
    var continues: Bool { runs.contains { ($0.turns?.count ?? 1) > 1 } }
}

/// One run: one input, one choice.
struct PreparedRun: Sendable {
    enum Input: Sendable {
        case prompt(String)
        case tokens([Int32])
        case embeddings(Tensor)

        /// Tokens or rows; 0 of a text.
        var positions: Int {
            switch self {
            case .prompt: 0
            case .tokens(let ids): ids.count
            case .embeddings(let rows): Int(rows.rows)
            }
        }

        func withBytes(_ body: (apus_rkllm_input, UnsafeRawPointer?, Int) -> Int32) -> Int32 {
            switch self {
            case .prompt(let text): text.withCString { body(apus_rkllm_prompt, $0, 0) }
            case .tokens(let ids): ids.withUnsafeBytes { body(apus_rkllm_tokens, $0.baseAddress, ids.count) }
            case .embeddings(let rows):
                rows.values.withUnsafeBytes { body(apus_rkllm_embeddings, $0.baseAddress, Int(rows.rows)) }
            }
        }
    }

    let input: Input
    let mode: apus_rkllm_mode
    /// Of a chat: its turns, of which the last one is the input.
    var turns: [ChatTurn]?
    var thinks = false
    var sampling = apus_rkllm_sampling.unchanged
    var maximumTokens = 0
}

/// One message of a conversation.
struct ChatTurn: Sendable, Equatable {
    enum Role: String, Sendable {
        case user, assistant
    }

    let role: Role
    let text: String
}
