import Tensors

/// Checks a step before anything is computed, so that the computation needs no checks of its own.
struct StepCheck {
    let configuration: DecoderConfiguration

    init(_ configuration: DecoderConfiguration) { self.configuration = configuration }

    func check(_ step: ForwardStep, cache: KeyValueCache, workspace: ForwardWorkspace) throws(ForwardError) {
        guard cache.layerCount == configuration.layerCount, cache.keyValueWidth == configuration.keyValueWidth else {
            throw .mismatch(what: "the cache")
        }
        guard workspace.hidden.columns == configuration.width,
            workspace.logitRows.columns == configuration.vocabularySize,
            workspace.gate.columns == configuration.feedForwardWidth,
            workspace.queries.columns == configuration.queryWidth,
            workspace.keys.columns == configuration.keyValueWidth,
            workspace.cosines.columns == configuration.rotary.pairs,
            hasRoomForExperts(workspace)
        else { throw .mismatch(what: "the workspace") }
        guard step.rows.count <= workspace.maximumRows else {
            throw .tooManyRows(count: step.rows.count, limit: workspace.maximumRows)
        }
        let logits = step.rows.count { $0.wantsLogits }
        guard logits <= workspace.maximumLogitRows else {
            throw .tooManyLogits(count: logits, limit: workspace.maximumLogitRows)
        }
        try checkRows(step, cache: cache)
        if let layered = step.layered { try check(layered, of: step, workspace: workspace) }
    }

    /// Layered rows are those of one sequence, and go on where their last step ended.
    private func check(
        _ layered: LayeredRows, of step: ForwardStep, workspace: ForwardWorkspace
    ) throws(ForwardError) {
        let layers = layered.layers
        guard (1...max(1, step.rows.count)).contains(layered.count),
            Set(step.rows.suffix(layered.count).map(\.sequence)).count == 1,
            !layers.isEmpty, layers.upperBound <= configuration.layerCount,
            layers.lowerBound == 0 || workspace.keeps(layered, of: step)
        else { throw .layersOutOfOrder(layered) }
    }

    private func hasRoomForExperts(_ workspace: ForwardWorkspace) -> Bool {
        guard let experts = configuration.experts else { return true }
        return workspace.experts?.fits(
            experts, width: configuration.width, feedForwardWidth: configuration.feedForwardWidth) == true
    }

    private func checkRows(_ step: ForwardStep, cache: KeyValueCache) throws(ForwardError) {
        for table in step.blockTables {
            for block in table where block < 0 || Int(block) >= cache.blocks {
                throw .blockOutOfRange(block: block, blocks: cache.blocks)
            }
        }
        var last: (sequence: Int32, position: Int32)?
        var seen: Set<Int32> = []
        let embeddings = step.embeddings.count / configuration.width
        for row in step.rows {
            if let index = row.embedding, index < 0 || Int(index) >= embeddings {
                throw .embeddingOutOfRange(row: index, rows: embeddings)
            }
            guard row.token >= 0, Int(row.token) < configuration.vocabularySize else {
                throw .tokenOutOfRange(token: row.token, vocabularySize: configuration.vocabularySize)
            }
            guard row.sequence >= 0, Int(row.sequence) < step.blockTables.count else {
                throw .sequenceOutOfRange(sequence: row.sequence, tables: step.blockTables.count)
            }
            let limit = step.blockTables[Int(row.sequence)].count * KeyValueCache.blockPositions
            let follows = last?.sequence == row.sequence
            let expected = follows ? last.map { Int($0.position) + 1 } : nil
            guard follows || seen.insert(row.sequence).inserted else {
                throw .positionOutOfRange(position: row.position, expected: nil, limit: limit)
            }
            guard row.position >= 0, Int(row.position) < limit, expected ?? Int(row.position) == Int(row.position)
            else {
                throw .positionOutOfRange(position: row.position, expected: expected, limit: limit)
            }
            last = (row.sequence, row.position)
        }
    }
}
