import Tensors

/// The weights of one transformer block.
///
/// Shapes, as rows × columns: queries (heads · head dimension) × width, keys and values (key-value heads · head dimension)
/// × width, output width × (heads · head dimension).
struct DecoderLayer: Sendable {
    let attentionNorm: FloatVector
    let queries: Projection
    let keys: Projection
    let values: Projection
    let queryNorm: FloatVector?
    let keyNorm: FloatVector?
    let output: Projection
    let feedForwardNorm: FloatVector
    let feedForward: FeedForward

    init(
        index: Int, _ configuration: DecoderConfiguration, normalizesHeads: Bool, tensors: inout TensorTable
    ) throws(ModelLoadError) {
        let block = "blk.\(index)."
        let width = configuration.width
        let (queryWidth, keyValueWidth) = (configuration.queryWidth, configuration.keyValueWidth)
        attentionNorm = try tensors.vector(block + "attn_norm.weight", count: width)
        queries = try Projection(block + "attn_q", rows: queryWidth, columns: width, &tensors)
        keys = try Projection(block + "attn_k", rows: keyValueWidth, columns: width, &tensors)
        values = try Projection(block + "attn_v", rows: keyValueWidth, columns: width, &tensors)
        let head = configuration.headDimension
        queryNorm = normalizesHeads ? try tensors.vector(block + "attn_q_norm.weight", count: head) : nil
        keyNorm = normalizesHeads ? try tensors.vector(block + "attn_k_norm.weight", count: head) : nil
        output = try Projection(block + "attn_output", rows: width, columns: queryWidth, &tensors)
        feedForwardNorm = try tensors.vector(block + "ffn_norm.weight", count: width)
        feedForward = try FeedForward(block, configuration, tensors: &tensors)
        // Old converters stored the frequencies with every block.
        tensors.ignore(block + "attn_rot_embd")
        tensors.ignore(block + "attn_rot_embd.weight")
    }
}

/// A matrix and, in some models, a bias.
struct Projection: Sendable {
    let weight: WeightMatrix
    let bias: FloatVector?

    init(_ name: String, rows: Int, columns: Int, _ tensors: inout TensorTable) throws(ModelLoadError) {
        weight = try tensors.matrix(name + ".weight", rows: rows, columns: columns)
        bias = try tensors.optionalVector(name + ".bias", count: rows)
    }

    func callAsFunction(_ input: FloatRows, into output: FloatRows, pool: ComputePool) {
        weight.multiply(input, into: output, pool: pool)
        guard let bias else { return }
        for row in 0..<input.rows { output.add(row: row, bias) }
    }
}
