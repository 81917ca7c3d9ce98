import Tensors

/// The second half of a block, which computes every row by itself.
enum FeedForward: Sendable {
    case dense(DenseFeedForward)
    case mixture(MixtureOfExperts)

    init(
        _ block: String, _ configuration: DecoderConfiguration, tensors: inout TensorTable
    ) throws(ModelLoadError) {
        if let experts = configuration.experts {
            self = .mixture(try MixtureOfExperts(block, configuration, experts, tensors: &tensors))
        } else {
            self = .dense(try DenseFeedForward(block, configuration, tensors: &tensors))
        }
    }

    /// Writes what is to be added to the residual stream; input and output are as long as the hidden state.
    func callAsFunction(
        _ input: FloatRows, into output: FloatRows, workspace: ForwardWorkspace, pool: ComputePool
    ) {
        switch self {
        case .dense(let dense):
            dense(input, into: output, gate: workspace.gate, up: workspace.up, pool: pool)
        case .mixture(let mixture):
            guard let experts = workspace.experts else { preconditionFailure("a workspace without experts") }
            mixture(input, into: output, workspace: experts, pool: pool)
        }
    }
}

/// down(silu(gate · x) · (up · x)): gate and up are feed-forward width × width, down is the reverse.
struct DenseFeedForward: Sendable {
    private let gate: Projection
    private let up: Projection
    private let down: Projection

    init(
        _ block: String, _ configuration: DecoderConfiguration, tensors: inout TensorTable
    ) throws(ModelLoadError) {
        let (width, inner) = (configuration.width, configuration.feedForwardWidth)
        gate = try Projection(block + "ffn_gate", rows: inner, columns: width, &tensors)
        up = try Projection(block + "ffn_up", rows: inner, columns: width, &tensors)
        down = try Projection(block + "ffn_down", rows: width, columns: inner, &tensors)
    }

    func callAsFunction(
        _ input: FloatRows, into output: FloatRows, gate gates: FloatRows, up ups: FloatRows, pool: ComputePool
    ) {
        gate(input, into: gates, pool: pool)
        up(input, into: ups, pool: pool)
        for row in 0..<input.rows { gates.siluMultiply(row: row, by: ups) }
        down(gates.prefix(input.rows), into: output, pool: pool)
    }
}
