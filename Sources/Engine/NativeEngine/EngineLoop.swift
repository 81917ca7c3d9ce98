import EngineProtocol
import Models
import Platform
import Sampling
import Scheduling

/// The engine's thread: one turn of `run` is one step for all sequences.
///
/// Everything here belongs to that thread. Calls come in through the shared state, events go out through `emit`.
final class EngineLoop {
    let model: LoadedModel
    let compute: StepCompute
    /// Nil: there is none.
    let draftModel: DraftModel?
    /// What a draft counts as, in tokens; nil: as measured.
    let fixedDraftCost: Double?
    let state: Monitor<EngineState>
    let interruption: Interruption
    private let progress: ProgressPage
    let makeText: NativeEngine.MakeText
    private let emit: NativeEngine.Emit

    var calls: [CallID: RunningCall] = [:]
    /// The call in each slot.
    private(set) var slotCalls: [CallID?]
    /// The choice in each slot; a slot that scores has none.
    var choices: [RunningChoice?]
    private(set) var plan = StepPlan()
    private(set) var costs = StepCostModel()
    var events: [(CallID, EngineEvent)] = []
    /// What the scheduler has to be told after the step.
    var endedSlots: [Int] = []
    var restarts: [(slot: Int, rows: Int)] = []
    var failedCalls: [CallID] = []
    /// What their sessions have to be told before anybody hears of the ends.
    var sessionEnds: [SessionEnd] = []
    /// Generations that end when the cache of their prompt is written.
    var saves: [CacheSave] = []
    /// Where the last of them ended, in this step.
    var slotsToSave: [Int] = []
    let saver: CacheSaver
    var generatedTokens: UInt64 = 0
    var drafts = DraftCounts()
    /// Used again in each pause between two steps.
    var drafting: [DraftingChoice] = []
    var logProbabilityReader = LogProbabilityReader()
    var ahead: TokensAhead

    init(
        model: LoadedModel, compute: StepCompute, draftModel: DraftModel?, fixedDraftCost: Double?,
        state: Monitor<EngineState>, interruption: Interruption, progress: ProgressPage, saver: CacheSaver,
        makeText: @escaping NativeEngine.MakeText, emit: @escaping NativeEngine.Emit
    ) {
        self.model = model
        self.compute = compute
        self.draftModel = draftModel
        self.fixedDraftCost = fixedDraftCost
        self.state = state
        self.interruption = interruption
        self.progress = progress
        self.saver = saver
        self.makeText = makeText
        self.emit = emit
        slotCalls = Array(repeating: nil, count: Int(model.description.parallel))
        choices = Array(repeating: nil, count: slotCalls.count)
        ahead = TokensAhead(slots: slotCalls.count)
    }

    func run() {
        while takeWork() {
            let startedAt = MonotonicClock.now()
            startSequences(at: startedAt)
            sendEvents()
            guard !plan.isEmpty else { continue }
            fillRows()
            progress.beginStep(
                rows: plan.rowCount, sequences: plan.slices.count, calls: plan.slices.lazy.map(\.call))
            do {
                try compute.forward()
                progress.enter(.sampling)
                useLogits(at: MonotonicClock.now())
            } catch {
                for slice in plan.slices { fail(slice.call, message: "step: \(error.description)") }
            }
            closeStep(startedAt: startedAt)
            sendEvents()
            runDraftModel()
            sendEvents()
        }
    }

    private func sendEvents() {
        guard !events.isEmpty else { return }
        endSessionRuns()
        emit(events)
        events.removeAll(keepingCapacity: true)
        startSaves()
    }

    // MARK: In

    /// Waits for work, takes what came, and plans the step; false when the engine stops.
    private func takeWork() -> Bool {
        var cancelled: Set<CallID> = []
        var expired: [CallID] = []
        var paused: [(call: CallID, held: [Int32])] = []
        progress.enter(.idle)
        let goesOn = state.wait(until: \.hasWork, atMost: \.nanosecondsToWait) { state in
            guard !state.isStopping else { return false }
            progress.beginTurn()
            progress.setCalls(state.live.count)
            interruption.clear()
            for arrival in state.arrivals { calls[arrival.call] = RunningCall(arrival) }
            state.arrivals.removeAll(keepingCapacity: true)
            swap(&cancelled, &state.cancelRequests)
            for call in cancelled {
                state.scheduler.remove(call: call)
                state.live.remove(call)
            }
            state.statistics.cancelled += UInt64(cancelled.count)
            expired = state.scheduler.expire(now: MonotonicClock.now())
            state.live.subtract(expired)
            paused = takePauses(of: &state)
            draftModel?.forget(state.loadedBlocks, from: 0)
            state.loadedBlocks.removeAll()
            state.scheduler.planStep(into: &plan, costs: costs.costs)
            state.isStalled = plan.isEmpty
            if plan.isEmpty { giveBackBlocks(of: &state.scheduler) }
            return true
        }
        for call in cancelled { end(call, with: .failed(.cancelled)) }
        for call in expired { end(call, with: .failed(.deadlineExceeded)) }
        for (call, held) in paused { pause(call, held: held) }
        return goesOn
    }

    /// Says the one end event of a call and forgets it.
    func end(_ call: CallID, with event: EngineEvent) {
        noteSessionEnd(of: call, with: event)
        guard forget(call) else { return }
        events.append((call, event))
    }

    /// False if nobody knows the call.
    @discardableResult
    func forget(_ call: CallID) -> Bool {
        guard calls.removeValue(forKey: call) != nil else { return false }
        for slot in slotCalls.indices where slotCalls[slot] == call { empty(slot) }
        return true
    }

    private func empty(_ slot: Int) {
        slotCalls[slot] = nil
        choices[slot] = nil
    }

    private func startSequences(at now: UInt64) {
        for change in plan.changes {
            switch change.kind {
            case .admitted: admit(change, at: now)
            case .resumed: resume(change)
            case .preempted: park(change)
            }
        }
        for slice in plan.slices where slice.isFirst && calls[slice.call]?.progress.firstPrefillAt == nil {
            calls[slice.call]?.progress.firstPrefillAt = now
            guard choices[slice.slot] != nil else { continue }
            events.append((slice.call, .started(cachedTokens: UInt32(clamping: slice.cachedTokens))))
        }
    }

    private func admit(_ change: StepPlan.SlotChange, at now: UInt64) {
        slotCalls[change.slot] = change.call
        guard case .generation(let generation)? = calls[change.call]?.work else { return }
        choices[change.slot] = makeChoice(change.choice, of: generation, call: change.call, at: now)
    }

    /// A choice that begins, or goes on where it was paused.
    func makeChoice(
        _ choice: UInt32, of generation: PreparedGeneration, call: CallID, at now: UInt64
    ) -> RunningChoice {
        if var resumed = generation.session?.resumed {
            resumed.resume(in: generation, call: call, admittedAt: now, hasDraftModel: draftModel != nil)
            return resumed
        }
        let input = generation.inputs[generation.input(of: choice)]
        let options = TextOptions(stopStrings: generation.stopStrings, findsToolCalls: input.findsToolCalls)
        return RunningChoice(
            choice, of: generation, call: call, admittedAt: now, text: makeText(options),
            hasDraftModel: draftModel != nil)
    }

    private func resume(_ change: StepPlan.SlotChange) {
        slotCalls[change.slot] = change.call
        choices[change.slot] = calls[change.call]?.parked.removeValue(forKey: change.choice)
    }

    /// Keeps the choice of a slot that another sequence gets; a text begins its window again, or itself.
    private func park(_ change: StepPlan.SlotChange) {
        if let choice = choices[change.slot] { calls[change.call]?.parked[change.choice] = choice }
        switch calls[change.call]?.work {
        case .scoring(var score):
            score.windowSum = 0
            calls[change.call]?.work = .scoring(score)
        case .embedding(let embedding): embedding.restart(input: Int(change.choice))
        case .generation, nil: break
        }
        empty(change.slot)
    }

    // MARK: Step

    private func fillRows() {
        compute.begin()
        for copy in plan.copies {
            compute.copyBlock(from: copy.source, to: copy.target)
            draftModel?.copyBlock(from: copy.source, to: copy.target)
        }
        for slice in plan.slices {
            draftModel?.prepare(for: slice)
            compute.setBlocks(slice.blocks, slot: slice.slot)
            fillRows(of: slice)
            if slice.isLayered { compute.setLayers(slice.layers, ofLastRows: slice.count) }
        }
    }

    private func fillRows(of slice: StepPlan.Slice) {
        switch calls[slice.call]?.work {
        case .scoring(let score):
            for position in slice.positions {
                compute.append(
                    token: score.token(row: position), position: position, slot: slice.slot,
                    wantsLogits: score.target(row: position) != nil)
            }
        case .embedding(let embedding):
            let prompt = embedding.inputs[Int(slice.choice)]
            for position in slice.positions {
                compute.append(
                    token: prompt.tokens[position], position: position, slot: slice.slot, wantsLogits: false,
                    wantsHiddenState: embedding.uses(position: position, of: prompt),
                    embedding: prompt.rows.row(at: position))
            }
        case .generation:
            guard let choice = choices[slice.slot] else { return }
            for position in slice.positions {
                compute.append(
                    token: choice.token(at: position), position: position, slot: slice.slot,
                    wantsLogits: slice.logits == .all
                        || slice.logits == .last && position == slice.positions.upperBound - 1,
                    wantsHiddenState: choice.wantsHiddenState(at: position, of: slice),
                    embedding: choice.rows.row(at: position))
            }
        case nil: break
        }
    }

    private func useLogits(at now: UInt64) {
        // First, because samplers change the logits.
        handOverRows()
        chooseAhead()
        var firstRow = 0
        for slice in plan.slices where slice.isComplete {
            if slice.draftTokens > 0 {
                verify(slice, firstRow: firstRow, at: now)
            } else if slice.choosesToken {
                noteCachedTokens(slice)
                sample(slot: slice.slot, row: firstRow + slice.count - 1, at: now)
            } else {
                switch calls[slice.call]?.work {
                case .scoring: score(slice, firstRow: firstRow)
                case .embedding(let embedding): embed(slice, firstRow: firstRow, embedding)
                case .generation: endPrompt(slice, firstRow: firstRow, at: now)
                case nil: break
                }
            }
            firstRow += slice.count
        }
    }

    /// Counts what the cache had of a prompt, once for all choices of it.
    private func noteCachedTokens(_ slice: StepPlan.Slice) {
        guard choices[slice.slot]?.isBeforeFirstToken == true, let generation = calls[slice.call]?.generation,
            slice.choice % generation.choicesPerInput == 0
        else { return }
        calls[slice.call]?.cachedTokens += slice.cachedTokens
    }

    /// Tells the scheduler and the statistics what the step did.
    private func closeStep(startedAt: UInt64) {
        let now = MonotonicClock.now()
        learnCosts(nanoseconds: now - startedAt)
        proposeDrafts()
        state.withLock { state in
            // The rows of a cancelled call may have been dropped on the way.
            for slice in plan.slices where !state.cancelRequests.contains(slice.call) {
                complete(slice, in: &state.scheduler)
            }
            holdPromptsToSave(in: &state)
            for slot in endedSlots {
                state.scheduler.finish(slot: slot)
                if let choice = choices[slot] { state.noteSequenceEnd(nanoseconds: now - choice.admittedAt) }
                empty(slot)
            }
            for restart in restarts { state.scheduler.restart(slot: restart.slot, rows: restart.rows) }
            forgetEndedCalls(in: &state)
            for slice in plan.slices
            where !slice.isDecoding && slice.isComplete && !state.cancelRequests.contains(slice.call) {
                state.statistics.promptTokens += UInt64(slice.count)
            }
            state.statistics.generatedTokens += generatedTokens
            state.statistics.draftTokens += drafts.tokens
            state.statistics.acceptedDraftTokens += drafts.accepted
            state.statistics.modelDraftTokens += drafts.modelTokens
            state.statistics.acceptedModelDraftTokens += drafts.acceptedOfModel
            state.statistics.steps += 1
            state.statistics.stepNanoseconds += now - startedAt
            giveBackBlocks(of: &state.scheduler)
        }
        generatedTokens = 0
        drafts = DraftCounts()
        endedSlots.removeAll(keepingCapacity: true)
        restarts.removeAll(keepingCapacity: true)
    }

    /// Tells the shared state about the calls whose end is among the events.
    func forgetEndedCalls(in state: inout EngineState) {
        for call in failedCalls { state.scheduler.remove(call: call) }
        failedCalls.removeAll(keepingCapacity: true)
        for (call, event) in events where event.isEnd {
            state.live.remove(call)
            state.cancelRequests.remove(call)
        }
    }

    private func complete(_ slice: StepPlan.Slice, in scheduler: inout Scheduler) {
        // A call that failed in this step has left its slots.
        guard slotCalls[slice.slot] == slice.call else { return }
        guard let choice = choices[slice.slot] else { return scheduler.complete(slot: slice.slot) }
        scheduler.complete(slot: slice.slot, tokens: choice.tokens[choice.scheduledTokens...])
        choices[slice.slot]?.scheduledTokens = choice.tokens.count
        scheduler.propose(slot: slice.slot, draftTokens: choice.speculation?.draftTokens ?? 0)
    }

    /// Learns from steps that were computed as planned, and in which rows cost alike: scored ones have all logits.
    private func learnCosts(nanoseconds: UInt64) {
        guard !interruption.isRequested, !plan.slices.contains(where: { $0.logits == .all && $0.draftTokens == 0 })
        else { return }
        costs.add(plan.work, nanoseconds: nanoseconds)
    }

    /// With nothing left to do, blocks that hold nothing worth keeping go back to the system.
    private func giveBackBlocks(of scheduler: inout Scheduler) {
        guard scheduler.isIdle else { return }
        for block in scheduler.takeReturnedBlocks() {
            compute.release(block: block)
            draftModel?.release(block: block)
        }
    }
}
