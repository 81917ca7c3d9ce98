public import Tensors

/// What defines the computation of a decoder, as read from the model file and checked.
public struct DecoderConfiguration: Sendable {
    public internal(set) var architecture: String
    public internal(set) var layerCount: Int
    /// Elements of a hidden state.
    public internal(set) var width: Int
    public internal(set) var headCount: Int
    /// Key-value heads: each serves `headCount` / `keyValueHeadCount` query heads.
    public internal(set) var keyValueHeadCount: Int
    public internal(set) var headDimension: Int
    /// Elements between the two halves of the feed-forward part; of one expert if it is a mixture.
    public internal(set) var feedForwardWidth: Int
    /// Nil if the feed-forward part is no mixture of experts.
    public internal(set) var experts: ExpertConfiguration?
    public internal(set) var vocabularySize: Int
    /// Positions that the model was trained for.
    public internal(set) var trainedContextLength: Int
    /// A position sees itself and the `slidingWindow` − 1 before it; nil: all before it.
    public internal(set) var slidingWindow: Int?
    public internal(set) var normEpsilon: Float
    public internal(set) var rotary: RotaryEmbedding
    /// The output matrix is the embedding matrix.
    public internal(set) var tiedEmbeddings: Bool

    /// Elements of all query heads of a row.
    public var queryWidth: Int { headCount * headDimension }
    /// Elements of all key heads of a row, and of all value heads.
    public var keyValueWidth: Int { keyValueHeadCount * headDimension }
    /// Bytes of one block of a `KeyValueCache`.
    public func cacheBytesPerBlock(_ type: CacheType) -> Int {
        layerCount * KeyValueBlocks.byteCount(heads: keyValueHeadCount, headDimension: headDimension, type: type)
    }

    /// The positions that a row at `position` attends to.
    func visiblePositions(at position: Int) -> Range<Int> {
        max(0, position + 1 - (slidingWindow ?? position + 1))..<position + 1
    }
}
