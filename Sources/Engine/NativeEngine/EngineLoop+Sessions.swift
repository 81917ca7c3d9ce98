import EngineProtocol
import Platform
import Scheduling

/// Generations of sessions: what they leave behind, and how they pause.
extension EngineLoop {
    // MARK: Pause

    /// Takes the generations out that are to be paused now; those of no session, and of several sequences, go on.
    ///
    /// What their prompts have in blocks is held for those that save it.
    func takePauses(of state: inout EngineState) -> [(call: CallID, held: [Int32])] {
        let requests = state.pauseRequests
        state.pauseRequests.removeAll(keepingCapacity: true)
        let paused = requests.filter { state.live.contains($0) && calls[$0]?.pausableGeneration != nil }
        return paused.sorted { $0.rawValue < $1.rawValue }.map { call in
            let slot = slotCalls.firstIndex(of: call)
            let held = slot.map { holdPrompt(slot: $0, call: call, in: &state.scheduler) } ?? []
            state.scheduler.remove(call: call)
            state.live.remove(call)
            return (call, held)
        }
    }

    /// Ends a generation where it is, and keeps all that its answer needs to go on.
    func pause(_ call: CallID, held: [Int32]) {
        guard let running = calls[call], let generation = running.pausableGeneration, let run = generation.session
        else { return }
        var choice = onlyChoice(of: generation, call: call)
        // It is made again from the tokens.
        choice.speculation = nil
        let answer = PausedAnswer(choice: choice, conversation: run.history.conversation)
        let sessionEnd = SessionEnd(
            session: run.use.id, call: call, end: .paused(history(after: choice, run), answer))
        if running.progress.firstPrefillAt == nil { events.append((call, .started(cachedTokens: 0))) }
        events.append((call, .choiceFinished(choice: 0, reason: .paused)))
        let event = EngineEvent.finished(usage: running.usage, timings: running.progress.timings)
        if let target = run.save {
            forget(call)
            saves.append(
                CacheSave(
                    call: call, target: target, blocks: held, of: choice.tokens, event: event, end: sessionEnd))
        } else {
            sessionEnds.append(sessionEnd)
            end(call, with: event)
        }
    }

    // MARK: Ends

    /// Says the end of a generation whose last choice has ended; one that saves its prompt's cache ends when it is written.
    func finish(_ call: CallID, slot: Int) {
        guard let ended = calls.removeValue(forKey: call) else { return }
        let event = EngineEvent.finished(usage: ended.usage, timings: ended.progress.timings)
        guard let generation = ended.generation, let run = generation.session, let choice = choices[slot] else {
            events.append((call, event))
            return
        }
        let left = generation.sequenceCount == 1 ? history(after: choice, run) : SessionHistory()
        let sessionEnd = SessionEnd(session: run.use.id, call: call, end: .done(left))
        if let target = run.save {
            slotsToSave.append(slot)
            saves.append(
                CacheSave(call: call, target: target, blocks: [], of: choice.tokens, event: event, end: sessionEnd))
        } else {
            sessionEnds.append(sessionEnd)
            events.append((call, event))
        }
    }

    /// Notes that a generation was cancelled, which leaves what had come, or that it failed, which changes nothing.
    func noteSessionEnd(of call: CallID, with event: EngineEvent) {
        guard case .failed(let error) = event, let generation = calls[call]?.generation, let run = generation.session
        else { return }
        let leavesWhatCame = error == .cancelled && generation.sequenceCount == 1
        sessionEnds.append(
            SessionEnd(
                session: run.use.id, call: call,
                end: leavesWhatCame ? .done(history(after: onlyChoice(of: generation, call: call), run)) : .failed))
    }

    /// The choice of a call that has one, wherever it is: in a slot, waiting for another one, or not begun.
    private func onlyChoice(of generation: PreparedGeneration, call: CallID) -> RunningChoice {
        slotCalls.firstIndex(of: call).flatMap { choices[$0] } ?? calls[call]?.parked[0]
            ?? makeChoice(0, of: generation, call: call, at: MonotonicClock.now())
    }

    /// Tells the sessions, before the events that end their generations leave.
    func endSessionRuns() {
        guard !sessionEnds.isEmpty else { return }
        state.withLock { state in for end in sessionEnds { state.sessions.end(end) } }
        sessionEnds.removeAll(keepingCapacity: true)
    }

    // MARK: Prompt caches

    /// Holds the blocks of the prompts that are saved, before their slots are emptied.
    func holdPromptsToSave(in state: inout EngineState) {
        for (slot, index) in zip(slotsToSave, saves.indices.suffix(slotsToSave.count)) {
            state.live.remove(saves[index].call)
            saves[index].blocks = state.scheduler.hold(slot: slot, positions: choices[slot]?.firstTokens ?? 0)
        }
        slotsToSave.removeAll(keepingCapacity: true)
    }

    /// Has the prompts written, once everything else was said about their calls.
    func startSaves() {
        for save in saves { saver.add(save) }
        saves.removeAll(keepingCapacity: true)
    }

    /// Of a call that does not save its prompt, none.
    private func holdPrompt(slot: Int, call: CallID, in scheduler: inout Scheduler) -> [Int32] {
        guard calls[call]?.generation?.session?.save != nil, let choice = choices[slot] else { return [] }
        return scheduler.hold(slot: slot, positions: choice.firstTokens)
    }

    // MARK: History

    /// What a session holds after a choice of it, as far as that has come.
    private func history(after choice: RunningChoice, _ run: SessionRun) -> SessionHistory {
        var history = run.history
        history.prompt = Prompt(tokens: choice.tokens, rows: choice.rows)
        guard let conversation = history.conversation else { return history }
        var answer = choice.tokens.suffix(choice.generatedTokens)
        var ending: [UInt8] = []
        if let last = answer.last, choice.stopTokens.contains(last) {
            ending = model.writtenBytes(of: last)
            answer.removeLast()
        }
        history.conversation = conversation.answered(answer.flatMap(model.writtenBytes), ending: ending)
        return history
    }
}

extension RunningCall {
    var generation: PreparedGeneration? {
        if case .generation(let generation) = work { generation } else { nil }
    }

    /// A generation of a session with one sequence.
    var pausableGeneration: PreparedGeneration? {
        generation.flatMap { $0.session != nil && $0.sequenceCount == 1 ? $0 : nil }
    }
}
