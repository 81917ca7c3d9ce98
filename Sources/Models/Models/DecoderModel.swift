public import Tensors

/// A transformer that predicts the next token.
///
/// Shapes and weights never change after loading, so a model may be used by several caches; a cache and a workspace
/// belong to one caller at a time.
public protocol DecoderModel: AnyObject, Sendable {
    var configuration: DecoderConfiguration { get }
    /// Number of weights in the file.
    var parameterCount: UInt64 { get }
    /// Bytes of the weights in the file.
    var weightBytes: UInt64 { get }
    /// Bytes of the weights in memory once they are packed.
    var packedBytes: UInt64 { get }

    /// Additions and multiplications with weights for one token whose logits nobody wants.
    var operationsPerToken: UInt64 { get }
    /// Bytes of weights that a step of one row with logits reads.
    var bytesPerStep: UInt64 { get }

    /// Packs the weights for the kernels; needed once, before the first step.
    func pack(pool: ComputePool) throws(ModelLoadError)

    /// Computes one step: stores keys and values of every row, and logits and hidden states for the rows that want them.
    ///
    /// These lie in `workspace` until the next step. The result for a row depends on its sequence alone: it has the
    /// same bits alone, in any batch, in any chunk, and for any number of threads.
    ///
    /// Before each layer `step.isCancelled` is asked for each sequence; the rows of a cancelled one are dropped there.
    /// They leave neither, and their sequence keeps the length that it had.
    ///
    /// Layers of `step.layered` that are not the last leave what the next ones begin with in `workspace`.
    func forward(
        _ step: ForwardStep, cache: KeyValueCache, workspace: ForwardWorkspace, pool: ComputePool
    ) throws(ForwardError)
}

/// One token at one position of one sequence.
public struct ForwardRow: Sendable, Equatable {
    public var token: Int32
    public var position: Int32
    /// Index of the sequence in the step's block tables.
    public var sequence: Int32
    public var wantsLogits: Bool
    /// Wants what the output matrix is multiplied with: the normalised output of the last layer.
    public var wantsHiddenState: Bool
    /// The row of `ForwardStep.embeddings` that stands in the place of the token's; nil: the token's own.
    public var embedding: Int32?

    public init(
        token: Int32, position: Int32, sequence: Int32, wantsLogits: Bool, wantsHiddenState: Bool = false,
        embedding: Int32? = nil
    ) {
        self.token = token
        self.position = position
        self.sequence = sequence
        self.wantsLogits = wantsLogits
        self.wantsHiddenState = wantsHiddenState
        self.embedding = embedding
    }
}

/// The rows that are computed together.
///
/// Rows of one sequence lie side by side and have rising positions without gaps. What the cache holds before the first of
/// them is taken as it is; what it holds from there on is replaced.
public struct ForwardStep: Sendable {
    public var rows: [ForwardRow]
    /// Rows as wide as the model, one after the other, for those that `ForwardRow.embedding` names.
    public var embeddings: [Float] = []
    /// For each sequence the blocks of the cache that hold its positions: 0 ..< 32, 32 ..< 64 and so on.
    public var blockTables: [[Int32]]
    /// The last rows, if only some of their layers are computed.
    public var layered: LayeredRows?
    /// Asked between layers whether a sequence was cancelled; nil: never.
    public var isCancelled: (@Sendable (_ sequence: Int32) -> Bool)?
    /// Told before each layer, counted from 1, and before the output, which counts as one more.
    public var onLayer: (@Sendable (_ number: Int) -> Void)?

    public init(
        rows: [ForwardRow], blockTables: [[Int32]], layered: LayeredRows? = nil,
        isCancelled: (@Sendable (_ sequence: Int32) -> Bool)? = nil, onLayer: (@Sendable (_ number: Int) -> Void)? = nil
    ) {
        self.rows = rows
        self.blockTables = blockTables
        self.layered = layered
        self.isCancelled = isCancelled
        self.onLayer = onLayer
    }
}

/// Rows of one sequence, the last ones of a step, of which the step computes some layers only.
///
/// The same rows come again with the layers that follow, until the last. What is between them is kept in the workspace.
public struct LayeredRows: Sendable, Equatable {
    public var count: Int
    public var layers: Range<Int>

    public init(count: Int, layers: Range<Int>) {
        self.count = count
        self.layers = layers
    }
}

/// Why a step was refused; nothing was computed then.
public enum ForwardError: Error, Sendable, Equatable, CustomStringConvertible {
    case tooManyRows(count: Int, limit: Int)
    case tooManyLogits(count: Int, limit: Int)
    case tokenOutOfRange(token: Int32, vocabularySize: Int)
    case embeddingOutOfRange(row: Int32, rows: Int)
    case sequenceOutOfRange(sequence: Int32, tables: Int)
    /// `expected` is nil for the first row of a sequence; `limit` is the end of its block table.
    case positionOutOfRange(position: Int32, expected: Int?, limit: Int)
    case blockOutOfRange(block: Int32, blocks: Int)
    /// Of these rows other layers, or none, were computed before.
    case layersOutOfOrder(LayeredRows)
    case mismatch(what: String)

    public var description: String {
        switch self {
        case .tooManyRows(let count, let limit): "a step of \(count) rows, the workspace has room for \(limit)"
        case .tooManyLogits(let count, let limit): "\(count) rows want logits, the workspace has room for \(limit)"
        case .tokenOutOfRange(let token, let size): "token \(token) is not below the vocabulary size \(size)"
        case .embeddingOutOfRange(let row, let rows): "row \(row) of \(rows) embeddings"
        case .sequenceOutOfRange(let sequence, let tables): "sequence \(sequence), but there are \(tables) block tables"
        case .positionOutOfRange(let position, let expected?, _):
            "position \(position), where \(expected) has to follow"
        case .positionOutOfRange(let position, nil, let limit):
            "position \(position) is not in the \(limit) positions of the block table"
        case .blockOutOfRange(let block, let blocks): "block \(block) of a cache of \(blocks)"
        case .layersOutOfOrder(let rows): "layers \(rows.layers) of \(rows.count) rows, which do not follow"
        case .mismatch(let what): "\(what) was made for another model"
        }
    }
}
