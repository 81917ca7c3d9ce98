import CRKLLM
import EngineProtocol
import Platform

/// The call that the runtime works on, run after run.
///
/// It belongs to the run thread, which is in `perform` while the runtime calls `take`.
final class RunningCall {
    private enum Outcome {
        case unknown, finished, failed
    }

    private let call: CallID
    private let work: PreparedRuns
    private let acceptedAt: UInt64
    private let core: EngineCore
    private let startedAt = MonotonicClock.now()
    private var firstTokenAt: UInt64?
    private var lastTokenAt: UInt64?
    private var promptTokens = 0
    private var completionTokens = 0
    private var vectors = PooledVectors()

    // Of the run
    private var choice = 0
    private var text: (any AnswerText)?
    private var said = ""
    /// As far as they are known.
    private var inputTokens = 0
    private var generated = 0
    private var heldIDs: [Int32] = []
    private var rows = 0
    private var outcome = Outcome.unknown
    /// The choice or the call has ended: what the runtime still says is dropped.
    private var isOver = false

    init(_ entry: RunQueue.Entry, core: EngineCore) {
        call = entry.call
        work = entry.work
        acceptedAt = entry.acceptedAt
        self.core = core
    }

    func perform(cache: inout RuntimeCache) {
        guard !isLate else { return core.say([.failed(.deadlineExceeded)], of: call) }
        if work.continues {
            guard let turns = work.runs.first?.turns, cache.continues(turns) else {
                return core.say([.failed(Self.forgotten)], of: call)
            }
            core.say([EngineCore.accepted(work, position: 0)], of: call)
        }
        if case .generation = work.answer { core.say([.started(cachedTokens: 0)], of: call) }
        for choice in work.runs.indices {
            guard perform(choice: choice, cache: &cache) else { return }
        }
        core.say([end], of: call)
    }

    private static let forgotten = EngineError.unsupported(
        feature: "this conversation: the Rockchip runtime remembers the last one only, and only as it was said")

    /// False when the call is over.
    private func perform(choice: Int, cache: inout RuntimeCache) -> Bool {
        let run = work.runs[choice]
        begin(choice)
        guard core.beginRun(of: call) else { return false }
        let begunAt = MonotonicClock.now()
        core.progress.beginStep(rows: max(1, run.input.positions), sequences: 1, calls: CollectionOfOne(call))
        let keeps = run.turns.map(cache.continues) ?? false
        // Rows that were found in the cache would be missing from the answer.
        if !keeps, !cache.isClear || run.mode != apus_rkllm_generate {
            core.model.clearCache(keepsSystemPrompt: run.mode == apus_rkllm_generate)
            cache.clear()
        }
        let code = core.model.run(run, of: self)
        core.endRun(nanoseconds: MonotonicClock.now() - begunAt)
        let endedItself = !isOver && code == 0 && outcome == .finished
        if run.turns != nil || run.mode != apus_rkllm_generate { cache.fill(nil) }
        guard core.isOpen(call) else { return false }
        if !isOver {
            guard endedItself else {
                fail(code)
                return false
            }
            finish(run)
            if let turns = run.turns { cache.fill(turns + [ChatTurn(role: .assistant, text: said)]) }
        }
        return core.isOpen(call)
    }

    private func begin(_ choice: Int) {
        self.choice = choice
        text = nil
        if case .generation(let stopStrings, _, _) = work.answer { text = core.makeText(stopStrings) }
        (said, generated, heldIDs, rows, outcome, isOver) = ("", 0, [], 0, .unknown, false)
        inputTokens = work.runs[choice].input.positions
        if choice.isMultiple(of: work.choicesPerInput) { promptTokens += inputTokens }
    }

    private var isLate: Bool { work.deadline != 0 && MonotonicClock.now() >= work.deadline }

    // MARK: What the runtime tells

    /// Takes a result while it lasts.
    func take(_ result: apus_rkllm_result) {
        let isAnswer = result.state == 0 || result.state == 1
        guard !isOver, core.isOpen(call) else {
            isOver = true
            // It goes on although it has been told, or should know.
            if isAnswer { core.wantAbort() }
            return
        }
        core.progress.beginStep(rows: 1, sequences: 1, calls: CollectionOfOne(call))
        guard !isLate else { return end(.failed(.deadlineExceeded)) }
        switch result.state {
        case 0: work.runs[choice].mode == apus_rkllm_generate ? takeToken(result) : takeRows(result)
        // The characters come with a later token.
        case 1: count(result.token)
        case 2: takeEnd(result)
        case 3: outcome = .failed
        default: end(.failed(Self.lie("a state \(result.state), which has no meaning")))
        }
    }

    private func takeEnd(_ result: apus_rkllm_result) {
        outcome = .finished
        guard work.runs[choice].input.positions == 0 else { return }
        inputTokens = Int(max(0, result.prompt_tokens))
        if choice.isMultiple(of: work.choicesPerInput) { promptTokens += inputTokens }
    }

    private func count(_ token: Int32) {
        guard token >= 0 else { return }
        let now = MonotonicClock.now()
        if firstTokenAt == nil { firstTokenAt = now }
        lastTokenAt = now
        generated += 1
        completionTokens += 1
        heldIDs.append(token)
        core.queue.withLock { $0.statistics.generatedTokens += 1 }
    }

    private func takeToken(_ result: apus_rkllm_result) {
        // Of a result that is none, nothing is said.
        guard result.text != nil || result.token >= 0, case .generation(_, let stopTokens, _) = work.answer else {
            return
        }
        count(result.token)
        var reason: FinishReason?
        var output = ""
        if stopTokens.contains(result.token) {
            reason = .stop
        } else if text?.append(Self.bytes(result.text), to: &output) ?? false {
            reason = .stop
        } else if generated >= work.runs[choice].maximumTokens {
            reason = .length
        }
        if reason != nil { text?.flush(to: &output) }
        say(output, ending: reason)
        // A runtime that was told the limit ends by itself.
        if reason == .stop || reason == .length && !core.model.family.samplesPerRun { core.wantAbort() }
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

    /// Says new text, and if the choice ends with it, that too.
    private func say(_ output: String, ending reason: FinishReason?) {
        var events: [EngineEvent] = []
        if !heldIDs.isEmpty || !output.isEmpty {
            events.append(.tokens(TokenChunk(choice: UInt32(clamping: choice), ids: heldIDs, text: output)))
            heldIDs = []
            said += output
        }
        if let reason {
            isOver = true
            events.append(.choiceFinished(choice: UInt32(clamping: choice), reason: reason))
            if choice == work.runs.count - 1 { events.append(end) }
        }
        if !events.isEmpty { core.say(events, of: call) }
    }

    // MARK: Rows

    private func takeRows(_ result: apus_rkllm_result) {
        let mode = work.runs[choice].mode
        let matrix = mode == apus_rkllm_logits ? result.logits : result.hidden_states
        guard let values = matrix.values, matrix.rows != 0, matrix.columns != 0 else { return }
        // Of a conversation's text nobody here knows the length, but the context has an end.
        let most = core.model.contextLength - rows
        guard matrix.rows > 0, matrix.columns > 0, matrix.rows <= most, matrix.columns <= core.limits.columns else {
            return end(.failed(Self.lie("\(matrix.rows) rows of \(matrix.columns) numbers")))
        }
        if mode == apus_rkllm_hidden_states {
            core.queue.withLock { $0.knownWidth = UInt32(matrix.columns) }
        }
        if firstTokenAt == nil { firstTokenAt = MonotonicClock.now() }
        let count = Int(matrix.rows)
        let numbers = UnsafeBufferPointer(start: values, count: count * Int(matrix.columns))
        switch work.answer {
        case .generation(_, _, let tensors):
            if let kind = tensors?.kind { send(numbers, columns: Int(matrix.columns), kind: kind) }
        case .embedding(let pooling, _): vectors.add(numbers, columns: Int(matrix.columns), pooling: pooling)
        }
        rows += count
    }

    /// Sends rows within the call's credit, and waits for more of it; the runtime waits too.
    private func send(_ numbers: UnsafeBufferPointer<Float>, columns: Int, kind: TensorRequest.Kind) {
        let rowBytes = columns * MemoryLayout<Float>.size
        var sent = 0
        while sent < numbers.count / columns {
            guard let credit = core.waitForCredit(of: call, deadline: work.deadline) else { return isOver = true }
            guard credit > 0 else { return end(.failed(.deadlineExceeded)) }
            core.progress.beginStep(rows: 1, sequences: 1, calls: CollectionOfOne(call))
            let room = max(1, min(credit, core.limits.tensorBytesPerEvent) / rowBytes)
            let count = min(room, numbers.count / columns - sent)
            let part = Tensor(
                rows: UInt32(clamping: count), columns: UInt32(clamping: columns),
                values: Array(numbers[sent * columns..<(sent + count) * columns]))
            core.queue.withLock { $0.spendCredit(count * rowBytes) }
            let chunk = TensorChunk(
                input: UInt32(clamping: choice), kind: kind, firstRow: UInt32(clamping: rows + sent), tensor: part)
            core.say([.tensor(chunk)], of: call)
            sent += count
        }
    }

    // MARK: Ends

    /// The runtime has finished by itself.
    private func finish(_ run: PreparedRun) {
        if run.mode == apus_rkllm_generate {
            var output = ""
            text?.flush(to: &output)
            return say(output, ending: inputTokens + generated < core.model.contextLength ? .stop : .length)
        }
        guard rows > 0 else { return end(.failed(Self.lie("success, and gave no rows"))) }
        guard case .embedding(_, let normalizes) = work.answer else { return say("", ending: .length) }
        if !vectors.finishRow(normalizes: normalizes, rows: rows) {
            end(.failed(Self.lie("hidden states that are not finite, or of another width than before")))
        }
    }

    /// The event after which a call that went well has no more.
    private var end: EngineEvent {
        if case .embedding = work.answer {
            return .result(.embedded(vectors.tensor, promptTokens: UInt32(clamping: promptTokens)))
        }
        return .finished(
            usage: Usage(
                promptTokens: UInt32(clamping: promptTokens), completionTokens: UInt32(clamping: completionTokens),
                cachedTokens: 0),
            timings: Timings(
                preparation: work.preparationNanoseconds, queue: Self.span(acceptedAt, startedAt),
                prefill: Self.span(startedAt, firstTokenAt), decode: Self.span(firstTokenAt, lastTokenAt)))
    }

    private static func span(_ start: UInt64?, _ end: UInt64?) -> UInt64 {
        guard let start, let end, end > start else { return 0 }
        return end - start
    }

    /// Ends the call in the middle of a run.
    private func end(_ event: EngineEvent) {
        isOver = true
        core.say([event], of: call)
        core.wantAbort()
    }

    private func fail(_ code: Int32) {
        let how =
            code != 0
            ? "failed" : outcome == .failed ? "reported an error" : "returned without saying that it finished"
        let message = "the Rockchip runtime \(how) (rkllm_run: \(code))\(core.lastWords())"
        core.say([.failed(Self.failure(message))], of: call)
    }

    private static func lie(_ what: String) -> EngineError { failure("the Rockchip runtime told of \(what)") }

    private static func failure(_ message: String) -> EngineError {
        .internalError(id: String(SystemRandom.next(), radix: 16), message: message)
    }
}
