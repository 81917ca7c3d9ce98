import EngineProtocol
import JSON
import Observability
import Platform
import Serving

/// One run of a client: takes the call's events and writes what the client gets of them.
///
/// It takes events as fast as its connection can take output, and no faster: what a slow client does not read stays in
/// the call's outbox, which is bounded.
final class RPCRun: CallListener {
    let id: RPCID
    let handle: RKLLMHandle
    /// Its request has been answered before it began.
    let isAsynchronous: Bool
    private unowned let session: RPCSession
    private let slot: ReplySlot
    private(set) var request: RKLLMRunRequest
    /// What its handle keeps, if it is one of those that need that.
    private let history: HandleHistory?
    /// Where the prompt's cache is saved, and the file while that has not ended well.
    private let cacheTarget: CacheRootFile?
    private var cacheFile: FileFolder.Replacement?
    private var reducers: [RowReducer]
    private var wantsPause = false
    private var frames: RunFrames
    private let options: RPCOptions
    private let identity: CallIdentity
    private let metrics: GenerationTimes
    private var call: ServedCall?
    private(set) var outcome: RunOutcome
    private(set) var isStarted = false
    private var isFinished = false
    private var hasSentFrames = false
    private var hasBeenShortened = false
    /// Tokens with which the handle's own window is full; of a run in its session only.
    private var mostTokens: UInt32?
    /// Bytes of rows that are kept for the answer as a whole.
    private var keptBytes = 0

    init(
        id: RPCID, handle: RKLLMHandle, request: RKLLMRunRequest, history: HandleHistory? = nil,
        cacheTarget: CacheRootFile? = nil, isAsynchronous: Bool, slot: ReplySlot, session: RPCSession
    ) {
        self.id = id
        self.handle = handle
        self.request = request
        self.history = history
        self.cacheTarget = cacheTarget
        reducers = request.generate.inputs.map { _ in RowReducer(request.selection) }
        self.isAsynchronous = isAsynchronous
        self.slot = slot
        self.session = session
        options = session.options
        metrics = session.service.metrics.generations.begin()
        let name = PublicID.make(prefix: "rkllm")
        identity = CallIdentity(publicID: name, requestID: name, tenant: session.tenant ?? "")
        outcome = RunOutcome(inputs: request.generate.inputs.count, arrival: MonotonicClock.now())
        frames = RunFrames(
            id: id, encoding: session.options.tensors, inlineValues: session.service.limits.inlineTensorValues,
            userdata: request.userdata)
    }

    private var isNano: Bool { options.compatibility == .nano }

    /// Sends the request to the model, at once or when it is its turn in the handle's history.
    func start() throws(EngineError) {
        if let history { return wait(in: history) }
        // To a client that waits for the whole answer nothing has been sent, so another worker may begin again.
        call = try session.service.serving.submit(
            .generate(request.generate), model: handle.model, identity: identity,
            resumes: !options.streams && !isNano && request.generate.tensors == nil, listener: self)
    }

    private func wait(in history: HandleHistory) {
        let isAgain = hasBeenShortened
        history.add(
            HandleHistory.Step(
                needsHistory: request.keepsHistory || request.resumes,
                begin: { [weak self] session throws(EngineError) in try self?.begin(in: session) },
                fail: { [weak self] error in self?.fail(error) }), goesFirst: isAgain)
        guard request.generate.deadline != 0, !isAgain else { return }
        let now = MonotonicClock.now()
        let patience = request.generate.deadline - min(now, request.generate.deadline)
        // Once it is at the model, Serving sees to that.
        _ = session.service.loop.after(nanoseconds: patience) { [weak self] in
            guard let self, call == nil, !isFinished else { return }
            fail(RPCError(.deadlineExceeded))
        }
    }

    private func begin(in session: ServedSession) throws(EngineError) {
        guard !isFinished else { return }
        var generate = request.generate
        if !request.keepsHistory { history?.keptSystemPrompt = false }
        if follows(session), let following = request.followingInput { generate.inputs = [following] }
        generate.session = SessionUse(
            id: session.id, keepsHistory: request.keepsHistory, savesCache: cacheTarget != nil,
            contextLength: request.contextLength)
        var files: [AttachedFile] = []
        if let cacheTarget {
            let file = try cacheTarget.replace()
            do throws(SystemError) { files = [AttachedFile(try file.duplicate())] } catch {
                throw .resourceExhausted(message: error.description, permanent: false)
            }
            cacheFile = file
        }
        handle.paused = nil
        let call = try self.session.service.serving.submit(
            .generate(generate), in: session, identity: identity, files: files, listener: self)
        self.call = call
        if wantsPause { self.session.service.serving.pause(call) }
    }

    /// Whether the beginning of its conversation is there already.
    private func follows(_ session: ServedSession) -> Bool {
        guard case .chat = request.generate.inputs[0], history?.keptSystemPrompt == true else {
            return session.state.positions > 0
        }
        return true
    }

    /// Ends the run so that it can go on later; false where it is none of those that can.
    func pause() -> Bool {
        guard history != nil, !isFinished else { return false }
        wantsPause = true
        if let call { session.service.serving.pause(call) }
        return true
    }

    /// Goes on after the connection's output has left.
    func outputDrained() {
        if let call { callHasEvents(call) }
    }

    func callHasEvents(_ call: ServedCall) {
        // A call that was sent again with fewer tokens may still have something to say.
        while call === self.call, !isFinished, session.takesMore, let event = call.next() { take(event) }
        endIfWindowIsFull()
    }

    private func take(_ event: EngineEvent) {
        switch event {
        case .accepted(let promptTokens, _):
            outcome.promptTokens = promptTokens
            checkWindow(promptTokens)
        case .started(let cachedTokens):
            isStarted = true
            outcome.cachedTokens = cachedTokens
        case .tokens(let chunk):
            metrics.receivedTokens(chunk.ids.count)
            send(outcome.add(chunk, now: MonotonicClock.now()))
        case .tensor(let chunk): send(chunk)
        case .choiceFinished(let choice, let reason):
            if choice < outcome.outputs.count { outcome.outputs[Int(choice)].reason = reason }
        case .finished(let usage, let timings):
            metrics.counted(usage)
            // Some engines know only now how long a text was.
            (outcome.promptTokens, outcome.cachedTokens) = (usage.promptTokens, usage.cachedTokens)
            // A prompt that was to be computed and no more has come to its end.
            finish(
                request.generate.maximumTokens == 0 ? .stop : outcome.reason,
                RunPerformance(
                    usage: usage, timings: timings,
                    memoryMebibytes: session.service.peakMemoryMebibytes(ofModel: handle.model)))
        case .failed(let error): take(error)
        case .result, .statistics: break
        }
    }

    private func take(_ error: EngineError) {
        switch error {
        // Somebody ended it on purpose: over HTTP by its id, say.
        case .cancelled: finish(.aborted, nil)
        case .contextLengthExceeded(let limit, let prompt, _) where prompt < limit:
            shorten(to: limit - prompt, or: error)
        default: fail(RPCError(error))
        }
    }
}

// MARK: - The window

extension RPCRun {
    /// The handle's own window may be smaller than the model's.
    private func checkWindow(_ promptTokens: UInt32) {
        guard let length = request.contextLength else { return }
        let asked = request.generate.maximumTokens
        let exceeded = EngineError.contextLengthExceeded(limit: length, prompt: promptTokens, requested: asked ?? 1)
        let least: UInt32 = asked == 0 ? 0 : 1
        guard promptTokens + least <= length else {
            leaveCall()
            return fail(RPCError(exceeded))
        }
        guard asked ?? .max > length - promptTokens else { return }
        // What the session has of the prompt stays there: sent again, it would be there twice.
        if history == nil {
            shorten(to: length - promptTokens, or: exceeded)
        } else {
            mostTokens = length - promptTokens
        }
    }

    /// Ends what an engine does not end by itself, because it could not know how long the prompt is.
    private func endIfWindowIsFull() {
        guard let mostTokens, !isFinished, outcome.tokenCount >= mostTokens else { return }
        leaveCall()
        // A run that is left has not saved its prompt's cache.
        cacheFile = nil
        finish(.length, nil)
    }

    /// `max_new_tokens` is a most: where the window is full before, the answer ends there.
    ///
    /// The call is sent again, once, because only now it is known how long the prompt is.
    private func shorten(to tokens: UInt32, or error: EngineError) {
        guard !hasBeenShortened else { return fail(RPCError(error)) }
        hasBeenShortened = true
        leaveCall()
        request.generate.maximumTokens = tokens
        cacheFile = nil
        do throws(EngineError) { try start() } catch { fail(RPCError(error)) }
    }

    private func leaveCall() {
        if let call { session.service.serving.cancel(call) }
        call = nil
    }
}

// MARK: - What the client gets

extension RPCRun {
    private var batchIndexed: Bool { outcome.outputs.count > 1 }

    private func send(_ chunk: TokenChunk) {
        guard isNano || options.streams else { return }
        let index = batchIndexed ? chunk.choice : nil
        let text = chunk.text.isEmpty ? nil : chunk.text
        guard isNano else {
            return write(
                RunResult(text: text, tokenIDs: chunk.ids, state: text == nil ? .waiting : .normal, batchIndex: index))
        }
        // The ancestor tells each token by itself; only the last one of a chunk has completed the text.
        for id in chunk.ids.dropLast() { write(RunResult(tokenIDs: [id], state: .waiting, batchIndex: index)) }
        let last = chunk.ids.last ?? outcome.lastToken(of: chunk.choice)
        write(
            RunResult(
                text: text, tokenIDs: last.map { [$0] } ?? [], state: text == nil ? .waiting : .normal,
                batchIndex: index))
    }

    private func send(_ chunk: TensorChunk) {
        guard chunk.input < reducers.count else { return }
        do throws(EngineError) {
            if let rows = try reducers[Int(chunk.input)].take(chunk) { send(rows, of: chunk.input) }
        } catch {
            leaveCall()
            fail(RPCError(error))
        }
    }

    private func send(_ rows: RunRows, of input: UInt32) {
        if options.streams && !isNano {
            return write(RunResult(batchIndex: batchIndexed ? input : nil, rows: rows))
        }
        let (limit, bytes) = (session.service.limits.keptTensorBytes, rows.values.byteCount)
        guard session.service.keepTensorBytes(bytes) else {
            leaveCall()
            return fail(.limit("the rows of all runs that do not stream", limit: limit, value: limit + bytes))
        }
        keptBytes += bytes
        outcome.add(rows, of: input)
    }

    /// What rows were made one belongs to the answer as a whole.
    private func addPooledRows() throws(EngineError) {
        for input in reducers.indices {
            if let row = try reducers[input].finish() { outcome.add(row, of: UInt32(input)) }
        }
    }

    private func write(_ result: RunResult) {
        hasSentFrames = true
        session.writeStream { [isNano] output in
            if isNano { frames.appendNano(result, to: &output) } else { frames.appendNotification(result, to: &output) }
        }
    }

    private func finish(_ reason: RunOutcome.Reason, _ perf: RunPerformance?) {
        guard !isFinished else { return }
        do throws(EngineError) { try addPooledRows() } catch { return fail(RPCError(error)) }
        if reason == .paused { handle.paused = request.rest(after: outcome.tokenCount) }
        let savedCache = saveCache(reason)
        if isNano {
            writeNanoTensors()
            write(RunResult(state: .finish, perf: perf))
            return end(reason == .aborted ? "aborted" : "ok")
        }
        let document = outcome.document(
            reason, call: identity.publicID, model: handle.model, perf: perf, savedCache: savedCache,
            encoding: options.tensors, inlineValues: session.service.limits.inlineTensorValues,
            now: MonotonicClock.now())
        if isAsynchronous {
            session.writeStream { frames.appendFinished(.success(document), to: &$0) }
        } else {
            slot.answer(document)
        }
        end(reason == .aborted ? "aborted" : "ok")
    }

    /// The file takes its place if the run has ended well; else it goes away with the run.
    private func saveCache(_ reason: RunOutcome.Reason) -> Bool? {
        guard cacheTarget != nil else { return nil }
        guard reason != .aborted, let cacheFile else { return false }
        self.cacheFile = nil
        do throws(SystemError) { try cacheFile.commit() } catch {
            session.service.logger.error("rpc.cache_not_saved", .string("reason", error.reason))
            return false
        }
        return true
    }

    private func writeNanoTensors() {
        for (index, output) in outcome.outputs.enumerated() {
            guard let rows = output.rows else { continue }
            write(RunResult(batchIndex: batchIndexed ? UInt32(index) : nil, rows: rows))
        }
    }

    private func fail(_ error: RPCError) {
        guard !isFinished else { return }
        if isAsynchronous, !isNano {
            session.writeStream { frames.appendFinished(.failure(error), to: &$0) }
        } else if isNano, hasSentFrames || isAsynchronous {
            write(RunResult(state: .error, error: error))
        } else {
            slot.fail(error)
        }
        end(error.data["type"]?.stringValue ?? "error")
    }

    /// The client wants no more: what there is becomes its answer.
    func abort() {
        guard !isFinished else { return }
        leaveCall()
        finish(.aborted, nil)
    }

    /// The client is gone.
    func abandon() {
        guard !isFinished else { return }
        leaveCall()
        end("disconnected")
    }

    private func end(_ outcome: String) {
        isFinished = true
        cacheFile = nil
        session.service.giveBackTensorBytes(keptBytes)
        keptBytes = 0
        metrics.finished()
        slot.close(outcome)
        session.runEnded(self)
    }
}
