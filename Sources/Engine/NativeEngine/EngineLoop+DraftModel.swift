import EngineProtocol
import Models
import Platform
import Sampling
import Scheduling

/// A choice that the draft model guesses for.
struct DraftingChoice {
    let slot: Int
    /// Row of the draft model's step with the logits of the next guess; nil when there is no next one.
    var row: Int?
    /// Position of the next guess.
    var position: Int
    /// A copy of the choice's: it counts the guesses as if they had come.
    var sampler: Sampler
}

/// Guesses of the draft model, in the pause between two steps.
///
/// It draws as the model will: with the same sampler, which counted the same tokens, and the same random numbers. So a
/// draft model that knows as much as the model is right at any temperature.
extension EngineLoop {
    /// Has the draft model guess for the choices that want it, one token of all of them after the other.
    func runDraftModel() {
        guard let draftModel else { return }
        let startedAt = MonotonicClock.now()
        draftModel.begin()
        collectRows(draftModel)
        do throws(ForwardError) {
            while draftModel.rowCount > 0, !interruption.isRequested {
                try draftModel.forward()
                takeGuesses(draftModel)
            }
        } catch {
            for slice in plan.slices { fail(slice.call, message: "draft model: \(error.description)") }
        }
        drafting.removeAll(keepingCapacity: true)
        handDraftsOver(nanoseconds: MonotonicClock.now() - startedAt)
    }

    /// Adds the rows that the draft model has to compute before its first guesses: a few, or a part of a whole prompt.
    private func collectRows(_ draftModel: DraftModel) {
        let sequences = sequencesWithTokens
        // The others wait for their next step meanwhile.
        var catchUpRows = sequences > 1 ? model.limits.prefillRowsBesideDecoding : model.limits.prefillRows
        for slice in plan.slices where slice.logits != .none {
            guard let choice = choices[slice.slot], choice.speculation?.usesModel == true else { continue }
            let start = draftModel.computedPositions(in: slice.blocks, before: choice.tokens.count - 1)
            let missing = choice.tokens.count - start
            var count = min(missing, draftModel.rowsLeft)
            if missing > model.limits.draftTokens + 1 {
                let costs = draftCosts(position: choice.tokens.count, sequences: sequences)
                count = pays(missing, for: choice, costs: costs) ? min(count, catchUpRows) : 0
                catchUpRows -= count
            }
            if choice.tokens.count >= draftModel.trainedContextLength { count = 0 }
            if count > 0 { draftModel.setBlocks(slice.blocks, slot: slice.slot) }
            for position in start..<start + count {
                draftModel.append(
                    token: choice.tokens[position], position: position, slot: slice.slot,
                    wantsLogits: position == choice.tokens.count - 1)
            }
            if count == missing {
                drafting.append(
                    DraftingChoice(
                        slot: slice.slot, row: draftModel.rowCount - 1, position: choice.tokens.count,
                        sampler: choice.sampler))
            } else {
                choices[slice.slot]?.speculation?.abandonModel()
            }
        }
    }

    /// True if the rest of an answer is long enough for what the draft model has to read first.
    ///
    /// At best it saves about half of the time.
    private func pays(_ rows: Int, for choice: RunningChoice, costs: DraftCosts) -> Bool {
        Double(rows) * costs.catchUpRow <= Double(choice.tokensLeft) / 2
    }

    /// Draws the next guess of each choice, and plans a row for it where another one shall follow.
    private func takeGuesses(_ draftModel: DraftModel) {
        for index in drafting.indices {
            if guess(index, draftModel) == nil { drafting[index].row = nil }
        }
        draftModel.begin()
        for index in drafting.indices where drafting[index].row != nil {
            let (slot, position) = (drafting[index].slot, drafting[index].position)
            guard let token = choices[slot]?.speculation?.guess(at: position) else { continue }
            drafting[index].row = draftModel.rowCount
            drafting[index].position += 1
            draftModel.append(token: token, position: position, slot: slot, wantsLogits: true)
        }
    }

    /// Draws one guess; nil if none follows it.
    private func guess(_ index: Int, _ draftModel: DraftModel) -> Int32? {
        let slot = drafting[index].slot
        guard let row = drafting[index].row, let logits = draftModel.logits(row: row),
            let generated = choices[slot]?.generatedTokens, let count = choices[slot]?.tokens.count,
            let choice = choices[slot]?.choice, let stopTokens = choices[slot]?.stopTokens
        else { return nil }
        // What the model cannot say, or has nothing to choose from, is no guess.
        guard
            let token = try? drafting[index].sampler.sample(
                logits: logits, position: generated + drafting[index].position - count, choice: Int(choice)),
            Int(token) < model.description.vocabularySize
        else { return nil }
        return choices[slot]?.speculation?.add(token, stopTokens: stopTokens) == true ? token : nil
    }

    /// Tells the scheduler how many drafts there are.
    private func handDraftsOver(nanoseconds: UInt64) {
        state.withLock { state in
            for slice in plan.slices where slice.logits != .none {
                guard let drafts = choices[slice.slot]?.speculation?.draftTokens else { continue }
                state.scheduler.propose(slot: slice.slot, draftTokens: drafts)
            }
            forgetEndedCalls(in: &state)
            state.statistics.stepNanoseconds += nanoseconds
        }
    }
}
