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

    /// One input of a run and its answer.
    private struct Element {
        /// Its choice's index.
        let choice: Int
        var text: (any AnswerText)?
        /// Content as it was said; of an answer with tool calls it is not all.
        var said = ""
        var hasToolCalls = false
        /// With the history that it goes on after, as far as they are known.
        var inputTokens = 0
        var generated = 0
        var heldIDs: [Int32] = []
        var lastToken: Int32 = -1
        var rows = 0
        var vector = PooledVector()
        /// The choice has ended: what the runtime still says is dropped.
        var isOver = false

        /// What it takes of the context.
        var positions: Int { inputTokens + generated }
    }

    private let call: CallID
    private let work: PreparedRuns
    private let acceptedAt: UInt64
    private let core: EngineCore
    private let startedAt = MonotonicClock.now()
    private var firstTokenAt: UInt64?
    private var lastTokenAt: UInt64?
    /// Positions of the history that the call goes on after.
    private var history = 0
    private var promptTokens = 0
    private var completionTokens = 0
    private var vectors = PooledVectors()
    private var figures: RuntimeFigures?

    // Of the run
    private var elements: [Element] = []
    private var mode = apus_rkllm_generate
    private var outcome = Outcome.unknown
    private var isPaused = false
    /// The runtime said more than anybody wanted, and was told to end.
    private var wasStopped = false

    init(_ call: CallID, _ work: PreparedRuns, acceptedAt: UInt64, core: EngineCore) {
        self.call = call
        self.work = work
        self.acceptedAt = acceptedAt
        self.core = core
    }

    // MARK: The call

    func perform(cache: inout RuntimeCache) {
        guard !isLate else { return core.say([.failed(.deadlineExceeded)], of: call) }
        do throws(EngineError) {
            let goesOn = try goesOn(cache)
            if goesOn { history = try positions(of: cache) }
            if work.isAcceptedLate { core.say([EngineCore.accepted(work, history: history, position: 0)], of: call) }
            if case .generation = work.answer {
                core.say([.started(cachedTokens: UInt32(clamping: history))], of: call)
            }
            var next = 0
            while next < work.runs.count, core.isOpen(call) {
                let choices = batch(from: next)
                try perform(choices, goesOn: goesOn, cache: &cache)
                next = choices.upperBound
            }
            core.say([end], of: call)
        } catch {
            core.say([.failed(error)], of: call)
        }
    }

    /// The choices that one run computes.
    private func batch(from first: Int) -> Range<Int> {
        let most = min(work.runs.count, first + core.model.settings.batch)
        let end = (first..<most).first { !work.runs[$0].canShareRun(with: work.runs[first]) }
        return first..<(end ?? most)
    }

    private var isLate: Bool { work.deadline != 0 && MonotonicClock.now() >= work.deadline }

    /// Whether the runtime has what the call goes on with; refused where it should and has not.
    private func goesOn(_ cache: RuntimeCache) throws(EngineError) -> Bool {
        if let name = work.adapter, !core.model.hasAdapter(name) { throw EngineCore.unknown(adapter: name) }
        if work.continues {
            guard let turns = work.runs.first?.turns, cache.continues(turns) else { throw Self.forgotten }
            return true
        }
        guard let use = work.session else { return false }
        let session = try core.session(use.id)
        guard session.pausedAt != nil || work.runs.first?.resumes == false else {
            throw .invalidRequest(parameter: "session", message: "no answer of this session is paused")
        }
        guard session.goesOn(with: use) else { return false }
        guard cache.holder == .session(use.id) else { throw EngineCore.displaced }
        guard session.pausedAt == nil || !use.keepsHistory else {
            throw .unsupported(
                feature: "a history that begins with a paused answer: the Rockchip runtime pauses single turns")
        }
        guard session.adapter == work.adapter else {
            throw .invalidRequest(
                parameter: "adapter", message: "the session goes on, so its adapter stays as it is; clear it first")
        }
        return true
    }

    /// Positions in the cache as the runtime tells them, or else as they were counted here.
    private func positions(of cache: RuntimeCache) throws(EngineError) -> Int {
        core.beginLibraryCall(for: call)
        return try core.model.cachedPositions().map { Int($0) } ?? cache.positions
    }

    private var lost: EngineError { work.session == nil ? Self.forgotten : EngineCore.displaced }

    private static let forgotten = EngineError.unsupported(
        feature: "this conversation: the Rockchip runtime remembers the last one only, and only as it was said")

    // MARK: A run

    private func perform(_ choices: Range<Int>, goesOn: Bool, cache: inout RuntimeCache) throws(EngineError) {
        var runs = Array(work.runs[choices])
        begin(choices, runs)
        let first = runs[0]
        defer {
            if work.crossAttention != nil {
                core.beginLibraryCall(for: call)
                core.model.unsetCrossAttention()
            }
        }
        try arrange(first, goesOn: goesOn, cache: &cache)
        if first.resumes, let token = try work.session.map(session)?.pausedAt { runs[0].input = .tokens([token]) }
        // The runtime wants as many inputs as it has places: what comes of copies is dropped.
        while runs.count < core.model.settings.batch { runs.append(runs[runs.count - 1]) }
        let saved = work.cacheFile == nil ? nil : try PromptCache()
        guard core.beginRun(of: call) else { return }
        let begunAt = MonotonicClock.now()
        core.progress.beginStep(
            rows: max(1, first.input.positions), sequences: runs.count, calls: CollectionOfOne(call))
        cache.fill(work)
        let code = core.model.run(
            runs, of: self, adapter: work.adapter, saves: saved, keepsHistory: keepsHistory(first))
        core.endRun(nanoseconds: MonotonicClock.now() - begunAt)
        try conclude(first, code: code, cache: &cache)
        if let saved, let file = work.cacheFile, core.isOpen(call) {
            try saved.write(
                to: file, of: core.model.identity, positions: UInt32(clamping: elements[0].inputTokens),
                limits: core.limits)
        }
    }

    private func session(_ use: SessionUse) throws(EngineError) -> RuntimeSession { try core.session(use.id) }

    private func keepsHistory(_ run: PreparedRun) -> Bool {
        if let use = work.session { return use.keepsHistory }
        return run.turns != nil && core.model.family.keepsHistory
    }

    private func begin(_ choices: Range<Int>, _ runs: [PreparedRun]) {
        elements = zip(choices, runs).map { choice, run in
            var element = Element(choice: choice)
            if case .generation(let stopStrings, _, _) = work.answer {
                var options = AnswerOptions(stopStrings: stopStrings, findsToolCalls: false)
                if case .tools = run.template { options.findsToolCalls = true }
                element.text = core.makeText(options)
            }
            // The token with which a paused answer goes on has been said, and so is in the history.
            element.inputTokens = history + (run.resumes ? 0 : run.input.positions)
            return element
        }
        for element in elements where element.choice.isMultiple(of: work.choicesPerInput) {
            promptTokens += element.inputTokens
        }
        (mode, outcome, isPaused, wasStopped) = (runs[0].mode, .unknown, false, false)
    }

    /// Has in the runtime's handle what the run needs, and nothing that would change it.
    private func arrange(_ run: PreparedRun, goesOn: Bool, cache: inout RuntimeCache) throws(EngineError) {
        let model = core.model
        core.beginLibraryCall(for: call)
        if model.mustReload(for: run) {
            guard !goesOn else { throw lost }
            try core.reload(for: run, cache: &cache)
            core.beginLibraryCall(for: call)
        }
        if try model.setTemplate(run.template) {
            guard !goesOn else { throw lost }
            if run.template == .raw { cache.clear() } else { cache.hold(.remains) }
        }
        // Rows that were found in the cache would be missing from the answer.
        let hasRows = run.mode != apus_rkllm_generate
        let isForeign = cache.isForeign(to: work)
        if !goesOn, cache.holder != .nobody || hasRows || isForeign {
            let keepsSystemPrompt = !hasRows && !isForeign
            try model.clearCache(keepsSystemPrompt: keepsSystemPrompt, mustSucceed: !cache.isEmpty)
            cache.clear(leavesSystemPrompt: keepsSystemPrompt && !cache.isEmpty)
        }
        // Its positions were computed by the model alone.
        let isPlain = work.adapter == nil && work.crossAttention == nil
        if !isPlain {
            try model.use(nil)
        } else if let id = work.session?.id, let wanted = try core.session(id).promptCache {
            core.beginLibraryCall(for: call)
            try model.use(wanted)
        }
        if let input = work.crossAttention {
            core.beginLibraryCall(for: call)
            try model.set(input)
        }
    }

    /// What the run has left behind, for the call and for those after it.
    private func conclude(_ run: PreparedRun, code: Int32, cache: inout RuntimeCache) throws(EngineError) {
        let isOpen = core.isOpen(call)
        if isOpen, elements.contains(where: { !$0.isOver }) || isPaused && code != 0 {
            guard code == 0, outcome == .finished else { throw failure(code) }
            try finish(run)
        }
        let isWhole = isOpen && code == 0 && (outcome == .finished || isPaused) && !wasStopped
        if let use = work.session { remember(use, isWhole: isWhole, cache: &cache) }
        guard work.session == nil else { return }
        if let turns = run.turns, isWhole, !elements[0].hasToolCalls {
            let said = ChatTurn(role: .assistant, text: elements[0].said)
            cache.hold(.conversation(turns + [said]), positions: elements[0].positions)
        } else if run.turns == nil, run.mode == apus_rkllm_generate, isWhole {
            cache.hold(.nobody)
        }
    }

    private func remember(_ use: SessionUse, isWhole: Bool, cache: inout RuntimeCache) {
        guard var session = try? core.session(use.id) else { return }
        session.adapter = work.adapter
        session.pausedAt = isPaused ? elements[0].lastToken : nil
        session.keptHistory = use.keepsHistory
        core.keep(session, as: use.id)
        if isWhole, use.keepsHistory || isPaused {
            cache.hold(.session(use.id), positions: elements[0].positions)
        } else if isWhole {
            cache.hold(.nobody)
        }
    }

    // MARK: What the runtime tells

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
            let tokens = history + Int(max(0, result.figures.prefill_tokens))
            if choice.isMultiple(of: work.choicesPerInput) { promptTokens += tokens - elements[index].inputTokens }
            elements[index].inputTokens = tokens
        }
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

    private func count(_ token: Int32, element index: Int) {
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

    private func takeTokens(_ results: UnsafeBufferPointer<apus_rkllm_result>) {
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
    private func tell(
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

    // MARK: Rows

    private func takeRows(_ results: UnsafeBufferPointer<apus_rkllm_result>) {
        for (index, result) in zip(elements.indices, results) where core.isOpen(call) {
            takeRows(mode == apus_rkllm_logits ? result.logits : result.hidden_states, element: index)
        }
    }

    private func takeRows(_ matrix: apus_rkllm_matrix, element index: Int) {
        guard let values = matrix.values, matrix.rows != 0, matrix.columns != 0 else { return }
        // Of a conversation's text nobody here knows the length, but the context has an end.
        let most = core.model.contextLength - elements[index].rows
        guard matrix.rows > 0, matrix.columns > 0, matrix.rows <= most, matrix.columns <= core.limits.columns else {
            return end(.failed(lie("\(matrix.rows) rows of \(matrix.columns) numbers")))
        }
        if mode == apus_rkllm_hidden_states {
            core.queue.withLock { $0.knownWidth = UInt32(matrix.columns) }
        }
        if firstTokenAt == nil { firstTokenAt = MonotonicClock.now() }
        let columns = Int(matrix.columns)
        let numbers = UnsafeBufferPointer(start: values, count: Int(matrix.rows) * columns)
        switch work.answer {
        case .generation(_, _, let tensors):
            if let kind = tensors?.kind { send(numbers, columns: columns, kind: kind, element: index) }
        case .embedding(let pooling, _): elements[index].vector.add(numbers, columns: columns, pooling: pooling)
        }
        elements[index].rows += Int(matrix.rows)
    }

    /// Sends rows within the call's credit, and waits for more of it; the runtime waits too.
    private func send(
        _ numbers: UnsafeBufferPointer<Float>, columns: Int, kind: TensorRequest.Kind, element index: Int
    ) {
        let rowBytes = columns * MemoryLayout<Float>.size
        var sent = 0
        while sent < numbers.count / columns {
            guard let credit = core.waitForCredit(of: call, deadline: work.deadline) else { return }
            guard credit > 0 else { return end(.failed(.deadlineExceeded)) }
            core.progress.beginStep(rows: 1, sequences: 1, calls: CollectionOfOne(call))
            let room = max(1, min(credit, core.limits.tensorBytesPerEvent) / rowBytes)
            let count = min(room, numbers.count / columns - sent)
            let part = Tensor(
                rows: UInt32(clamping: count), columns: UInt32(clamping: columns),
                values: Array(numbers[sent * columns..<(sent + count) * columns]))
            core.queue.withLock { $0.spendCredit(count * rowBytes) }
            let chunk = TensorChunk(
                input: UInt32(clamping: elements[index].choice), kind: kind,
                firstRow: UInt32(clamping: elements[index].rows + sent), tensor: part)
            core.say([.tensor(chunk)], of: call)
            sent += count
        }
    }

    // MARK: Ends

    /// The runtime has finished by itself.
    private func finish(_ run: PreparedRun) throws(EngineError) {
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

    private func finish(element index: Int, into events: inout [EngineEvent]) {
        var answer = AnswerParts()
        elements[index].text?.flush(to: &answer)
        let isFull = elements[index].positions >= core.model.contextLength
        tell(answer, of: index, ending: isFull ? .length : .stop, into: &events)
    }

    private var isLast: Bool { elements.last?.choice == work.runs.count - 1 }

    private func say(_ events: [EngineEvent]) {
        if !events.isEmpty { core.say(events, of: call) }
    }

    /// The event after which a call that went well has no more.
    private var end: EngineEvent {
        if case .embedding = work.answer {
            return .result(.embedded(vectors.tensor, promptTokens: UInt32(clamping: promptTokens)))
        }
        return .finished(
            usage: Usage(
                promptTokens: UInt32(clamping: promptTokens), completionTokens: UInt32(clamping: completionTokens),
                cachedTokens: UInt32(clamping: history)),
            timings: Timings(
                preparation: work.preparationNanoseconds, queue: Self.span(acceptedAt, startedAt),
                prefill: Self.span(startedAt, firstTokenAt), decode: Self.span(firstTokenAt, lastTokenAt),
                runtime: figures))
    }

    private static func span(_ start: UInt64?, _ end: UInt64?) -> UInt64 {
        guard let start, let end, end > start else { return 0 }
        return end - start
    }

    /// Ends the call in the middle of a run.
    private func end(_ event: EngineEvent) {
        core.say([event], of: call)
        stopRun()
    }

    private func stopRun() {
        wasStopped = true
        core.wantAbort()
    }

    private func failure(_ code: Int32) -> EngineError {
        let how =
            code != 0
            ? "failed" : outcome == .failed ? "reported an error" : "returned without saying that it finished"
        return core.model.library.failure("\(how) (rkllm_run: \(code))\(core.model.library.lastWords())")
    }

    private func lie(_ what: String) -> EngineError { core.model.library.failure("told of \(what)") }
}
