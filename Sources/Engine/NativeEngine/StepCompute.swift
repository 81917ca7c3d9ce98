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
    private var step: ForwardStep

    /// - Parameter isCancelled: asked between the layers for the sequence of a slot.
    init(
        decoder: any DecoderModel, model: LoadedModel, limits: SchedulerLimits,
        isCancelled: @escaping @Sendable (_ slot: Int32) -> Bool
    ) throws(EngineError) {
        self.decoder = decoder
        do {
            cache = try KeyValueCache(
                configuration: decoder.configuration, slots: limits.slots, positions: model.contextLength)
            workspace = try ForwardWorkspace(
                configuration: decoder.configuration, maximumRows: limits.rowsPerStep,
                maximumLogitRows: limits.logitsRowsPerStep)
        } catch {
            throw .resourceExhausted(message: error.description, permanent: true)
        }
        pool = ComputePool(threads: Int(model.description.threads))
        step = ForwardStep(rows: [], isCancelled: isCancelled)
        step.rows.reserveCapacity(limits.rowsPerStep)
    }

    func begin() { step.rows.removeAll(keepingCapacity: true) }

    func copyPrefix(from source: Int, to target: Int, positions: Int) {
        cache.copyPrefix(from: source, to: target, positions: positions)
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
    func release(slot: Int) { cache.release(slot: slot) }
}
