import EngineProtocol
import Platform
import Sampling
import Scheduling
import Tokenizers

/// From logits to events.
extension EngineLoop {
    /// Chooses a choice's next token and says what came of it.
    ///
    /// - Returns: true if the token is the draft and the choice goes on.
    @discardableResult
    func sample(slot: Int, row: Int, draft: Int32? = nil, at now: UInt64) -> Bool {
        // Without logits its call was cancelled between two layers, and ends in the next turn.
        guard let call = choices[slot]?.call, calls[call] != nil, let logits = compute.logits(row: row) else {
            return false
        }
        let token: Int32
        do {
            token = try choose(slot: slot, from: logits)
        } catch {
            fail(call, message: "sampling: \(error.description)")
            return false
        }
        note(token, draft: draft, slot: slot, call: call)
        generatedTokens += 1
        calls[call]?.completionTokens += 1
        if calls[call]?.progress.firstTokenAt == nil { calls[call]?.progress.firstTokenAt = now }
        calls[call]?.progress.lastTokenAt = now
        return report(token, slot: slot, call: call) && token == draft
    }

    /// Compares a token with what was expected at its place.
    private func note(_ token: Int32, draft: Int32?, slot: Int, call: CallID) {
        if let position = choices[slot]?.tokens.count { choices[slot]?.speculation?.observe(token, at: position) }
        guard token == draft else { return }
        drafts.noteAccepted(isFromModel: choices[slot]?.speculation?.usesModel ?? false)
        calls[call]?.acceptedDraftTokens += 1
    }

    private func choose(slot: Int, from logits: UnsafeMutableBufferPointer<Float>) throws(SamplingError) -> Int32 {
        if let token = try ahead.take(slot: slot) { return token }
        let position = choices[slot]?.generatedTokens ?? 0
        let choice = Int(choices[slot]?.choice ?? 0)
        if let options = choices[slot]?.trail?.options {
            return try chooseScored(slot: slot, options: options, from: logits, position: position, choice: choice)
        }
        // The sampler is changed in place: a copy would copy its counts at every token.
        return try choices[slot]?.sampler.sample(logits: logits, position: position, choice: choice) ?? 0
    }

    /// Adds a token to its choice, and ends the choice where it has to end; true if it goes on.
    private func report(_ token: Int32, slot: Int, call: CallID) -> Bool {
        let (chunk, rest, reason) = take(token, slot: slot)
        events.append((call, .tokens(chunk)))
        for part in rest {
            let chunk = TokenChunk(choice: chunk.choice, ids: [], text: part.text, kind: part.kind)
            events.append((call, .tokens(chunk)))
        }
        guard let reason else { return true }
        endChoice(chunk.choice, reason: reason, slot: slot, call: call)
        return false
    }

    /// Ends a choice, and its call with its last one.
    func endChoice(_ choice: UInt32, reason: FinishReason, slot: Int, call: CallID) {
        endedSlots.append(slot)
        events.append((call, .choiceFinished(choice: choice, reason: reason)))
        calls[call]?.choicesLeft -= 1
        if calls[call]?.choicesLeft == 0 { finish(call, slot: slot) }
    }

    /// What the token makes certain: a chunk, the parts after it, and the reason if it is the last.
    private func take(
        _ token: Int32, slot: Int
    ) -> (chunk: TokenChunk, rest: [ChoiceOutput.Part], reason: FinishReason?) {
        var chunk = TokenChunk(choice: 0, ids: [token], text: "")
        guard var choice = choices[slot] else { return (chunk, [], nil) }
        choices[slot] = nil
        choice.tokens.append(token)
        choice.generatedTokens += 1
        var reason: FinishReason?
        var output = ChoiceOutput()
        if choice.stopTokens.contains(token) {
            // The text of a token that ends the answer is never shown.
            reason = .stop
        } else {
            let bytes = choice.findsToolCalls ? model.bytesWithTags(of: token) : model.bytes(of: token)
            choice.trail?.add(byteCount: bytes.count)
            if choice.text.append(bytes, to: &output) {
                reason = .stop
            } else if choice.generatedTokens >= choice.maximumTokens {
                reason = .length
            }
        }
        if reason != nil { choice.text.flush(to: &output) }
        chunk.text = output.content
        chunk.logProbabilities = choice.trail?.release(withheld: choice.text.withheldBytes) ?? []
        chunk.choice = choice.choice
        choices[slot] = choice
        return (chunk, output.rest, reason)
    }

    /// Ends a call for a reason that is ours; the id links the answer to the log line.
    func fail(_ call: CallID, message: String) {
        failedCalls.append(call)
        let id = String(SystemRandom.next(), radix: 16)
        end(call, with: .failed(.internalError(id: id, message: message)))
    }

    // MARK: Scoring

    /// Adds up a slice of a window, and goes on to the next window after its last row.
    func score(_ slice: StepPlan.Slice, firstRow: Int) {
        guard case .scoring(var score)? = calls[slice.call]?.work else { return }
        for offset in 0..<slice.count {
            guard let target = score.target(row: slice.firstPosition + offset) else { continue }
            guard let logits = compute.logits(row: firstRow + offset) else { return }
            score.windowSum += LogLikelihood.negative(of: Int(target), in: UnsafeBufferPointer(logits))
        }
        if slice.firstPosition + slice.count == score.windows.rows(of: score.window) {
            score.sum += score.windowSum
            score.windowSum = 0
            score.window += 1
            guard score.window < score.windows.count else {
                endedSlots.append(slice.slot)
                return finish(slice.call, score: score)
            }
            restarts.append((slice.slot, score.windows.rows(of: score.window)))
        }
        calls[slice.call]?.work = .scoring(score)
    }

    private func finish(_ call: CallID, score: RunningScore) {
        let mean = score.meanNegativeLogLikelihood
        guard mean.isFinite else { return fail(call, message: "the model's logits are not finite") }
        end(
            call,
            with: .result(.scored(tokens: UInt64(score.windows.countedTokens), negativeLogLikelihood: mean)))
    }
}

extension RunningCall {
    var usage: Usage {
        guard case .generation(let generation) = work else {
            return Usage(promptTokens: 0, completionTokens: 0, cachedTokens: 0)
        }
        return Usage(
            promptTokens: UInt32(clamping: generation.promptTokens), completionTokens: completionTokens,
            cachedTokens: UInt32(clamping: cachedTokens), acceptedDraftTokens: acceptedDraftTokens,
            rejectedDraftTokens: draftTokens - acceptedDraftTokens)
    }
}

extension LoadedModel {
    /// The bytes that a generated token stands for; ids beyond the tokenizer's vocabulary pad the embedding and have none.
    func bytes(of token: Int32) -> [UInt8] {
        guard let tokenizer, token >= 0, Int(token) < tokenizer.vocabularySize else { return [] }
        return tokenizer.bytes(of: token)
    }

    /// The same, and the tags of a tool call where they are special tokens, which otherwise write nothing.
    func bytesWithTags(of token: Int32) -> [UInt8] {
        let bytes = bytes(of: token)
        guard bytes.isEmpty else { return bytes }
        let written = writtenBytes(of: token)
        let isTag = [ToolCallTag.opening, ToolCallTag.closing].contains { $0.utf8.elementsEqual(written) }
        return isTag ? written : []
    }
}
