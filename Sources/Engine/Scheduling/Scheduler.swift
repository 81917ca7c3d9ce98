public import EngineProtocol

/// The waiting queue is full.
public struct QueueFull: Error, Sendable, Equatable {
    public let waiting: Int
    public let limit: Int

    public init(waiting: Int, limit: Int) {
        self.waiting = waiting
        self.limit = limit
    }
}

/// Continuous batching: which rows of which sequences the next step computes.
///
/// Sequences wait, get a slot, prefill their prompt in chunks and decode one row in each step, all side by side. The
/// owner plans a step, computes it, and then says which sequences have ended. Pure: no clock, no threads, no tensors.
///
/// | State | Leaves it by |
/// |---|---|
/// | waiting | a free slot, `remove`, `expire` |
/// | prefill | its last prompt row, `finish`, `remove`, `expire` |
/// | decoding | `finish`, `remove`, `expire` |
public struct Scheduler: Sendable {
    struct Running: Sendable, Equatable {
        let request: SequenceRequest
        /// Counts admissions: lower came earlier.
        let order: UInt64
        var promptRows: Int
        /// Positions of its slot that are computed once the planned steps are.
        var processed = 0
        var isFirstSlice = true

        var promptRowsLeft: Int { max(0, promptRows - processed) }
        var isDecoding: Bool { request.kind == .generation && processed >= promptRows }
    }

    public let limits: SchedulerLimits
    private var waiting: WaitingQueue
    /// One entry per slot.
    private(set) var running: [Running?]
    private var admissions: UInt64 = 0

    public init(limits: SchedulerLimits) {
        self.limits = limits
        waiting = WaitingQueue(admissionsPerPriority: limits.admissionsPerPriority)
        running = Array(repeating: nil, count: limits.slots)
    }

    public var waitingCount: Int { waiting.count }
    public var runningCount: Int { running.count { $0 != nil } }
    public var isIdle: Bool { waiting.isEmpty && running.allSatisfy { $0 == nil } }
    /// Positions of the cache that running sequences fill.
    public var positionsUsed: Int { running.reduce(0) { $0 + ($1?.processed ?? 0) } }

    /// The call whose sequence has a slot.
    public func call(inSlot slot: Int) -> CallID? { running.indices.contains(slot) ? running[slot]?.request.call : nil }

    // MARK: In

    /// Queues all sequences of one call, or none of them.
    ///
    /// - Returns: how many waiting sequences are ahead of the first of them.
    public mutating func submit(_ sequences: [SequenceRequest]) throws(QueueFull) -> Int {
        guard let first = sequences.first else { return 0 }
        guard sequences.count <= limits.waitingSequences - waiting.count else {
            throw QueueFull(waiting: waiting.count, limit: limits.waitingSequences)
        }
        let ahead = waiting.count(atOrAbove: first.priority)
        for sequence in sequences { waiting.append(sequence) }
        return ahead
    }

    // MARK: Step

    /// Fills `plan` with the next step and counts its rows as computed.
    ///
    /// An empty plan means that nothing is to do.
    public mutating func planStep(into plan: inout StepPlan) {
        plan.clear()
        admit(into: &plan)
        planDecoding(into: &plan)
        planPrefill(into: &plan)
    }

    private mutating func admit(into plan: inout StepPlan) {
        for slot in running.indices where running[slot] == nil {
            guard let request = waiting.popNext() else { return }
            running[slot] = Running(request: request, order: admissions, promptRows: request.promptRows)
            admissions += 1
            plan.admitted.append(.init(slot: slot, call: request.call, choice: request.choice))
        }
    }

    private mutating func planDecoding(into plan: inout StepPlan) {
        for slot in running.indices where running[slot]?.isDecoding == true {
            append(slot: slot, count: 1, into: &plan)
        }
    }

    /// Gives half of the row budget to the oldest prompt, and then as much as is left to those with the fewest rows.
    ///
    /// So a short prompt does not wait behind a long one, equal ones come to their first token one after the other
    /// instead of all at the end, and the oldest always moves.
    private mutating func planPrefill(into plan: inout StepPlan) {
        var budget = PrefillBudget(
            rows: plan.slices.isEmpty ? limits.prefillRows : limits.prefillRowsBesideDecoding,
            scoreRows: limits.scoreRows)
        let slots = slotsInPrefill(copyingInto: &plan)
        guard let oldest = slots.min(by: { order(of: $0) < order(of: $1) }) else { return }
        let reserved = budget.take(rowsLeft(in: oldest), isScoring: isScoring(oldest), share: slots.count > 1 ? 2 : 1)
        for slot in slots where slot != oldest {
            append(slot: slot, count: budget.take(rowsLeft(in: slot), isScoring: isScoring(slot)), into: &plan)
        }
        let rest = budget.take(rowsLeft(in: oldest) - reserved, isScoring: isScoring(oldest))
        append(slot: oldest, count: reserved + rest, into: &plan)
    }

    /// Rows that a step still has for prompts.
    private struct PrefillBudget {
        var rows: Int
        /// Of these, rows that may be scored.
        var scoreRows: Int

        /// Takes what a sequence needs, as far as it is there; at most one `share`-th of what is left, rounded up.
        mutating func take(_ needed: Int, isScoring: Bool, share: Int = 1) -> Int {
            let left = isScoring ? min(rows, scoreRows) : rows
            let taken = min(needed, (left + share - 1) / share)
            rows -= taken
            if isScoring { scoreRows -= taken }
            return taken
        }
    }

    private func rowsLeft(in slot: Int) -> Int { running[slot]?.promptRowsLeft ?? 0 }
    private func order(of slot: Int) -> UInt64 { running[slot]?.order ?? .max }
    private func isScoring(_ slot: Int) -> Bool { running[slot]?.request.kind == .scoring }

    /// Slots with prompt rows left, the fewest first and the oldest first among equals.
    private mutating func slotsInPrefill(copyingInto plan: inout StepPlan) -> [Int] {
        var slots: [Int] = []
        for slot in running.indices where rowsLeft(in: slot) > 0 {
            switch prefixSource(for: slot) {
            case .none:
                slots.append(slot)
            case .wait:
                continue
            case .copy(let source):
                // The last prompt row is computed, because its logits are needed.
                let positions = (running[slot]?.promptRows ?? 1) - 1
                plan.copies.append(.init(source: source, target: slot, positions: positions))
                running[slot]?.processed = positions
                slots.append(slot)
            }
        }
        return slots.sorted { (rowsLeft(in: $0), order(of: $0)) < (rowsLeft(in: $1), order(of: $1)) }
    }

    private mutating func append(slot: Int, count: Int, into plan: inout StepPlan) {
        guard count > 0, var sequence = running[slot] else { return }
        let isDecoding = sequence.isDecoding
        let first = sequence.processed
        sequence.processed += count
        let logits: StepPlan.Logits =
            sequence.request.kind == .scoring ? .all : sequence.processed >= sequence.promptRows ? .last : .none
        plan.slices.append(
            .init(
                slot: slot, call: sequence.request.call, choice: sequence.request.choice, firstPosition: first,
                count: count, logits: logits, isFirst: sequence.isFirstSlice, isDecoding: isDecoding))
        sequence.isFirstSlice = false
        running[slot] = sequence
    }

    // MARK: Shared prompts

    private enum PrefixSource {
        case none
        case wait
        case copy(slot: Int)
    }

    /// Where a sequence that has computed nothing yet finds its prompt: in a slot of the same call and input.
    private func prefixSource(for slot: Int) -> PrefixSource {
        guard let sequence = running[slot], sequence.processed == 0, sequence.promptRows > 1,
            sequence.request.kind == .generation
        else { return .none }
        var source = PrefixSource.none
        for (otherSlot, other) in running.enumerated() where otherSlot != slot {
            guard let other, other.request.kind == .generation, other.request.call == sequence.request.call,
                other.request.input == sequence.request.input
            else { continue }
            if other.processed >= sequence.promptRows - 1, other.processed > 0, !other.isFirstSlice {
                return .copy(slot: otherSlot)
            }
            // The earliest of them prefills; the others wait for it.
            if other.order < sequence.order { source = .wait }
        }
        return source
    }

    // MARK: Out

    /// Frees the slot of a sequence that has ended.
    public mutating func finish(slot: Int) { running[slot] = nil }

    /// Starts the sequence of a slot again at position 0 with other rows: the next window of a text to score.
    public mutating func restart(slot: Int, promptRows: Int) {
        running[slot]?.processed = 0
        running[slot]?.promptRows = max(1, promptRows)
        running[slot]?.isFirstSlice = true
    }

    /// Removes all sequences of a call, in whatever phase they are, and returns how many there were.
    @discardableResult
    public mutating func remove(call: CallID) -> Int {
        var removed = waiting.removeAll { $0.call == call }
        for slot in running.indices where running[slot]?.request.call == call {
            running[slot] = nil
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
}
