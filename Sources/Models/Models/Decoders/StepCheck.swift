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
        try checkRows(step.rows, cache: cache)
    }

    private func hasRoomForExperts(_ workspace: ForwardWorkspace) -> Bool {
        guard let experts = configuration.experts else { return true }
        return workspace.experts?.fits(
            experts, width: configuration.width, feedForwardWidth: configuration.feedForwardWidth) == true
    }

    private func checkRows(_ rows: [ForwardRow], cache: KeyValueCache) throws(ForwardError) {
        var next: [Int32: Int] = [:]
        for row in rows {
            guard row.token >= 0, Int(row.token) < configuration.vocabularySize else {
                throw .tokenOutOfRange(token: row.token, vocabularySize: configuration.vocabularySize)
            }
            guard row.sequence >= 0, Int(row.sequence) < cache.slots else {
                throw .sequenceOutOfRange(sequence: row.sequence, slots: cache.slots)
            }
            let expected = next[row.sequence] ?? cache.length(slot: Int(row.sequence))
            let continues = next[row.sequence] == nil ? Int(row.position) <= expected : Int(row.position) == expected
            guard row.position >= 0, continues, Int(row.position) < cache.positions else {
                throw .positionOutOfRange(position: row.position, expected: expected, limit: cache.positions)
            }
            next[row.sequence] = Int(row.position) + 1
        }
    }
}
