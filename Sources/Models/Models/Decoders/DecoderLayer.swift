import Tensors

/// The weights of one transformer block.
///
/// Shapes, as rows × columns: queries (heads · head dimension) × width, keys and values (key-value heads · head dimension)
/// × width, output width × (heads · head dimension).
struct DecoderLayer: Sendable {
    let attentionNorm: FloatVector
    /// Queries, keys and values.
    let heads: MatrixGroup
    let queryNorm: FloatVector?
    let keyNorm: FloatVector?
    let output: MatrixGroup
    let feedForwardNorm: FloatVector
    let feedForward: FeedForward

    init(
        index: Int, _ configuration: DecoderConfiguration, normalizesHeads: Bool, tensors: inout TensorTable
    ) throws(ModelLoadError) {
        let block = "blk.\(index)."
        let width = configuration.width
        let (queryWidth, keyValueWidth) = (configuration.queryWidth, configuration.keyValueWidth)
        attentionNorm = try tensors.vector(block + "attn_norm.weight", count: width)
        heads = MatrixGroup([
            try tensors.projection(block + "attn_q", rows: queryWidth, columns: width),
            try tensors.projection(block + "attn_k", rows: keyValueWidth, columns: width),
            try tensors.projection(block + "attn_v", rows: keyValueWidth, columns: width),
        ])
        let head = configuration.headDimension
        queryNorm = normalizesHeads ? try tensors.vector(block + "attn_q_norm.weight", count: head) : nil
        keyNorm = normalizesHeads ? try tensors.vector(block + "attn_k_norm.weight", count: head) : nil
        output = MatrixGroup([try tensors.projection(block + "attn_output", rows: width, columns: queryWidth)])
        feedForwardNorm = try tensors.vector(block + "ffn_norm.weight", count: width)
        feedForward = try FeedForward(block, configuration, tensors: &tensors)
        // Old converters stored the frequencies with every block.
        tensors.ignore(block + "attn_rot_embd")
        tensors.ignore(block + "attn_rot_embd.weight")
    }
}

extension TensorTable {
    /// A matrix and, in some models, a bias.
    mutating func projection(_ name: String, rows: Int, columns: Int) throws(ModelLoadError) -> MatrixGroup.Member {
        let matrix = try matrix(name + ".weight", rows: rows, columns: columns)
        return MatrixGroup.Member(matrix, bias: try optionalVector(name + ".bias", count: rows))
    }
}
