/// The parts of a step, in their order: who comes in, who decodes, and which rows of which prompts are left to compute.
extension Scheduler {
    // MARK: Admission

    /// Gives free slots to those who wait, as long as there are blocks for all that they have to compute.
    mutating func admit(into plan: inout StepPlan) {
        while let next = waiting.popNext(shares) {
            // Each turn admits one, takes a slot from one that has more than its share, or is the last.
            if let slot = running.firstIndex(where: { $0 == nil }), hasBlocks(for: next) {
                start(next, slot: slot, into: &plan)
            } else {
                let victim = slotBeyondShare(of: next)
                waiting.putBack(next)
                guard let victim else { return }
                preempt(slot: victim, isUrgent: false, into: &plan)
            }
        }
    }

    /// The slot that a sequence may take because its tenant, or else its call, runs nothing while another runs several.
    ///
    /// It is the newest one of the call that runs the most.
    private func slotBeyondShare(of next: WaitingSequence) -> Int? {
        let isTenantIdle = shares.running(tenant: next.request.tenant) == 0
        guard shares.running(call: next.request.call) == 0 else { return nil }
        var best: (slot: Int, rank: (Int, Int, UInt64))?
        for (slot, sequence) in running.enumerated() {
            guard let request = sequence?.request, request.priority <= next.request.priority, !request.isScoring,
                isTenantIdle || request.tenant == next.request.tenant
            else { continue }
            let ofTenant = isTenantIdle ? shares.running(tenant: request.tenant) : 0
            let ofCall = shares.running(call: request.call)
            guard max(ofTenant, ofCall) > 1 else { continue }
            let rank = (ofTenant, ofCall, sequence?.order ?? 0)
            if best.map({ $0.rank < rank }) ?? true { best = (slot, rank) }
        }
        return best?.slot
    }

    /// Gives those who prefill what others have computed by now.
    mutating func takeKnownBlocks(into plan: inout StepPlan) {
        for slot in ranked where isInPrefill(slot) && running[slot]?.layered == nil {
            takeKnownBlocks(slot: slot)
            copyLastBlock(slot: slot, into: &plan)
        }
    }

    // MARK: Decoding

    /// Gives every decoding sequence its row, and the drafts of it that there is room for; returns the rows of drafts.
    mutating func planDecoding(into plan: inout StepPlan) -> Int {
        var draftsLeft = min(limits.scoreRows, limits.prefillRows - 1)
        let most = draftsLeft
        for slot in ranked {
            guard let sequence = running[slot], sequence.isDecoding, rowsInCredit(of: sequence) > 0 else { continue }
            guard grow(slot: slot, to: sequence.rows, into: &plan, mayPreempt: true) >= sequence.rows else { continue }
            let proposed = sequence.request.output == nil ? sequence.proposedDrafts : 0
            let wanted = min(proposed, sequence.draftRoom, draftsLeft)
            let room = grow(slot: slot, to: sequence.rows + wanted, into: &plan, mayPreempt: false)
            let drafts = max(0, min(wanted, room - sequence.rows))
            running[slot]?.proposedDrafts = 0
            append(slot: slot, count: 1 + drafts, drafts: drafts, into: &plan)
            shares.charge(sequence.request.tenant, rows: 1)
            draftsLeft -= drafts
        }
        return most - draftsLeft
    }

    /// Adds blocks to a table until it has room for `positions`, and returns for how many it has.
    ///
    /// For want of blocks the running sequence of the lowest rank that has no rows in this step yet has to wait again;
    /// that may be this one.
    private mutating func grow(
        slot: Int, to positions: Int, into plan: inout StepPlan, mayPreempt: Bool
    ) -> Int {
        while let room = running[slot].map({ $0.table.count * limits.blockPositions }) {
            if room >= positions { return positions }
            if let block = takeBlock() {
                running[slot]?.table.append(block)
            } else if mayPreempt, let victim = ranked.last(where: { running[$0]?.planned == 0 }) {
                preempt(slot: victim, isUrgent: true, into: &plan)
            } else {
                return room
            }
        }
        return 0
    }

    private mutating func append(slot: Int, count: Int, drafts: Int = 0, into plan: inout StepPlan) {
        guard count > 0 else { return }
        running[slot]?.planned = count
        running[slot]?.plannedDrafts = drafts
        charge(slot: slot)
        guard let sequence = running[slot] else { return }
        plan.slices.append(slice(sequence, slot: slot, drafts: drafts))
        running[slot]?.hasStarted = true
    }

    // MARK: Prefill

    /// Gives half of what a step has for prompts to the oldest, and then as much as is left to those with the fewest rows.
    ///
    /// So a short prompt does not wait behind a long one, equal ones come to their first token one after the other
    /// instead of all at the end, and the oldest always moves. It does so by layers where a step has no time for a few
    /// whole rows; until its rows have passed all of them, it counts as the oldest.
    mutating func planPrefill(into plan: inout StepPlan, drafts: Int, costs: StepCosts?) {
        let slots = slotsInPrefill()
        guard
            let oldest = slots.first(where: { running[$0]?.layered != nil })
                ?? slots.min(by: { order(of: $0) < order(of: $1) })
        else { return }
        var budget = PrefillBudget(limits: limits, drafts: drafts, decoding: plan, costs: costs)
        let share = slots.count > 1 ? 2 : 1
        beginLayers(slot: oldest, within: budget, share: share, into: &plan)
        let reserved = take(from: &budget, slot: oldest, share: share)
        for slot in slots where slot != oldest {
            let count = take(from: &budget, slot: slot)
            appendPrefill(slot: slot, count: count, into: &plan)
        }
        let rest = take(from: &budget, slot: oldest, after: reserved)
        appendPrefill(slot: oldest, count: reserved + rest, into: &plan)
    }

    /// Begins layered prefill of a sequence for whose next rows a step has too little time.
    private mutating func beginLayers(slot: Int, within budget: PrefillBudget, share: Int, into plan: inout StepPlan) {
        guard let sequence = running[slot], sequence.layered == nil, sequence.request.output == nil,
            !sequence.request.needsAllLogits,
            let count = budget.layeredRows(of: sequence.rowsLeft, from: sequence.computed, share: share)
        else { return }
        let room = grow(slot: slot, to: sequence.computed + count, into: &plan, mayPreempt: true)
        guard room > sequence.computed else { return }
        running[slot]?.layered = LayeredPrefill(count: min(count, room - sequence.computed))
    }

    /// Rows for a sequence, or layers if it is in layered prefill.
    private func take(
        from budget: inout PrefillBudget, slot: Int, after taken: Int = 0, share: Int = 1
    ) -> Int {
        guard let sequence = running[slot] else { return 0 }
        if let layered = sequence.layered {
            return budget.takeLayers(
                limits.layers - layered.computed - taken,
                of: StepWork(from: sequence.computed, count: layered.count), atLeast: taken > 0 ? 0 : 1, share: share)
        }
        return budget.take(
            min(sequence.rowsLeft, rowsInCredit(of: sequence)) - taken, from: sequence.computed + taken,
            needsLogits: sequence.request.needsAllLogits, share: share)
    }

    /// - Parameter count: rows, or layers.
    private mutating func appendPrefill(slot: Int, count: Int, into plan: inout StepPlan) {
        guard let sequence = running[slot] else { return }
        if let layered = sequence.layered {
            running[slot]?.layered?.planned = count
            return append(slot: slot, count: layered.count, into: &plan)
        }
        // Another sequence of the call may have used the credit since the rows were taken.
        let count = min(count, rowsInCredit(of: sequence))
        guard count > 0 else { return }
        // A row that decodes is in the step already, so it keeps its blocks: who prefills can wait for them.
        let room = grow(slot: slot, to: sequence.computed + count, into: &plan, mayPreempt: true)
        append(slot: slot, count: min(count, room - sequence.computed), into: &plan)
    }

    private func order(of slot: Int) -> UInt64 { running[slot]?.order ?? .max }

    /// Slots with prompt rows to compute now: those of the highest priority first, then the fewest rows, then the oldest.
    ///
    /// A sequence that has computed nothing yet waits while another of its priority or a higher one computes the block that
    /// it needs next.
    private mutating func slotsInPrefill() -> [Int] {
        claims.removeAll(keepingCapacity: true)
        var slots: [Int] = []
        for hasStarted in [true, false] {
            for slot in ranked where isInPrefill(slot) && running[slot]?.hasStarted == hasStarted {
                if let block = nextBlock(of: slot), let priority = running[slot]?.request.priority {
                    let claimed = claims[block] ?? .min
                    if !hasStarted, claims[block] != nil, claimed >= priority { continue }
                    claims[block] = max(claimed, priority)
                }
                slots.append(slot)
            }
        }
        return slots.sorted { [running] left, right in
            guard let left = running[left], let right = running[right] else { return false }
            return (-Int(left.request.priority), left.rowsLeft, left.order)
                < (-Int(right.request.priority), right.rowsLeft, right.order)
        }
    }

    private func isInPrefill(_ slot: Int) -> Bool {
        guard let sequence = running[slot] else { return false }
        return sequence.rowsLeft > 0 && !sequence.isDecoding && rowsInCredit(of: sequence) > 0
    }

    /// The hash through the block that a sequence computes next; nil where nobody else can use it.
    private func nextBlock(of slot: Int) -> UInt64? {
        guard let sequence = running[slot], sequence.makesBlocksKnown, sequence.rowsLeft > 1 else { return nil }
        return sequence.tokens.hash(throughBlock: sequence.computed / limits.blockPositions)
    }
}

// MARK: - Credit

/// What sequences may compute that give their rows away.
extension Scheduler {
    /// Rows that a sequence may compute in a step: without credit none but those that it gave away before.
    func rowsInCredit(of sequence: RunningSequence) -> Int {
        guard let output = sequence.request.output else { return .max }
        let credit = credits[sequence.request.call] ?? 0
        let newRows = credit > 0 ? (credit - 1) / output.rowBytes + 1 : 0
        return min(output.rowsPerStep, sequence.givenRows(ofNext: .max) + newRows)
    }

    /// Takes the planned rows of a slot from the credit of its call.
    mutating func charge(slot: Int) {
        guard let sequence = running[slot], sequence.plannedBytes > 0 else { return }
        credits[sequence.request.call]? -= sequence.plannedBytes
    }

    /// Gives that back for a slice that was not completed.
    mutating func refund(slot: Int) {
        guard let sequence = running[slot], sequence.plannedBytes > 0 else { return }
        credits[sequence.request.call]? += sequence.plannedBytes
    }
}

extension RunningSequence {
    /// What the planned rows give away.
    fileprivate var plannedBytes: Int {
        request.output.map { (planned - givenRows(ofNext: planned)) * $0.rowBytes } ?? 0
    }
}
