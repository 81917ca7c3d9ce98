public import EngineProtocol
import Models
import Platform
import Scheduling
import Synchronization

/// Runs one decoder model: schedule, forward, sample, text, one batch of events per step.
///
/// ## Threading
/// `submit`, `cancel`, `pause`, `statistics` and `stop` may be called on any thread and return at once. The loop has a
/// thread of its own, which calls `emit` once or twice per step; `submit` calls it for `accepted`, and the thread that
/// writes prompt caches for their ends.
public final class NativeEngine: Sendable {
    public typealias Emit = @Sendable ([(CallID, EngineEvent)]) -> Void
    public typealias MakeText = @Sendable (TextOptions) -> any ChoiceText

    let model: LoadedModel
    let state: Monitor<EngineState>
    /// Tells the layers of a running step that a cancellation came.
    let interruption: Interruption
    /// Blocks that `Scheduler.pin` or `hold` gave are nobody else's to write; all others are the loop's.
    let cache: KeyValueCache
    private let emit: Emit
    private let tensorBytesPerStep: Int
    private let thread: Thread

    /// Reserves the cache and starts the loop.
    ///
    /// - Parameters:
    ///   - commitsWholeCache: takes all memory of the cache now, not only that of one sequence of the whole context.
    ///   - draftCost: what a draft counts as, in tokens; nil is what steps are measured to cost.
    ///   - progress: where the loop says what it does.
    public init(
        model: LoadedModel, commitsWholeCache: Bool = false, draftCost: Double? = nil,
        progress: ProgressPage = ProgressPage(), makeText: @escaping MakeText, emit: @escaping Emit
    ) throws(EngineError) {
        let decoder = try model.requireDecoder()
        let limits = SchedulerLimits(model: model, configuration: decoder.configuration)
        let state = Monitor(
            EngineState(scheduler: Scheduler(limits: limits), sessions: SessionTable(limits: model.limits)))
        let interruption = Interruption()
        let compute = try StepCompute(
            decoder: decoder, model: model, limits: limits, commitsWholeCache: commitsWholeCache, progress: progress
        ) { slot in
            interruption.isRequested && state.withLock { $0.isUnwanted(slot: Int(slot)) }
        }
        let draftModel = try model.draft.map { draft throws(EngineError) in
            try DraftModel(draft, model: model, limits: limits)
        }
        self.model = model
        self.state = state
        cache = compute.cache
        self.interruption = interruption
        self.emit = emit
        tensorBytesPerStep = model.limits.tensorBytesPerStep
        let saver = CacheSaver(cache: compute.cache) { save, error in
            state.change { state in
                state.scheduler.release(held: save.blocks)
                state.isStalled = false
                state.sessions.end(error == nil ? save.end : save.end.failed)
            }
            emit([(save.call, error.map { .failed($0) } ?? save.event)])
        }
        do {
            // The loop computes too, so it yields to I/O like the other compute threads.
            thread = try Thread.start(name: "engine", niceness: 5) {
                let loop = EngineLoop(
                    model: model, compute: compute, draftModel: draftModel, fixedDraftCost: draftCost, state: state,
                    interruption: interruption, progress: progress, saver: saver, makeText: makeText, emit: emit)
                loop.run()
            }
        } catch {
            throw .resourceExhausted(message: "engine thread: \(error.description)", permanent: false)
        }
    }

    /// Queues all choices of a generation and says `accepted`, or refuses it with nothing said.
    public func submit(_ generation: PreparedGeneration, call: CallID) throws(EngineError) {
        let requests = (0..<UInt32(generation.sequenceCount)).map { choice in
            let input = generation.inputs[generation.input(of: choice)]
            var request = SequenceRequest(
                call: call, choice: choice, tenant: generation.tenant, priority: generation.priority,
                deadline: generation.deadline, cacheSalt: generation.blockSalt,
                work: .generation(prompt: input.prompt.tokens, maximumTokens: input.maximumTokens))
            request.isPromptKnown = input.prompt.rows.isEmpty
            request.output = generation.tensors.map {
                SequenceRequest.Output(
                    rowBytes: generation.rowBytes, rowsPerStep: tensorBytesPerStep / generation.rowBytes,
                    needsLogits: $0.kind == .logits, firstRow: generation.session?.firstRow ?? 0)
            }
            return request
        }
        let credit = Int(clamping: generation.tensors?.credit ?? 0)
        try submit(
            requests, credit: credit, call: call, work: .generation(generation), session: generation.session
        ) { [emit] position in
            emit([
                (
                    call,
                    .accepted(
                        promptTokens: UInt32(clamping: generation.promptTokens),
                        queuePosition: UInt32(clamping: position))
                )
            ])
        }
    }

    /// Queues a text to score; its one event is the result.
    public func submit(_ score: PreparedScore, call: CallID) throws(EngineError) {
        let request = SequenceRequest(call: call, work: .scoring(rows: score.windows.rows(of: 0)))
        try submit([request], call: call, work: .scoring(score)) { _ in }
    }

    /// Queues inputs to embed; the one event of the call is the result.
    public func submit(_ embedding: PreparedEmbedding, call: CallID) throws(EngineError) {
        let requests = embedding.inputs.enumerated().map { index, prompt in
            SequenceRequest(
                call: call, choice: UInt32(index), tenant: embedding.tenant, priority: embedding.priority,
                deadline: embedding.deadline, work: .embedding(rows: prompt.tokens.count))
        }
        try submit(requests, call: call, work: .embedding(embedding)) { _ in }
    }

    private func submit(
        _ requests: [SequenceRequest], credit: Int = 0, call: CallID, work: EngineState.Arrival.Work,
        session: SessionRun? = nil, accepted: (Int) -> Void
    ) throws(EngineError) {
        try state.change { state throws(EngineError) in
            guard !state.isStopping else { throw .cancelled }
            guard !state.live.contains(call) else {
                throw .invalidRequest(parameter: "", message: "the call is already running")
            }
            try session.map { run throws(EngineError) in try state.sessions.check(run) }
            do throws(SubmissionError) {
                let position = try state.scheduler.submit(requests, credit: credit)
                state.isStalled = false
                state.live.insert(call)
                if let session { state.sessions.begin(session, call: call) }
                state.arrivals.append(.init(call: call, work: work, acceptedAt: MonotonicClock.now()))
                // Said under the lock, so that it comes before all that the loop says.
                accepted(position)
            } catch {
                throw state.engineError(error)
            }
        }
    }

    /// Ends a call at the next layer or step; its end event is `failed(cancelled)`.
    ///
    /// Unknown calls are ignored.
    public func cancel(_ call: CallID) {
        state.change { state in
            guard state.live.contains(call) else { return }
            state.cancelRequests.insert(call)
            interruption.request()
        }
    }

    /// Lets a call send so many more bytes of tensors.
    ///
    /// Unknown calls are ignored.
    public func credit(_ bytes: UInt32, call: CallID) {
        state.change { state in
            state.scheduler.addCredit(Int(bytes), call: call)
            state.isStalled = false
        }
    }

    /// Counters and gauges of this moment.
    public var statistics: WorkerStatistics {
        state.withLock { state in
            var statistics = state.statistics
            statistics.takenAt = MonotonicClock.now()
            statistics.sequencesRunning = UInt32(clamping: state.scheduler.runningCount)
            statistics.sequencesWaiting = UInt32(clamping: state.scheduler.waitingCount)
            statistics.cacheBlocks = UInt64(state.scheduler.limits.blocks)
            statistics.cacheBlocksUsed = UInt64(state.scheduler.blocksUsed)
            statistics.cacheBlocksIdle = UInt64(state.scheduler.blocksCached)
            statistics.cachedTokens = state.scheduler.cachedPositions
            statistics.preemptions = state.scheduler.preemptions
            return statistics
        }
    }

    /// Ends the loop within a layer and waits for its thread.
    ///
    /// Calls that have not ended get no end event.
    public func stop() {
        state.change { state in
            state.isStopping = true
            interruption.request()
        }
        thread.join()
    }
}

/// A flag that the layers of a step look at.
final class Interruption: Sendable {
    private let requested = Atomic(false)

    func request() { requested.store(true, ordering: .releasing) }
    func clear() { requested.store(false, ordering: .relaxed) }
    var isRequested: Bool { requested.load(ordering: .acquiring) }
}

extension SchedulerLimits {
    init(model: LoadedModel, configuration: DecoderConfiguration) {
        self.init(
            slots: Int(model.description.parallel), blocks: model.cacheBlocks, limits: model.limits,
            configuration: configuration)
    }

    init(slots: Int, blocks: Int, limits: EngineLimits, configuration: DecoderConfiguration) {
        let logitsRowBytes = 4 * max(1, configuration.vocabularySize)
        self.init(
            slots: slots, blocks: blocks, blockPositions: KeyValueCache.blockPositions,
            waitingSequences: limits.waitingSequences, prefillRows: limits.prefillRows,
            prefillRowsBesideDecoding: limits.prefillRowsBesideDecoding, leastPrefillRows: limits.leastPrefillRows,
            prefillPercentBesideDecoding: limits.prefillPercentBesideDecoding,
            scoreRows: min(limits.prefillRows, limits.scoreLogitsBytes / logitsRowBytes),
            layers: configuration.layerCount)
    }
}
