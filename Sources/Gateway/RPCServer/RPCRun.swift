import EngineProtocol
import JSON
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
    private var request: RKLLMRunRequest
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
    /// Bytes of rows that are kept for the answer as a whole.
    private var keptBytes = 0

    init(
        id: RPCID, handle: RKLLMHandle, request: RKLLMRunRequest, isAsynchronous: Bool, slot: ReplySlot,
        session: RPCSession
    ) {
        self.id = id
        self.handle = handle
        self.request = request
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

    /// Sends the request to the model.
    func start() throws(EngineError) {
        // To a client that waits for the whole answer nothing has been sent, so another worker may begin again.
        call = try session.service.serving.submit(
            .generate(request.generate), model: handle.model, identity: identity,
            resumes: !options.streams && !isNano && request.generate.tensors == nil, listener: self)
    }

    /// Goes on after the connection's output has left.
    func outputDrained() {
        if let call { callHasEvents(call) }
    }

    func callHasEvents(_ call: ServedCall) {
        // A call that was sent again with fewer tokens may still have something to say.
        while call === self.call, !isFinished, session.takesMore, let event = call.next() { take(event) }
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
        if asked ?? .max > length - promptTokens { shorten(to: length - promptTokens, or: exceeded) }
    }

    /// `max_new_tokens` is a most: where the window is full before, the answer ends there.
    ///
    /// The call is sent again, once, because only now it is known how long the prompt is.
    private func shorten(to tokens: UInt32, or error: EngineError) {
        guard !hasBeenShortened else { return fail(RPCError(error)) }
        hasBeenShortened = true
        leaveCall()
        request.generate.maximumTokens = tokens
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
        if options.streams && !isNano {
            return write(RunResult(batchIndex: batchIndexed ? chunk.input : nil, tensor: chunk))
        }
        let limit = session.service.limits.keptTensorBytes
        guard session.service.keepTensorBytes(chunk.tensor.byteCount) else {
            leaveCall()
            return fail(
                .limit("the rows of all runs that do not stream", limit: limit, value: limit + chunk.tensor.byteCount))
        }
        keptBytes += chunk.tensor.byteCount
        outcome.add(chunk)
    }

    private func write(_ result: RunResult) {
        hasSentFrames = true
        session.writeStream { [isNano] output in
            if isNano { frames.appendNano(result, to: &output) } else { frames.appendNotification(result, to: &output) }
        }
    }

    private func finish(_ reason: RunOutcome.Reason, _ perf: RunPerformance?) {
        guard !isFinished else { return }
        if isNano {
            writeNanoTensors()
            write(RunResult(state: .finish, perf: perf))
            return end(reason == .aborted ? "aborted" : "ok")
        }
        let document = outcome.document(
            reason, call: identity.publicID, model: handle.model, perf: perf, encoding: options.tensors,
            inlineValues: session.service.limits.inlineTensorValues, now: MonotonicClock.now())
        if isAsynchronous {
            session.writeStream { frames.appendFinished(.success(document), to: &$0) }
        } else {
            slot.answer(document)
        }
        end(reason == .aborted ? "aborted" : "ok")
    }

    private func writeNanoTensors() {
        for (index, output) in outcome.outputs.enumerated() {
            guard let tensor = output.tensor else { continue }
            write(RunResult(batchIndex: batchIndexed ? UInt32(index) : nil, tensor: tensor))
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
        session.service.giveBackTensorBytes(keptBytes)
        keptBytes = 0
        metrics.finished()
        slot.close(outcome)
        session.runEnded(self)
    }
}
