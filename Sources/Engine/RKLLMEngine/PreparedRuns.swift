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
    /// The session that the one run belongs to.
    var session: SessionUse?
    /// Where `session` saves the cache.
    var cacheFile: RuntimeFile?
    var adapter: String?
    var crossAttention: CrossAttention?
    /// Nanoseconds that the checks took.
    public var preparationNanoseconds: UInt64 = 0

    /// Tokens of the inputs, as far as they are known: a text's are the runtime's secret until it has run.
    var knownPromptTokens: Int { runs.reduce(0) { $0 + $1.input.positions } / choicesPerInput }
    /// Whether it goes on with a conversation that the runtime has to have in its cache.
    var continues: Bool { runs.contains { ($0.turns?.count ?? 1) > 1 } }
    /// Whether only the run thread knows that it can be done.
    var isAcceptedLate: Bool { continues || session != nil || adapter != nil }
}

/// One run: one input, one choice.
struct PreparedRun: Sendable {
    enum Input: Sendable {
        case prompt(String)
        case tokens([Int32])
        case embeddings(Tensor)
        case multimodal(MultimodalInput)

        /// Tokens or rows, as far as they are known: those of a text are not.
        var positions: Int {
            switch self {
            case .prompt: 0
            case .tokens(let ids): ids.count
            case .embeddings(let rows): Int(rows.rows)
            case .multimodal(let input): input.media.reduce(0) { $0 + Int($1.embeddings.rows) }
            }
        }

        /// Whether the runtime has text to count.
        var hasText: Bool {
            switch self {
            case .prompt, .multimodal: true
            case .tokens, .embeddings: false
            }
        }
    }

    var input: Input
    let mode: apus_rkllm_mode
    /// What the text is put into; nil where there is none.
    var template: PromptTemplate?
    /// What stands around images, where it comes with the model.
    var tags: ImageTags?
    /// Of a chat outside of sessions: its turns, of which the last one is the input.
    var turns: [ChatTurn]?
    var isTool = false
    var thinks = false
    /// Goes on with the paused answer of its session: its input is what that said last.
    var resumes = false
    var sampling = apus_rkllm_sampling.unchanged
    var maximumTokens = 0

    /// Whether both can be computed together.
    func canShareRun(with other: PreparedRun) -> Bool { template == other.template && tags == other.tags }
}

/// What the text of a prompt is put into.
enum PromptTemplate: Sendable, Equatable {
    /// That of the converted model.
    case ofModel
    /// The same, with tools, which are a JSON array.
    case tools(system: String, definitions: String)
    /// Nothing: it is computed as it is.
    case raw
}

/// What stands before, after and in the place of an image; all empty: the model's own.
struct ImageTags: Sendable, Equatable {
    var start = ""
    var end = ""
    var content = ""
}

/// One message of a conversation.
struct ChatTurn: Sendable, Equatable {
    enum Role: String, Sendable {
        case user, assistant, tool
    }

    let role: Role
    let text: String
}

/// A file that came beside a request; open as long as its owner lives.
public struct RuntimeFile: Sendable {
    let descriptor: Int32
    private let owner: any AnyObject & Sendable

    public init(descriptor: Int32, owner: any AnyObject & Sendable) {
        self.descriptor = descriptor
        self.owner = owner
    }

    /// Where the runtime can open it.
    var path: String { "/proc/self/fd/\(descriptor)" }
}
