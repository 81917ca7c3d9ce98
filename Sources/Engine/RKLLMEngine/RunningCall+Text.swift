import CRKLLM
import EngineProtocol
import Platform

/// Tokens and text of answers.
extension RunningCall {
    func takeTokens(_ results: UnsafeBufferPointer<apus_rkllm_result>) {
        let isBatch = core.model.settings.batch > 1
        // It goes on although all have had enough, or with copies that nobody asked for.
        let hasAnswers = results.contains { $0.text != nil || $0.token >= 0 }
        var mustStop = hasAnswers && elements.allSatisfy(\.isOver)
        var events: [EngineEvent] = []
        for (index, result) in zip(elements.indices, results) where !elements[index].isOver {
            if result.text != nil || result.token >= 0 {
                mustStop = take(result, element: index, into: &events) || mustStop
            } else if isBatch {
                // Others go on without it.
                finish(element: index, into: &events)
            }
        }
        if mustStop, elements.allSatisfy(\.isOver) {
            if isLast, work.cacheFile == nil { events.append(end) }
            say(events)
            stopRun()
        } else {
            say(events)
        }
    }

    /// Takes a token and its text; true if the runtime has to be told that it is enough.
    private func take(_ result: apus_rkllm_result, element index: Int, into events: inout [EngineEvent]) -> Bool {
        guard case .generation(_, let stopTokens, _) = work.answer else { return false }
        count(result.token, element: index)
        var answer = AnswerParts()
        var reason: FinishReason?
        if stopTokens.contains(result.token) {
            reason = .stop
        } else if elements[index].text?.append(Self.bytes(result.text), to: &answer) ?? false {
            reason = .stop
        } else if elements[index].generated >= work.runs[elements[index].choice].maximumTokens {
            reason = .length
        } else if mayPause(result, element: index) {
            (reason, isPaused) = (.paused, true)
        }
        if reason != nil { elements[index].text?.flush(to: &answer) }
        tell(answer, of: index, ending: reason, into: &events)
        // A runtime that was told the limit ends by itself.
        return reason == .stop || reason == .length && !core.model.family.choosesPerRun
    }

    /// Takes a token, whose text may come later.
    func count(_ token: Int32, element index: Int) {
        guard token >= 0, !elements[index].isOver else { return }
        let now = MonotonicClock.now()
        if firstTokenAt == nil { firstTokenAt = now }
        lastTokenAt = now
        elements[index].generated += 1
        elements[index].lastToken = token
        elements[index].heldIDs.append(token)
        completionTokens += 1
        core.queue.withLock { $0.statistics.generatedTokens += 1 }
    }

    /// An answer pauses where all of its text is said, so that nothing of it has to be kept.
    private func mayPause(_ result: apus_rkllm_result, element index: Int) -> Bool {
        guard let use = work.session, !use.keepsHistory, core.model.family.pauses, result.token >= 0 else {
            return false
        }
        return elements[index].text?.withheldBytes == 0 && core.queue.withLock { $0.isPausing(call) }
    }

    private static func bytes(_ text: UnsafePointer<CChar>?) -> [UInt8] {
        guard let text else { return [] }
        var bytes: [UInt8] = []
        var next = text
        while next.pointee != 0 {
            bytes.append(UInt8(bitPattern: next.pointee))
            next += 1
        }
        return bytes
    }

    /// Tells what is new of a choice, and if it ends with that, why.
    func tell(
        _ answer: AnswerParts, of index: Int, ending reason: FinishReason?, into events: inout [EngineEvent]
    ) {
        let choice = UInt32(clamping: elements[index].choice)
        for part in answer.parts {
            let ids = elements[index].heldIDs
            elements[index].heldIDs = []
            events.append(.tokens(TokenChunk(choice: choice, ids: ids, text: part.text, kind: part.kind)))
            if part.kind == .toolCall { elements[index].hasToolCalls = true } else { elements[index].said += part.text }
        }
        if !elements[index].heldIDs.isEmpty {
            events.append(.tokens(TokenChunk(choice: choice, ids: elements[index].heldIDs, text: "")))
            elements[index].heldIDs = []
        }
        guard let reason else { return }
        elements[index].isOver = true
        events.append(.choiceFinished(choice: choice, reason: reason))
    }

    // MARK: Ends

    /// The runtime has no more of a choice.
    func finish(element index: Int, into events: inout [EngineEvent]) {
        var answer = AnswerParts()
        elements[index].text?.flush(to: &answer)
        let isFull = elements[index].positions >= core.model.contextLength
        tell(answer, of: index, ending: isFull ? .length : .stop, into: &events)
    }

    private var isLast: Bool { elements.last?.choice == work.runs.count - 1 }
}
