import EngineProtocol
import Sampling

/// A generation whose input is tokenized and checked: all that the engine loop needs, and nothing that can fail.
public struct PreparedGeneration: Sendable {
    struct Input: Sendable {
        let prompt: Prompt
        /// Tokens to generate.
        let maximumTokens: Int
        /// With the prompt counted; each choice takes a copy.
        let sampler: Sampler
        let findsToolCalls: Bool
    }

    let inputs: [Input]
    let choicesPerInput: UInt32
    let stopStrings: [String]
    let stopTokens: Set<Int32>
    let logProbabilities: LogProbabilityOptions?
    let tensors: TensorRequest?
    /// Bytes of one row of `tensors`.
    let rowBytes: Int
    let speculation: SpeculationMode
    let cacheSalt: String
    /// Nil where the generation belongs to no session.
    var session: SessionRun?
    let tenant: String
    let priority: Int8
    let deadline: UInt64
    /// Nanoseconds that template, tokenizer and checks took.
    public var preparationNanoseconds: UInt64

    public var promptTokens: Int { inputs.reduce(0) { $0 + $1.prompt.tokens.count } }
    /// Of another tenant's prompts nobody can tell from the time of an answer that they are known, whatever the salt.
    var blockSalt: String {
        session?.cacheSalt ?? (cacheSalt.isEmpty ? "" : "\(tenant)\u{0}\(cacheSalt)")
    }
    var sequenceCount: Int { inputs.count * Int(choicesPerInput) }
    /// Rows of drafts would be rows that nobody asked for, and rows in the place of tokens tell nothing of what follows.
    var speculates: Bool { tensors == nil && inputs.allSatisfy { $0.prompt.rows.isEmpty } }
    /// The input that a choice continues.
    func input(of choice: UInt32) -> Int { Int(choice / choicesPerInput) }
}

/// Positions as the model reads them; an input has at least one.
struct Prompt: Sendable, Equatable {
    /// One for each position; where rows were given they mean nothing.
    private(set) var tokens: [Int32]
    /// Rows in the place of tokens.
    private(set) var rows = EmbeddedRows()

    init(tokens: [Int32], rows: EmbeddedRows = EmbeddedRows()) {
        self.tokens = tokens
        self.rows = rows
    }

    init(embeddings: Tensor) {
        tokens = Array(repeating: 0, count: Int(embeddings.rows))
        rows.append(embeddings, at: 0)
    }

    /// The tokens that were really said.
    var knownTokens: [Int32] {
        rows.isEmpty ? tokens : tokens.indices.filter { rows.row(at: $0) == nil }.map { tokens[$0] }
    }

    mutating func append(_ other: Prompt) {
        rows.append(other.rows, at: tokens.count)
        tokens += other.tokens
    }

    /// Takes positions out; what follows them moves up.
    mutating func remove(_ range: Range<Int>) {
        tokens.removeSubrange(range)
        rows.remove(range)
    }

    /// What the value keeps in memory.
    var byteCount: Int { tokens.count * MemoryLayout<Int32>.size + rows.byteCount }
}

/// Inputs that become one vector each.
public struct PreparedEmbedding: Sendable {
    let inputs: [Prompt]
    let pooling: EmbedRequest.Pooling
    let normalizes: Bool
    /// Numbers of one vector.
    let width: Int
    let tenant: String
    let priority: Int8
    let deadline: UInt64
    public var preparationNanoseconds: UInt64

    var promptTokens: Int { inputs.reduce(0) { $0 + $1.tokens.count } }
}

/// A text to score, tokenized and cut into windows.
public struct PreparedScore: Sendable {
    let windows: ScoreWindows
    public var preparationNanoseconds: UInt64
}
