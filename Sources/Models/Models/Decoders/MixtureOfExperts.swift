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
    private let router: MatrixGroup
    /// For every expert: gate and up are feed-forward width × width, down is the reverse.
    private let gate: [PackedMatrix]
    private let up: [PackedMatrix]
    private let down: [PackedMatrix]

    init(
        _ block: String, _ configuration: DecoderConfiguration, _ experts: ExpertConfiguration,
        tensors: inout TensorTable
    ) throws(ModelLoadError) {
        let (width, inner) = (configuration.width, configuration.feedForwardWidth)
        router = MatrixGroup([
            .init(try tensors.matrix(block + "ffn_gate_inp.weight", rows: experts.count, columns: width))
        ])
        gate = try tensors.matrices(block + "ffn_gate_exps.weight", experts.count, rows: inner, columns: width)
        up = try tensors.matrices(block + "ffn_up_exps.weight", experts.count, rows: inner, columns: width)
        down = try tensors.matrices(block + "ffn_down_exps.weight", experts.count, rows: width, columns: inner)
    }

    func callAsFunction(
        _ input: FloatRows, addingTo output: FloatRows, workspace: ExpertWorkspace, tiles: InputTiles, pool: ComputePool
    ) {
        router.multiply(input, into: workspace.routerOutputs, tiles: tiles, pool: pool)
        workspace.route(rows: input.rows)
        pool.run(rows: input.rows) { rows in
            for row in rows { workspace.gather(row: row, from: input) }
        }
        multiplyGroups(workspace.grouped, gate, into: workspace.gate, workspace, pool: pool)
        multiplyGroups(workspace.grouped, up, into: workspace.up, workspace, pool: pool)
        pool.run(rows: workspace.groupedRows) { rows in
            for row in rows { workspace.gate.siluMultiply(row: row, by: workspace.up) }
        }
        multiplyGroups(workspace.gate, down, into: workspace.grouped, workspace, pool: pool)
        pool.run(rows: input.rows) { rows in
            for row in rows { workspace.combine(row: row, addingTo: output) }
        }
    }

    /// The rows of each group times the matrix of the group's expert, all as one job.
    ///
    /// Groups may differ widely in size, so every one is cut; the pool evens out what is left.
    private func multiplyGroups(
        _ input: FloatRows, _ experts: [PackedMatrix], into output: FloatRows, _ workspace: ExpertWorkspace,
        pool: ComputePool
    ) {
        let (tiles, groups) = (workspace.tiles, workspace.groups)
        tiles.layOut(columns: input.columns, inputType: experts[0].inputType, instructionSet: pool.instructionSet)
        for group in groups { tiles.append(group: group.rows) }
        pool.run(parts: tiles.count) { tiles.prepare(tile: $0, from: input) }
        let panels = experts[0].panelCount
        let shares = min(panels, 4 * pool.threads)
        pool.run(parts: groups.count * shares) { part in
            let (index, share) = (part / shares, part % shares)
            experts[groups[index].expert].multiply(
                tiles, group: index, panels: panels * share / shares..<panels * (share + 1) / shares,
                into: output.rows(groups[index].rows))
        }
    }
}
