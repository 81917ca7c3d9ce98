import Scheduling

/// Speculative decoding: several tokens of a choice in one step.
extension EngineLoop {
    /// Chooses tokens from the rows of a slice, as long as each is the draft that the next row was computed for.
    ///
    /// The token that is not, or that follows the last draft, is kept too: all before it are what its row saw.
    func verify(_ slice: StepPlan.Slice, firstRow: Int, at now: UInt64) {
        guard compute.logits(row: firstRow) != nil else { return }
        draftTokens += UInt64(slice.draftTokens)
        calls[slice.call]?.draftTokens += UInt32(clamping: slice.draftTokens)
        for offset in 0..<slice.draftTokens {
            let draft = choices[slice.slot]?.speculation?.guess(at: slice.firstPosition + offset + 1)
            guard sample(slot: slice.slot, row: firstRow + offset, draft: draft, at: now) else { return }
        }
        sample(slot: slice.slot, row: firstRow + slice.draftTokens, at: now)
    }

    /// Guesses what the choices that got tokens in this step say next.
    func proposeDrafts(costs: StepCosts?) {
        let sequences = plan.slices.count { $0.logits != .none && choices[$0.slot] != nil }
        for slice in plan.slices where slice.logits != .none && !endedSlots.contains(slice.slot) {
            guard let tokens = choices[slice.slot]?.tokens, let stopTokens = choices[slice.slot]?.stopTokens else {
                continue
            }
            choices[slice.slot]?.speculation?.propose(
                after: tokens, stopTokens: stopTokens,
                rowCost: DraftControl.rowCost(position: tokens.count, sequences: sequences, costs: costs),
                most: model.limits.draftTokens)
        }
    }
}

extension RunningChoice {
    /// What a row of a position is computed for: a token that is there, or a draft.
    func token(at position: Int) -> Int32 {
        position < tokens.count ? tokens[position] : speculation?.guess(at: position) ?? 0
    }
}
