import Tensors

/// Many small feed-forward parts, of which a router picks a few for every row.
///
///     rows → router → chosen experts, their weights → rows grouped by expert → gate, up, silu → down → sum per row
///
/// All rows that chose an expert are multiplied by its matrices at once, so a step reads each of them at most once.
/// The group cannot be seen in the result: a product treats every row by itself, and a row adds the outputs of its
/// experts in the order in which the router chose them.
struct MixtureOfExperts: Sendable {
    /// experts × width.
    private let router: WeightMatrix
    /// For every expert: gate and up are feed-forward width × width, down is the reverse.
    private let gate: [WeightMatrix]
    private let up: [WeightMatrix]
    private let down: [WeightMatrix]

    init(
        _ block: String, _ configuration: DecoderConfiguration, _ experts: ExpertConfiguration,
        tensors: inout TensorTable
    ) throws(ModelLoadError) {
        let (width, inner) = (configuration.width, configuration.feedForwardWidth)
        router = try tensors.matrix(block + "ffn_gate_inp.weight", rows: experts.count, columns: width)
        gate = try tensors.matrices(block + "ffn_gate_exps.weight", experts.count, rows: inner, columns: width)
        up = try tensors.matrices(block + "ffn_up_exps.weight", experts.count, rows: inner, columns: width)
        down = try tensors.matrices(block + "ffn_down_exps.weight", experts.count, rows: width, columns: inner)
    }

    func callAsFunction(
        _ input: FloatRows, into output: FloatRows, workspace: ExpertWorkspace, pool: ComputePool
    ) {
        router.multiply(input, into: workspace.scores, pool: pool)
        workspace.route(rows: input.rows)
        pool.run(parts: input.rows) { workspace.gather(row: $0, from: input) }
        activate(workspace, pool: pool)
        project(workspace, pool: pool)
        pool.run(parts: input.rows) { workspace.combine(row: $0, into: output) }
    }

    /// Rows of `workspace.gate` become silu(gate · x) · (up · x).
    private func activate(_ workspace: ExpertWorkspace, pool: ComputePool) {
        let inner = workspace.gate.columns
        forEachShare(of: inner, workspace.groups, pool: pool) { group, share in
            let input = workspace.grouped.rows(group.rows)
            let (gates, ups) = (workspace.gate.rows(group.rows), workspace.up.rows(group.rows))
            gate[group.expert].multiply(input, rows: share, into: gates)
            up[group.expert].multiply(input, rows: share, into: ups)
            for row in 0..<input.rows { gates.siluMultiply(row: row, columns: share, by: ups) }
        }
    }

    /// Rows of `workspace.grouped` become the outputs of their experts.
    private func project(_ workspace: ExpertWorkspace, pool: ComputePool) {
        forEachShare(of: workspace.grouped.columns, workspace.groups, pool: pool) { group, share in
            let (gates, results) = (workspace.gate.rows(group.rows), workspace.grouped.rows(group.rows))
            down[group.expert].multiply(gates, rows: share, into: results)
        }
    }

    /// Cuts the weight rows of every group's expert into shares and computes them all as one job.
    ///
    /// Groups may differ widely in size, so every one is cut; the pool evens out what is left.
    private func forEachShare(
        of weightRows: Int, _ groups: [ExpertWorkspace.Group], pool: ComputePool,
        _ body: @Sendable (ExpertWorkspace.Group, Range<Int>) -> Void
    ) {
        let shares = min(weightRows, 4 * pool.threads)
        pool.run(parts: groups.count * shares) { part in
            let share = part % shares
            body(groups[part / shares], weightRows * share / shares..<weightRows * (share + 1) / shares)
        }
    }
}
