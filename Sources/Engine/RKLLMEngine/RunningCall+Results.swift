import CRKLLM
import EngineProtocol

/// What the runtime tells while it runs, whatever its kind.
extension RunningCall {
    /// Takes results while they last, one for each input of the batch; none at all is possible.
    func take(_ results: UnsafeBufferPointer<apus_rkllm_result>, state: Int32) -> apus_rkllm_answer {
        let isAnswer = state == 0 || state == 1
        guard core.isOpen(call) else {
            // It goes on although it has been told, or should know.
            if isAnswer { stopRun() }
            return apus_rkllm_go_on
        }
        core.progress.beginStep(rows: 1, sequences: elements.count, calls: CollectionOfOne(call))
        if isLate {
            end(.failed(.deadlineExceeded))
            return apus_rkllm_go_on
        }
        switch state {
        case 0 where mode == apus_rkllm_generate: takeTokens(results)
        case 0: takeRows(results)
        // The characters come with a later token.
        case 1: for (index, result) in zip(elements.indices, results) { count(result.token, element: index) }
        case 2: takeEnd(results)
        case 3: outcome = .failed
        default: end(.failed(lie("a state \(state), which has no meaning")))
        }
        return isPaused ? apus_rkllm_pause : apus_rkllm_go_on
    }

    private func takeEnd(_ results: UnsafeBufferPointer<apus_rkllm_result>) {
        outcome = .finished
        for (index, result) in zip(elements.indices, results) where result.has_figures {
            let choice = elements[index].choice
            if index == 0 { add(result.figures) }
            guard work.runs[choice].input.hasText, !work.runs[choice].resumes else { continue }
            count(promptTokens: history + Int(max(0, result.figures.prefill_tokens)), element: index)
        }
    }

    /// Now it is known how long an input was; choices share theirs.
    func count(promptTokens tokens: Int, element index: Int) {
        if elements[index].choice.isMultiple(of: work.choicesPerInput) {
            promptTokens += tokens - elements[index].inputTokens
        }
        elements[index].inputTokens = tokens
    }

    /// Adds what the runtime measured; one that measures nothing tells zeros.
    private func add(_ told: apus_rkllm_figures) {
        let times = [told.prefill_time, told.generate_time, told.memory]
        guard times.allSatisfy({ $0.isFinite && $0 >= 0 }), times.contains(where: { $0 > 0 }) else { return }
        let before =
            figures
            ?? RuntimeFigures(
                prefillMilliseconds: 0, prefillTokens: 0, generateMilliseconds: 0, generateTokens: 0,
                memoryMegabytes: 0)
        figures = RuntimeFigures(
            prefillMilliseconds: before.prefillMilliseconds + told.prefill_time,
            prefillTokens: before.prefillTokens &+ UInt32(max(0, told.prefill_tokens)),
            generateMilliseconds: before.generateMilliseconds + told.generate_time,
            generateTokens: before.generateTokens &+ UInt32(max(0, told.generate_tokens)),
            memoryMegabytes: max(before.memoryMegabytes, told.memory))
    }

    // MARK: Ends

    /// The runtime has finished by itself.
    func finish(_ run: PreparedRun) throws(EngineError) {
        var events: [EngineEvent] = []
        for index in elements.indices where !elements[index].isOver {
            if run.mode == apus_rkllm_generate {
                finish(element: index, into: &events)
                continue
            }
            guard elements[index].rows > 0 else { throw lie("success, and gave no rows") }
            guard case .embedding(_, let normalizes) = work.answer else {
                tell(AnswerParts(), of: index, ending: .length, into: &events)
                continue
            }
            let vector = elements[index].vector.finished(normalizes: normalizes, rows: elements[index].rows)
            guard vectors.append(vector) else {
                throw lie("hidden states that are not finite, or of another width than before")
            }
        }
        say(events)
    }

    /// Ends the call in the middle of a run.
    func end(_ event: EngineEvent) {
        core.say([event], of: call)
        stopRun()
    }

    func stopRun() {
        wasStopped = true
        core.wantAbort()
    }

    /// The error about something that cannot be.
    func lie(_ what: String) -> EngineError { core.model.library.failure("told of \(what)") }
}
