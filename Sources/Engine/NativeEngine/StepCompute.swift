import EngineProtocol
import Models
import Scheduling
import Tensors

/// The rows of one step, the cache and the buffers that they are computed in.
///
/// Made on one thread and then used by the loop's thread alone, which is why it may cross between them.
final class StepCompute: @unchecked Sendable {
    private let decoder: any DecoderModel
    private let cache: KeyValueCache
    private let workspace: ForwardWorkspace
    let pool: ComputePool
    private let tables: [[Int32]]
    private var step: ForwardStep

    /// - Parameter isCancelled: asked between the layers for the sequence of a slot.
    init(
        decoder: any DecoderModel, model: LoadedModel, limits: SchedulerLimits,
        isCancelled: @escaping @Sendable (_ slot: Int32) -> Bool
    ) throws(EngineError) {
        self.decoder = decoder
        do {
            let blocksPerSlot =
                (model.contextLength + KeyValueCache.blockPositions - 1) / KeyValueCache.blockPositions
            cache = try KeyValueCache(configuration: decoder.configuration, blocks: limits.slots * blocksPerSlot)
            tables = (0..<limits.slots).map { slot in
                (0..<blocksPerSlot).map { Int32(slot * blocksPerSlot + $0) }
            }
            workspace = try ForwardWorkspace(
                configuration: decoder.configuration, maximumRows: limits.rowsPerStep,
                maximumLogitRows: limits.logitsRowsPerStep)
        } catch {
            throw .resourceExhausted(message: error.description, permanent: true)
        }
        pool = model.pool
        step = ForwardStep(rows: [], blockTables: tables, isCancelled: isCancelled)
        step.rows.reserveCapacity(limits.rowsPerStep)
    }

    func begin() { step.rows.removeAll(keepingCapacity: true) }

    func copyPrefix(from source: Int, to target: Int, positions: Int) {
        let blocks = (positions + KeyValueCache.blockPositions - 1) / KeyValueCache.blockPositions
        for index in 0..<blocks {
            cache.copyBlock(from: Int(tables[source][index]), to: Int(tables[target][index]))
        }
    }

    func append(token: Int32, position: Int, slot: Int, wantsLogits: Bool) {
        step.rows.append(
            ForwardRow(
                token: token, position: Int32(truncatingIfNeeded: position),
                sequence: Int32(truncatingIfNeeded: slot), wantsLogits: wantsLogits))
    }

    func forward() throws(ForwardError) {
        try decoder.forward(step, cache: cache, workspace: workspace, pool: pool)
    }

    /// The logits of a row of the step; nil if its sequence was cancelled on the way.
    func logits(row: Int) -> UnsafeMutableBufferPointer<Float>? { workspace.logits(row: row) }

    /// Gives the memory of a sequence that has ended back to the system.
    func release(slot: Int) {
        for block in tables[slot] { cache.release(block: Int(block)) }
    }
}
