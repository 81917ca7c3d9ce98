public import EngineProtocol
import Platform

/// Runs one model in the Rockchip NPU runtime, one call after the other.
///
/// ## Threading
/// `submit`, `cancel`, `statistics` and `stop` may be called on any thread. The runtime runs on a thread of the engine,
/// which is in the runtime while it runs; another thread aborts runs. What the runtime hands over is copied before it gets
/// control back.
public final class RKLLMEngine: Sendable {
    public typealias Emit = @Sendable ([(CallID, EngineEvent)]) -> Void
    public typealias MakeText = @Sendable (AnswerOptions) -> any AnswerText

    public let description: ModelDescription
    public let limits: RKLLMLimits
    let core: EngineCore

    /// Loads the library and the model, which takes as long as the runtime takes.
    ///
    /// - Parameters:
    ///   - path: of the model's file, for the runtime.
    ///   - byteCount: of the file.
    ///   - progress: where the run thread says what it does.
    ///   - lastWords: what the runtime printed last, for errors; empty, or beginning with a colon.
    public init(
        path: String, byteCount: UInt64, request: LoadRequest, runtime: RuntimeChoice, usableThreads: Int,
        limits: RKLLMLimits = RKLLMLimits(), progress: ProgressPage = ProgressPage(),
        lastWords: @escaping @Sendable () -> String = { "" }, makeText: @escaping MakeText, emit: @escaping Emit
    ) throws(EngineError) {
        let begunAt = MonotonicClock.now()
        guard request.purpose == .generate else {
            throw .unsupported(feature: "looking into a model of the Rockchip runtime; it can only run it")
        }
        guard request.draftSource == nil else {
            throw .unsupported(feature: "a draft model with the Rockchip runtime")
        }
        let library = try RuntimeLibrary(runtime, lastWords: lastWords)
        let model = try RuntimeModel(
            path: path, library: library,
            settings: try RuntimeSettings(request, family: library.family, limits: limits))
        self.limits = limits
        description = ModelDescription(
            architecture: "rkllm", name: request.displayName, parameterCount: 0, vocabularySize: 0,
            contextLength: UInt32(clamping: model.contextLength),
            trainedContextLength: UInt32(clamping: model.contextLength),
            parallel: UInt32(clamping: model.settings.batch),
            threads: UInt32(clamping: request.threads == 0 ? usableThreads : Int(request.threads)),
            weightBytes: byteCount, keyValueCacheBytes: 0, memoryBytes: byteCount,
            hasChatTemplate: model.family.appliesTemplate, loadNanoseconds: MonotonicClock.now() - begunAt,
            compute: ComputeDescription(instructionSet: "RKLLM \(model.family.rawValue)"))
        let core = EngineCore(
            model: model, limits: limits, progress: progress, makeText: makeText, emit: emit)
        self.core = core
        do {
            _ = try Thread.start(name: "rkllm-run") { core.serveCalls() }
            _ = try Thread.start(name: "rkllm-abort") { core.abortRuns() }
        } catch {
            throw .resourceExhausted(message: "engine thread: \(error.description)", permanent: false)
        }
    }

    public var family: RuntimeFamily { core.model.family }
    var contextLength: Int { core.model.contextLength }
    /// Columns of the model's rows, once it has shown some.
    var knownWidth: UInt32? { core.queue.withLock { $0.knownWidth } }

    /// Queues a call, or refuses it with nothing said.
    public func submit(_ work: PreparedRuns, call: CallID) throws(EngineError) {
        try core.submit(RunQueue.Entry(call: call, work: .runs(work), acceptedAt: MonotonicClock.now()))
    }

    /// Queues a task between the runs, or refuses it with nothing said; its one event is its result.
    public func submit(_ task: RuntimeTask, call: CallID) throws(EngineError) {
        try core.submit(RunQueue.Entry(call: call, work: .task(task), acceptedAt: MonotonicClock.now()))
    }

    /// Ends a call at once.
    ///
    /// The runtime is asked to end its run, which may take it a while; the next call waits for that. Unknown calls are
    /// ignored.
    public func cancel(_ call: CallID) { core.cancel(call) }

    /// Pauses the answer of a call of a session.
    ///
    /// It goes on to its end where the runtime cannot pause it: in families before 1.2.1, and with a history, which the
    /// runtime pauses no run for.
    public func pause(_ call: CallID) { core.queue.change { $0.pause(call) } }

    /// Lets a call send so many more bytes of rows.
    public func credit(_ bytes: UInt32, call: CallID) { core.queue.change { $0.addCredit(Int(bytes), call: call) } }

    /// Counters and gauges of this moment.
    public var statistics: WorkerStatistics {
        core.queue.withLock { queue in
            var statistics = queue.statistics
            statistics.takenAt = MonotonicClock.now()
            statistics.sequencesRunning = queue.running == nil ? 0 : 1
            statistics.sequencesWaiting = UInt32(clamping: queue.waiting.count)
            return statistics
        }
    }

    /// Ends the run and gives the model back, if the runtime does so soon.
    ///
    /// Calls that have not ended get no end event.
    public func stop() {
        core.queue.change { queue in
            queue.isStopping = true
            queue.wantAbort()
        }
        core.wait(atMost: limits.stopNanoseconds, until: \.hasStopped)
    }
}
