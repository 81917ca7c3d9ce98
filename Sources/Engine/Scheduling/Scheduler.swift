public import EngineProtocol

/// Continuous batching: which rows of which sequences the next step computes, and in which blocks of the cache.
///
/// Sequences wait, get a slot, prefill their prompt in chunks and decode side by side. The owner plans a step, computes
/// it, says what came of each slice with `complete`, and which sequences have ended. Pure: no clock, no threads, no
/// tensors.
///
/// | State | Leaves it by |
/// |---|---|
/// | waiting | a free slot and blocks for its prompt, `remove`, `expire` |
/// | prefill | its last row, preemption, `finish`, `remove`, `expire` |
/// | decoding | preemption, `finish`, `remove`, `expire` |
///
/// Blocks are given as positions are computed. A full block is made known to the prefix cache at once, so that every
/// sequence that begins with the same tokens uses it, and does not compute what another is about to. When blocks run
/// out, the sequence of the lowest priority that came last waits again, with its tokens, and computes what is no longer
/// in the cache.
public struct Scheduler: Sendable {
    public let limits: SchedulerLimits
    var waiting: WaitingQueue
    var shares = Shares()
    /// One entry per slot.
    var running: [RunningSequence?]
    var pool: BlockPool
    var prefixes = PrefixCache()
    /// Bytes of output that calls may still give away; the last row may exceed them.
    var credits: [CallID: Int] = [:]
    private var admissions: UInt64 = 0
    /// Used again in each step: running slots, those of the highest rank first, and the blocks that are being computed,
    /// each with the highest priority of those who compute it.
    var ranked: [Int] = []
    var claims: [UInt64: Int8] = [:]

    /// Blocks that `pin` took.
    public internal(set) var pinnedBlocks = 0
    /// Positions that were found in the cache and not computed.
    public internal(set) var cachedPositions: UInt64 = 0
    public private(set) var preemptions: UInt64 = 0

    public init(limits: SchedulerLimits) {
        self.limits = limits
        waiting = WaitingQueue(admissionsPerPriority: limits.admissionsPerPriority)
        running = Array(repeating: nil, count: limits.slots)
        pool = BlockPool(count: limits.blocks)
        ranked.reserveCapacity(limits.slots)
    }

    public var waitingCount: Int { waiting.count }
    public var runningCount: Int { running.count { $0 != nil } }
    public var isIdle: Bool { waiting.isEmpty && running.allSatisfy { $0 == nil } }
    /// Blocks that running sequences use.
    public var blocksUsed: Int { pool.count - pool.freeCount - prefixes.idleCount }
    /// Blocks that no sequence uses, kept because their content may be wanted again.
    public var blocksCached: Int { prefixes.idleCount }

    /// The call whose sequence has a slot.
    public func call(inSlot slot: Int) -> CallID? { running.indices.contains(slot) ? running[slot]?.request.call : nil }

    // MARK: In

    /// Queues all sequences of one call, or none of them.
    ///
    /// - Parameter credit: bytes of output that all of them together may give away at first.
    /// - Returns: how many waiting sequences are ahead of the first of them.
    public mutating func submit(_ sequences: [SequenceRequest], credit: Int = 0) throws(SubmissionError) -> Int {
        guard let first = sequences.first else { return 0 }
        let blocks = limits.blocks - pinnedBlocks
        for sequence in sequences where limits.blocks(for: sequence.mostPositions) > blocks {
            throw .neverFits(
                positions: sequence.mostPositions, limit: blocks * limits.blockPositions,
                pinned: pinnedBlocks * limits.blockPositions)
        }
        guard sequences.count <= limits.waitingSequences - waiting.count else {
            throw .queueFull(waiting: waiting.count, limit: limits.waitingSequences)
        }
        let ahead = waiting.count(atOrAbove: first.priority)
        var tokens = TokenBlocks([], size: limits.blockPositions, salt: first.cacheSalt)
        for sequence in sequences {
            let prompt = sequence.sharedPrompt ?? []
            // The choices of one input have the same prompt, which is hashed once.
            if tokens.tokens != prompt || tokens.salt != sequence.cacheSalt {
                tokens = TokenBlocks(prompt, size: limits.blockPositions, salt: sequence.cacheSalt)
            }
            waiting.append(WaitingSequence(sequence, tokens: tokens, rows: sequence.firstRows))
            shares.enter(sequence)
        }
        if sequences.contains(where: { $0.output != nil }) {
            credits[first.call] = min(credit, Self.mostCredit)
        }
        return ahead
    }

    /// Lets a call give away so many more bytes of output.
    public mutating func addCredit(_ bytes: Int, call: CallID) {
        guard let credit = credits[call] else { return }
        credits[call] = min(credit + min(bytes, Self.mostCredit), Self.mostCredit)
    }

    /// As good as no limit, and two of them can be added.
    private static let mostCredit = Int.max / 4

    /// Proposes draft tokens for the next step of a decoding sequence.
    ///
    /// Its slice says how many of them are computed: rows, logits and blocks may be too few for all.
    public mutating func propose(slot: Int, draftTokens: Int) { running[slot]?.proposedDrafts = max(0, draftTokens) }

    // MARK: Step

    /// Fills `plan` with the next step.
    ///
    /// An empty plan means that nothing is to do, or that every sequence waits for credit. Rows of an earlier step that
    /// were not completed are planned again.
    ///
    /// - Parameter costs: what steps cost, as measured; nil where nothing was.
    public mutating func planStep(into plan: inout StepPlan, costs: StepCosts? = nil) {
        plan.clear()
        for slot in running.indices where running[slot] != nil {
            refund(slot: slot)
            // Layers that were not completed are not there: their rows begin again.
            if running[slot]?.planned != 0 { running[slot]?.layered = nil }
            running[slot]?.planned = 0
            running[slot]?.plannedDrafts = 0
        }
        admit(into: &plan)
        rankSlots()
        takeKnownBlocks(into: &plan)
        let drafts = planDecoding(into: &plan)
        planPrefill(into: &plan, drafts: drafts, costs: costs)
    }

    /// Says that the rows of a slot's slice are in the cache, and which tokens were chosen from their logits.
    ///
    /// Of a slice with drafts, the first tokens are the drafts that were right. A slice that is not completed, because
    /// its call was cancelled between two layers, leaves no block to share. Of layered prefill the rows are in the cache
    /// with the last layer.
    public mutating func complete(slot: Int, tokens: ArraySlice<Int32> = []) {
        guard var sequence = running[slot], sequence.planned > 0 else { return }
        // Taken out of its place, so that its arrays are changed there and not copied.
        running[slot] = nil
        defer { running[slot] = sequence }
        guard sequence.endLayers(of: limits.layers) else {
            sequence.planned = 0
            return
        }
        let wrongDrafts = max(0, sequence.plannedDrafts - max(0, tokens.count - 1))
        sequence.computed += sequence.planned - wrongDrafts
        sequence.planned = 0
        sequence.plannedDrafts = 0
        if sequence.request.output != nil { sequence.givenRows = max(sequence.givenRows, sequence.computed) }
        if case .generation = sequence.request.work {
            if sequence.request.sharedPrompt != nil { for token in tokens { sequence.tokens.append(token) } }
            sequence.rows += tokens.count
            sequence.generatedTokens += tokens.count
            makeBlocksKnown(of: &sequence)
        }
    }

    func slice(_ sequence: RunningSequence, slot: Int, drafts: Int) -> StepPlan.Slice {
        let layers = sequence.layered.map { $0.computed..<$0.computed + $0.planned } ?? 0..<limits.layers
        let isComplete = layers.upperBound == limits.layers
        let choosesToken =
            isComplete && sequence.request.choosesTokens && sequence.computed + sequence.planned >= sequence.rows
        return .init(
            slot: slot, call: sequence.request.call, choice: sequence.request.choice, firstPosition: sequence.computed,
            count: sequence.planned, layers: layers, isComplete: isComplete,
            work: StepWork(from: sequence.computed, count: sequence.planned)
                * (Double(layers.count) / Double(limits.layers)),
            logits: sequence.request.needsAllLogits || drafts > 0 ? .all : choosesToken ? .last : .none,
            isFirst: !sequence.hasStarted, isDecoding: sequence.isDecoding, draftTokens: drafts,
            choosesToken: choosesToken, givenRows: sequence.givenRows(ofNext: sequence.planned),
            cachedTokens: sequence.cachedTokens, blocks: sequence.table)
    }

    private mutating func rankSlots() {
        ranked.removeAll(keepingCapacity: true)
        for slot in running.indices where running[slot] != nil { ranked.append(slot) }
        ranked.sort { [running] left, right in
            guard let left = running[left], let right = running[right] else { return false }
            return left.outranks(right)
        }
    }

    // MARK: Slots

    mutating func start(_ sequence: WaitingSequence, slot: Int, into plan: inout StepPlan) {
        let request = sequence.request
        let sharedBlocks = blocksSoonKnown(to: sequence, from: 0)
        running[slot] = RunningSequence(sequence, order: admissions)
        running[slot]?.sharedBlocks = sharedBlocks
        if sequence.past == nil { admissions += 1 }
        waiting.noteAdmission()
        shares.start(request)
        takeKnownBlocks(slot: slot)
        shares.charge(request.tenant, rows: max(1, running[slot]?.rowsLeft ?? 0))
        plan.changes.append(
            .init(
                kind: sequence.past == nil ? .admitted : .resumed, slot: slot, call: request.call,
                choice: request.choice))
    }

    /// Takes a slot from its sequence, which waits for another one.
    ///
    /// - Parameter isUrgent: it goes because there are no blocks, and is the first to come back.
    mutating func preempt(slot: Int, isUrgent: Bool, into plan: inout StepPlan) {
        guard let sequence = takeOut(slot) else { return }
        preemptions += 1
        plan.changes.append(
            .init(kind: .preempted, slot: slot, call: sequence.request.call, choice: sequence.request.choice))
        waiting.append(sequence.preempted(isUrgent: isUrgent))
    }

    /// Empties a slot and lets go of its blocks.
    private mutating func takeOut(_ slot: Int) -> RunningSequence? {
        guard let sequence = running[slot] else { return nil }
        running[slot] = nil
        // The last block first, because what follows a block goes before it.
        for block in sequence.table.reversed() { release(block) }
        shares.stop(sequence.request)
        return sequence
    }

    // MARK: Out

    /// Frees the slot of a sequence that has ended.
    public mutating func finish(slot: Int) {
        guard let request = takeOut(slot)?.request else { return }
        shares.leave(request)
        guard credits[request.call] != nil, !waiting.contains(call: request.call),
            !running.contains(where: { $0?.request.call == request.call })
        else { return }
        credits[request.call] = nil
    }

    /// Starts the sequence of a slot again at position 0 with other rows: the next window of a text to score.
    public mutating func restart(slot: Int, rows: Int) {
        running[slot]?.computed = 0
        running[slot]?.rows = max(1, rows)
        running[slot]?.hasStarted = false
    }

    /// Removes all sequences of a call, in whatever phase they are, and returns how many there were.
    ///
    /// What they had computed stays in the prefix cache.
    @discardableResult
    public mutating func remove(call: CallID) -> Int {
        credits[call] = nil
        let queued = waiting.removeAll { $0.call == call }
        for request in queued { shares.leave(request) }
        var removed = queued.count
        for slot in running.indices where running[slot]?.request.call == call {
            finish(slot: slot)
            removed += 1
        }
        return removed
    }

    /// Removes every call whose deadline has come, and returns them in the order in which they came.
    public mutating func expire(now: UInt64) -> [CallID] {
        var expired: [CallID] = []
        for case let sequence? in running
        where sequence.request.deadline != 0 && sequence.request.deadline <= now {
            expired.append(sequence.request.call)
        }
        expired += waiting.expired(at: now)
        var seen: Set<CallID> = []
        expired = expired.filter { seen.insert($0).inserted }
        for call in expired { remove(call: call) }
        return expired
    }

    /// The blocks that became free since the last call: their memory may go to the system.
    public mutating func takeReturnedBlocks() -> ArraySlice<Int32> { pool.takeReturned() }
}
