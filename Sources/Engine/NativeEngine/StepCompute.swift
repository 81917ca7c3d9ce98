import EngineProtocol
import Models
import Scheduling
import Tensors

/// The rows of one step, the cache and the buffers that they are computed in.
///
/// Made on one thread and then used by the loop's thread alone, which is why it may cross between them.
final class StepCompute: @unchecked Sendable {
    private let decoder: any DecoderModel
    let cache: KeyValueCache
    private let workspace: ForwardWorkspace
    let pool: ComputePool
    private var step: ForwardStep

    /// - Parameters:
    ///   - commitsWholeCache: takes the memory of all blocks now, not only that of one sequence of the whole context.
    ///   - progress: learns which layer is computed.
    ///   - isCancelled: asked between the layers for the sequence of a slot.
    init(
        decoder: any DecoderModel, model: LoadedModel, limits: SchedulerLimits, commitsWholeCache: Bool = false,
        progress: ProgressPage = ProgressPage(),
        isCancelled: @escaping @Sendable (_ slot: Int32) -> Bool
    ) throws(EngineError) {
        self.decoder = decoder
        do {
            cache = try KeyValueCache(
                configuration: decoder.configuration, blocks: limits.blocks, type: model.cacheType)
            let blocksOfOne = (model.contextLength + limits.blockPositions - 1) / limits.blockPositions
            // Memory that is missing shows now, not in the middle of an answer.
            try cache.commit(blocks: commitsWholeCache ? limits.blocks : blocksOfOne)
            workspace = try ForwardWorkspace(
                configuration: decoder.configuration, maximumRows: limits.rowsPerStep,
                maximumLogitRows: limits.logitsRowsPerStep)
        } catch {
            throw .resourceExhausted(message: error.description, permanent: true)
        }
        pool = model.pool
        let tables: [[Int32]] = Array(repeating: [], count: limits.slots)
        step = ForwardStep(
            rows: [], blockTables: tables, isCancelled: isCancelled, onLayer: { progress.beginLayer($0) })
        step.rows.reserveCapacity(limits.rowsPerStep)
    }

    func begin() {
        step.rows.removeAll(keepingCapacity: true)
        step.embeddings.removeAll(keepingCapacity: true)
        step.layered = nil
    }

    func copyBlock(from source: Int32, to target: Int32) { cache.copyBlock(from: Int(source), to: Int(target)) }

    /// Says where the positions of a slot's sequence are: in these blocks, from the first on.
    func setBlocks(_ blocks: [Int32], slot: Int) { step.blockTables[slot] = blocks }

    /// - Parameter embedding: a row in the place of the token's.
    func append(
        token: Int32, position: Int, slot: Int, wantsLogits: Bool, wantsHiddenState: Bool = false,
        embedding: ArraySlice<Float>? = nil
    ) {
        var row = ForwardRow(
            token: token, position: Int32(truncatingIfNeeded: position), sequence: Int32(truncatingIfNeeded: slot),
            wantsLogits: wantsLogits, wantsHiddenState: wantsHiddenState)
        if let embedding {
            row.embedding = Int32(truncatingIfNeeded: step.embeddings.count / embedding.count)
            step.embeddings += embedding
        }
        step.rows.append(row)
    }

    /// Says that of the last rows only these layers are computed in this step.
    func setLayers(_ layers: Range<Int>, ofLastRows rows: Int) {
        step.layered = LayeredRows(count: rows, layers: layers)
    }

    func forward() throws(ForwardError) {
        try decoder.forward(step, cache: cache, workspace: workspace, pool: pool)
    }

    /// The logits of a row of the step; nil if its sequence was cancelled on the way.
    func logits(row: Int) -> UnsafeMutableBufferPointer<Float>? { workspace.logits(row: row) }

    /// The hidden state of a row of the step; nil if its sequence was cancelled on the way.
    func hiddenState(row: Int) -> UnsafeMutableBufferPointer<Float>? { workspace.hiddenState(row: row) }

    /// Gives the memory of a block that holds nothing back to the system.
    func release(block: Int32) { cache.release(block: Int(block)) }
}
