public import EngineProtocol
import Glibc
import Platform
import Supervision

/// What `rkllm_init` opens: a model in a worker of its own, and what the program has set.
///
/// Threading: every member is for any thread. One run or change goes on at a time; a second run is refused, a change waits
/// for another change.
public final class ModelHandle: Sendable {
    fileprivate enum Phase {
        case idle
        case changing
        /// The thread is not known while an asynchronous run begins.
        case running(thread: UInt?)
    }

    /// One of the inputs of all runs, with the positions that it keeps between them.
    struct Slot {
        /// The engine's, which always keeps its history: what is forgotten is decided here.
        let session: SessionID
        var positions: UInt32 = 0
        /// Of the last run.
        var isPaused = false
        var keepsHistory = false

        /// Whether a run's input follows what is there.
        func goesOn(_ request: RunRequest) -> Bool {
            positions > 0 && (isPaused || keepsHistory && request.keepsHistory)
        }
    }

    struct State {
        fileprivate var phase = Phase.idle
        fileprivate var isDestroyed = false
        /// The run that goes on ends the worker, because it was destroyed by its own callback.
        fileprivate var stopsAfterRun = false
        var conversation = Conversation()
        var slots: [Slot]

        fileprivate var isIdle: Bool { if case .idle = phase { true } else { false } }
        fileprivate var isRunning: Bool { if case .running = phase { true } else { false } }
    }

    private let parameters: ModelParameters
    let worker: ModelWorker
    private let callback: RunCallback
    let state: Monitor<State>

    /// The loaded model.
    public var model: ModelDescription { worker.model }
    /// Inputs of each run.
    public var inputs: Int { parameters.inputs }

    init(_ parameters: ModelParameters, callback: RunCallback) throws(Refusal) {
        try parameters.check()
        let model = try ModelPath(map: Environment.value(ModelPath.variable)).source(of: parameters.modelPath)
        let load = LoadRequest(
            source: .bundledDemo, purpose: .generate, displayName: model.displayName,
            contextLength: parameters.contextLength > 0 ? UInt32(parameters.contextLength) : nil,
            parallel: UInt32(parameters.inputs), threads: UInt32(parameters.threads))
        self.parameters = parameters
        self.callback = callback
        worker = try ModelWorker(workerPath: try WorkerPath.find(), sources: ModelSources(model), load: load)
        state = Monitor(State(slots: (1...parameters.inputs).map { Slot(session: SessionID(rawValue: UInt64($0))) }))
        do throws(Refusal) {
            let trained = worker.model.trainedContextLength
            guard parameters.contextLength <= trained else {
                throw Refusal("max_context_len is \(parameters.contextLength), but the model's limit is \(trained)")
            }
            for slot in 1...parameters.inputs {
                _ = try worker.call(.openSession(SessionID(rawValue: UInt64(slot))))
            }
        } catch {
            worker.stop()
            throw error
        }
    }

    // MARK: One thing at a time

    private func begin(_ phase: Phase) throws(Refusal) {
        let refusal = state.wait(
            until: { if case .changing = $0.phase { false } else { true } },
            then: { state -> Refusal? in
                if state.isDestroyed { return Refusal("the handle has been destroyed") }
                if state.isRunning { return Refusal("a run of this handle is in progress") }
                if let end = worker.endText { return Refusal("\(end); only rkllm_destroy can follow") }
                worker.forgetAbort()
                state.phase = phase
                return nil
            })
        if let refusal { throw refusal }
    }

    private func end() {
        let stops = state.change { state in
            state.phase = .idle
            return state.stopsAfterRun
        }
        if stops { worker.stop() }
    }

    /// Does something that nothing may run beside.
    func change<Result>(_ body: () throws(Refusal) -> Result) throws(Refusal) -> Result {
        try begin(.changing)
        defer { end() }
        return try body()
    }

    // MARK: Runs

    public func run(_ request: RunRequest) throws(Refusal) -> Int32 {
        let engine = try prepare(request)
        try begin(.running(thread: UInt(pthread_self())))
        return perform(request, engine)
    }

    /// Returns at once; the callback tells the rest, on a thread of the library's.
    public func runAsync(_ request: RunRequest) throws(Refusal) -> Int32 {
        let engine = try prepare(request)
        try begin(.running(thread: nil))
        do throws(SystemError) {
            _ = try LibraryThread.start(name: "rkllm-run") { [self] in
                // Nobody waits for the thread, only for the end of its run.
                pthread_detach(pthread_self())
                state.withLock { $0.phase = .running(thread: UInt(pthread_self())) }
                _ = perform(request, engine)
            }
        } catch {
            end()
            throw Refusal(error.description)
        }
        return 0
    }

    /// What can be refused before anything runs.
    private func prepare(_ request: RunRequest) throws(Refusal) -> SamplingChoice {
        guard request.inputs.count == inputs else {
            throw Refusal("there are \(request.inputs.count) inputs, but n_batch is \(inputs)")
        }
        if request.promptCachePath != nil, inputs > 1 {
            throw .unsupported("a prompt cache file of a run with several inputs (n_batch is \(inputs))")
        }
        if request.mode != .generate, request.keepsHistory {
            throw Refusal("keep_history is set, but mode \(request.mode.rawValue) computes each input by itself")
        }
        try request.sampling?.check()
        return request.sampling ?? parameters.sampling
    }

    private func perform(_ request: RunRequest, _ sampling: SamplingChoice) -> Int32 {
        defer { end() }
        do throws(Refusal) {
            let cache = try request.promptCachePath.map { path throws(Refusal) in try UnfinishedCacheFile(path: path) }
            if request.mode == .generate { try beginAnew(request) }
            let width = request.mode == .logits ? model.vocabularySize : model.embeddingWidth
            var run = BatchRun(
                engineRequests(request, sampling), worker: worker, columns: Int(width), callback: callback,
                userdata: request.userdata)
            let outcome = run.run(file: cache?.descriptor())
            if case .failed(let text) = outcome { throw Refusal(text) }
            if request.mode == .generate { try remember(run, outcome, request) }
            try cache?.keep()
            if Speech.tellsFigures { tellFigures(run) }
            return 0
        } catch {
            Speech.say(.error, "rkllm_run", error.text)
            return -1
        }
    }

    private func engineRequests(_ request: RunRequest, _ sampling: SamplingChoice) -> [GenerateRequest] {
        let (conversation, slots) = state.withLock { ($0.conversation, $0.slots) }
        return zip(request.inputs, slots).map { input, slot in
            engineRequest(input, of: request, slot: slot, conversation: conversation, sampling: sampling)
        }
    }

    private func engineRequest(
        _ input: RunInput, of request: RunRequest, slot: Slot, conversation: Conversation, sampling: SamplingChoice
    ) -> GenerateRequest {
        let maximum = request.maximumTokens > 0 ? request.maximumTokens : parameters.maximumTokens
        var engine = GenerateRequest(
            inputs: [conversation.engineInput(input, model: model, goesOn: slot.goesOn(request))],
            maximumTokens: maximum > 0 ? UInt32(maximum) : nil,
            sampling: sampling.engine(seed: SystemRandom.next()),
            ignoreEndOfSequence: parameters.ignoresEndOfSequence)
        // A callback tells of one token.
        engine.speculation = .off
        switch request.mode {
        case .generate:
            engine.session = SessionUse(
                id: slot.session, keepsHistory: true, savesCache: request.promptCachePath != nil)
        case .hiddenStates, .logits:
            engine.maximumTokens = 0
            engine.tensors = TensorRequest(
                kind: request.mode == .logits ? .logits : .hiddenStates, credit: RKLLMLibraryLimits.tensorCreditBytes)
        }
        return engine
    }

    private func tellFigures(_ run: BatchRun) {
        for element in run.elements {
            let figures = element.performance(peakMemory: worker.peakMemory)
            Speech.say(
                .info, "rkllm_run",
                "prefill \(figures.prefillTokens) tokens in \(figures.prefillMilliseconds) ms, generate "
                    + "\(figures.generateTokens) tokens in \(figures.generateMilliseconds) ms, memory "
                    + "\(figures.memoryMebibytes) MiB")
        }
    }

    public var isRunning: Bool { state.withLock { $0.isRunning } }

    /// Has the run end, if there is one.
    func abort() {
        state.withLock { state in
            if state.isRunning { worker.abort() }
        }
    }

    /// Ends the run and the worker.
    ///
    /// Called by a run's own callback it cannot wait for that run, which then ends the worker.
    func destroy() {
        let isOwnRun = state.change { state in
            state.isDestroyed = true
            guard case .running(let thread) = state.phase else { return false }
            worker.abort()
            state.stopsAfterRun = thread == UInt(pthread_self())
            return state.stopsAfterRun
        }
        if isOwnRun { return }
        state.wait(until: \.isIdle, then: { _ in })
        worker.stop()
    }
}
