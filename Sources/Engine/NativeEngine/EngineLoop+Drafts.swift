import Models
import Scheduling

/// Speculative decoding: several tokens of a choice in one step.
extension EngineLoop {
    /// Chooses tokens from the rows of a slice, as long as each is the draft that the next row was computed for.
    ///
    /// The token that is not, or that follows the last draft, is kept too: all before it are what its row saw.
    func verify(_ slice: StepPlan.Slice, firstRow: Int, at now: UInt64) {
        guard compute.logits(row: firstRow) != nil else { return }
        drafts.note(slice.draftTokens, areFromModel: choices[slice.slot]?.speculation?.usesModel ?? false)
        calls[slice.call]?.draftTokens += UInt32(clamping: slice.draftTokens)
        for offset in 0..<slice.draftTokens {
            let draft = choices[slice.slot]?.speculation?.guess(at: slice.firstPosition + offset + 1)
            guard sample(slot: slice.slot, row: firstRow + offset, draft: draft, at: now) else { return }
        }
        sample(slot: slice.slot, row: firstRow + slice.draftTokens, at: now)
    }

    /// Guesses what the choices that got tokens in this step say next, as far as the text so far tells it.
    func proposeDrafts() {
        let sequences = sequencesWithTokens
        for slice in plan.slices where slice.logits != .none && !endedSlots.contains(slice.slot) {
            guard let tokens = choices[slice.slot]?.tokens, let stopTokens = choices[slice.slot]?.stopTokens,
                let left = choices[slice.slot]?.tokensLeft
            else { continue }
            choices[slice.slot]?.speculation?.propose(
                after: tokens, stopTokens: stopTokens,
                costs: draftCosts(position: tokens.count, sequences: sequences),
                most: min(model.limits.draftTokens, left - 1))
            // Its drafts that were wrong must not be taken for what is there.
            draftModel?.forget(slice.blocks, from: tokens.count - 1)
        }
    }

    /// Sequences that got tokens in this step and go on.
    var sequencesWithTokens: Int { plan.slices.count { $0.logits != .none && choices[$0.slot] != nil } }

    func draftCosts(position: Int, sequences: Int) -> DraftCosts {
        if let fixedDraftCost { return DraftCosts(fixed: fixedDraftCost) }
        let bytes = Double(model.decoder?.bytesPerStep ?? 0)
        return DraftCosts(
            position: position, sequences: sequences, step: costs.costs, draftStep: draftModel?.costs,
            modelShare: bytes > 0 ? Double(draftModel?.bytesPerStep ?? 0) / bytes : 1)
    }
}

/// Counts the drafts of a step.
struct DraftCounts {
    private(set) var tokens: UInt64 = 0
    private(set) var accepted: UInt64 = 0
    /// Of the draft model alone.
    private(set) var modelTokens: UInt64 = 0
    private(set) var acceptedOfModel: UInt64 = 0

    mutating func note(_ count: Int, areFromModel: Bool) {
        tokens += UInt64(count)
        if areFromModel { modelTokens += UInt64(count) }
    }

    mutating func noteAccepted(isFromModel: Bool) {
        accepted += 1
        if isFromModel { acceptedOfModel += 1 }
    }
}

extension RunningChoice {
    /// Tokens that it may still get.
    var tokensLeft: Int { maximumTokens - generatedTokens }

    /// What a row of a position is computed for: a token that is there, or a draft.
    func token(at position: Int) -> Int32 {
        position < tokens.count ? tokens[position] : speculation?.guess(at: position) ?? 0
    }
}
