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

    /// Adds to the residual stream; input and output are as long as the hidden state.
    func callAsFunction(
        _ input: FloatRows, addingTo output: FloatRows, workspace: ForwardWorkspace, pool: ComputePool
    ) {
        switch self {
        case .dense(let dense):
            dense(input, addingTo: output, workspace: workspace, pool: pool)
        case .mixture(let mixture):
            guard let experts = workspace.experts else { preconditionFailure("a workspace without experts") }
            mixture(input, addingTo: output, workspace: experts, tiles: workspace.tiles, pool: pool)
        }
    }
}

/// down(silu(gate · x) · (up · x)): gate and up are feed-forward width × width, down is the reverse.
struct DenseFeedForward: Sendable {
    /// Gate and up.
    private let inner: MatrixGroup
    private let down: MatrixGroup

    init(
        _ block: String, _ configuration: DecoderConfiguration, tensors: inout TensorTable
    ) throws(ModelLoadError) {
        let (width, inner) = (configuration.width, configuration.feedForwardWidth)
        self.inner = MatrixGroup([
            try tensors.projection(block + "ffn_gate", rows: inner, columns: width),
            try tensors.projection(block + "ffn_up", rows: inner, columns: width),
        ])
        down = MatrixGroup([try tensors.projection(block + "ffn_down", rows: width, columns: inner)])
    }

    func callAsFunction(
        _ input: FloatRows, addingTo output: FloatRows, workspace: ForwardWorkspace, pool: ComputePool
    ) {
        let (gate, up) = (workspace.gate, workspace.up)
        inner.multiply(input, into: workspace.feedForwardOutputs, tiles: workspace.tiles, pool: pool)
        pool.run(rows: input.rows) { rows in
            for row in rows { gate.siluMultiply(row: row, by: up) }
        }
        down.multiply(
            gate.prefix(input.rows), into: workspace.residual, adds: true, tiles: workspace.tiles, pool: pool)
    }
}
