import EngineProtocol
import Models
import Platform
import Scheduling
import Tensors

/// A smaller model that guesses what the model says next.
///
/// Its keys and values lie in blocks with the numbers of the model's, so that the scheduler's tables, shared prompts and
/// evictions hold for both. It computes a position only when a guess needs it, later than the model or never; `filled`
/// knows what is there. Wrong knowledge would cost speed, never a wrong text.
///
/// Made on one thread and then used by the loop's thread alone, which is why it may cross between them.
final class DraftModel: @unchecked Sendable {
    /// Blocks of each slot for positions that the sequence has no block for yet.
    ///
    /// They hold a draft's positions beyond its table: fewer than a block has, across one boundary.
    static let scratchBlocks = 2

    private let decoder: any DecoderModel
    private let cache: KeyValueCache
    private let workspace: ForwardWorkspace
    private let pool: ComputePool
    private let blocks: Int
    private var step: ForwardStep
    /// By block: so many positions from its first on are computed, for the tokens that the model has there.
    private var filled: [UInt8]
    private var work = StepWork()
    private var costModel = StepCostModel()

    init(_ draft: LoadedDraft, model: LoadedModel, limits: SchedulerLimits) throws(EngineError) {
        decoder = draft.decoder
        blocks = limits.blocks
        do {
            cache = try KeyValueCache(
                configuration: decoder.configuration, blocks: limits.blocks + Self.scratchBlocks * limits.slots,
                type: model.cacheType)
        } catch {
            throw .resourceExhausted(message: "draft model: \(error.description)", permanent: true)
        }
        workspace = try Self.workspace(decoder.configuration, limits: limits)
        pool = model.pool
        filled = Array(repeating: 0, count: limits.blocks)
        step = ForwardStep(rows: [], blockTables: Array(repeating: [], count: limits.slots))
        step.rows.reserveCapacity(limits.rowsPerStep)
    }

    /// Room for the rows of a step, with logits for one of each sequence.
    static func workspace(
        _ configuration: DecoderConfiguration, limits: SchedulerLimits
    ) throws(EngineError) -> ForwardWorkspace {
        do {
            return try ForwardWorkspace(
                configuration: configuration, maximumRows: limits.rowsPerStep, maximumLogitRows: limits.slots)
        } catch {
            throw .resourceExhausted(message: "draft model: \(error.description)", permanent: true)
        }
    }

    /// Positions that it was trained for.
    var trainedContextLength: Int { decoder.configuration.trainedContextLength }
    /// What its steps cost, as measured.
    var costs: StepCosts? { costModel.costs }
    /// Weights that a step of one row reads.
    var bytesPerStep: UInt64 { decoder.bytesPerStep }

    // MARK: What happens to the model's blocks

    func copyBlock(from source: Int32, to target: Int32) {
        filled[Int(target)] = filled[Int(source)]
        if filled[Int(source)] > 0 { cache.copyBlock(from: Int(source), to: Int(target)) }
    }

    /// Gives the memory of a block that holds nothing back to the system.
    func release(block: Int32) {
        filled[Int(block)] = 0
        cache.release(block: Int(block))
    }

    /// Forgets what was computed for positions that the model computes now: its block may have held something else.
    ///
    /// A row that decodes has its block already, with what was drafted for it, unless it is the first of a block.
    func prepare(for slice: StepPlan.Slice) {
        let size = KeyValueCache.blockPositions
        let first = slice.isDecoding ? (slice.firstPosition + size - 1) / size * size : slice.firstPosition
        forget(slice.blocks, from: first)
    }

    /// Forgets what was computed from a position on: it was for tokens that did not come.
    func forget(_ table: [Int32], from position: Int) {
        let size = KeyValueCache.blockPositions
        for index in min(position / size, table.count)..<table.count {
            let kept = UInt8(clamping: position - index * size)
            filled[Int(table[index])] = min(filled[Int(table[index])], kept)
        }
    }

    /// Positions from the first on that are computed, before `limit`.
    func computedPositions(in table: [Int32], before limit: Int) -> Int {
        var computed = 0
        for block in table where computed < limit {
            computed += Int(filled[Int(block)])
            if filled[Int(block)] < KeyValueCache.blockPositions { break }
        }
        return min(computed, limit)
    }

    // MARK: A step

    func begin() {
        step.rows.removeAll(keepingCapacity: true)
        work = StepWork()
    }

    var rowCount: Int { step.rows.count }
    var rowsLeft: Int { workspace.maximumRows - step.rows.count }

    /// Says where the positions of a slot's sequence are.
    func setBlocks(_ table: [Int32], slot: Int) {
        step.blockTables[slot].removeAll(keepingCapacity: true)
        step.blockTables[slot].append(contentsOf: table)
        for scratch in 0..<Self.scratchBlocks {
            step.blockTables[slot].append(Int32(blocks + Self.scratchBlocks * slot + scratch))
        }
    }

    /// Adds the row after the last one that is computed of a slot's sequence.
    func append(token: Int32, position: Int, slot: Int, wantsLogits: Bool) {
        // An id that only the model has says nothing here.
        let known = token < decoder.configuration.vocabularySize ? token : 0
        step.rows.append(
            ForwardRow(
                token: known, position: Int32(truncatingIfNeeded: position),
                sequence: Int32(truncatingIfNeeded: slot), wantsLogits: wantsLogits))
        work += StepWork(from: position, count: 1)
    }

    func forward() throws(ForwardError) {
        let startedAt = MonotonicClock.now()
        try decoder.forward(step, cache: cache, workspace: workspace, pool: pool)
        costModel.add(work, nanoseconds: MonotonicClock.now() - startedAt)
        for row in step.rows {
            let (index, offset) = Int(row.position).quotientAndRemainder(dividingBy: KeyValueCache.blockPositions)
            let block = Int(step.blockTables[Int(row.sequence)][index])
            if block < blocks { filled[block] = UInt8(offset + 1) }
        }
    }

    func logits(row: Int) -> UnsafeMutableBufferPointer<Float>? { workspace.logits(row: row) }
}
