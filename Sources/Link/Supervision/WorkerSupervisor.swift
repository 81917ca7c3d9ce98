public import EngineProtocol
public import Observability
public import Platform

/// Keeps one model's worker alive: starts it, loads the model, notices its end, starts it again.
///
/// The rules are in `SupervisorState`; this class carries them out on the loop.
public final class WorkerSupervisor {
    public struct Settings: Sendable {
        public var workerPath: String
        public var sources: ModelSources
        /// Its sources are filled in with what the files turn out to be.
        public var load: LoadRequest
        /// A load that takes longer is taken for a hang.
        public var loadNanosecondsLimit: UInt64

        public init(
            workerPath: String, sources: ModelSources, load: LoadRequest,
            loadNanosecondsLimit: UInt64 = 600_000_000_000
        ) {
            self.workerPath = workerPath
            self.sources = sources
            self.load = load
            self.loadNanosecondsLimit = loadNanosecondsLimit
        }
    }

    public var onReady: (ModelDescription) -> Void = { _ in }
    public var onEvents: ([(CallID, EngineEvent)]) -> Void = { _ in }
    /// Everything that the lost worker had sent has been delivered before.
    public var onLost: (String) -> Void = { _ in }
    public var onFailed: (String) -> Void = { _ in }

    public private(set) var state = SupervisorState()
    /// Counts workers; part of every call's id.
    public private(set) var generation: UInt16 = 0
    private let settings: Settings
    private let loop: EventLoop
    private let logger: Logger
    private var worker: WorkerProcess?
    private var loadTimer: EventLoop.TimerID?

    public init(loop: EventLoop, settings: Settings, logger: Logger) {
        self.loop = loop
        self.settings = settings
        self.logger = logger
    }

    public func start() { perform([.spawn]) }

    public func stop() { handle(.stop) }

    /// Sends a request to the worker, if it is ready.
    public func send(_ request: EngineRequest, call: CallID) throws(EngineError) {
        guard state.phase == .ready, let worker else { return }
        try worker.send(request, call: call)
    }

    public var workerProcessID: Int32? { worker?.processID }

    /// Tells that the worker has answered a request.
    public func noteServedRequest() { handle(.servedRequest) }

    private func handle(_ event: SupervisorState.Event) {
        perform(state.handle(event, now: MonotonicClock.now()))
    }

    private func perform(_ actions: [SupervisorState.Action]) {
        for action in actions {
            switch action {
            case .spawn: spawn()
            case .announceReady: break
            case .announceLost: lost()
            case .announceFailed(let reason):
                logger.error("model.failed", .string("model", settings.load.displayName), .string("reason", reason))
                onFailed(reason)
            case .wakeAt(let time):
                let now = MonotonicClock.now()
                _ = loop.after(nanoseconds: time > now ? time - now : 0) { [weak self] in self?.handle(.timeArrived) }
            case .endWorker:
                worker?.end()
            }
        }
    }

    private func spawn() {
        generation &+= 1
        if generation == 0 { generation = 1 }
        let model: OpenModel
        do throws(EngineError) { model = try settings.sources.open() } catch {
            // A file that was there before may just be being replaced.
            let reason = error.text
            return handle(state.restarts == 0 ? .loadRefused(reason: reason) : .ended(reason: reason))
        }
        let worker: WorkerProcess
        do throws(SystemError) {
            worker = try WorkerProcess(loop: loop, workerPath: settings.workerPath, logger: logger)
        } catch {
            return handle(.ended(reason: "could not be started: \(error)"))
        }
        do throws(EngineError) {
            self.worker = worker
            worker.onEvents = { [weak self] in self?.receive($0) }
            worker.onEnd = { [weak self, unowned worker] reason in
                guard let self else { return }
                logger.warning(
                    "worker.ended", .string("model", settings.load.displayName), .int("pid", Int64(worker.processID)),
                    .string("reason", reason))
                handle(.ended(reason: reason))
            }
            logger.info(
                "worker.started", .string("model", settings.load.displayName), .int("pid", Int64(worker.processID)))
            try model.load(settings.load, into: worker)
            watchLoadTime(of: worker)
        } catch {
            handle(.loadRefused(reason: error.text))
        }
    }

    private func watchLoadTime(of worker: WorkerProcess) {
        loadTimer = loop.after(nanoseconds: settings.loadNanosecondsLimit) { [weak self, weak worker] in
            guard let self, let worker, self.worker === worker, state.phase == .starting else { return }
            logger.error("worker.slow_load", .int("limit_ms", Int64(settings.loadNanosecondsLimit / 1_000_000)))
            worker.end(reason: "did not load within \(settings.loadNanosecondsLimit / 1_000_000_000) s")
        }
    }

    private func receive(_ events: [(CallID, EngineEvent)]) {
        var others: [(CallID, EngineEvent)] = []
        for (call, event) in events {
            switch (call, event) {
            case (.link, .result(.loaded(let description))): loaded(description)
            case (.link, .failed(.resourceExhausted(let message, permanent: false))):
                // It may fit later: the same as a death, with its back-off and its budget.
                worker?.end(reason: message)
            case (.link, .failed(let error)): handle(.loadRefused(reason: error.text))
            default: others.append((call, event))
            }
        }
        if !others.isEmpty { onEvents(others) }
    }

    private func loaded(_ description: ModelDescription) {
        if let loadTimer { loop.cancel(loadTimer) }
        loadTimer = nil
        handle(.loaded)
        logger.info(
            "model.ready", .string("model", settings.load.displayName),
            .string("architecture", description.architecture),
            .int("context", Int64(description.contextLength)), .int("parallel", Int64(description.parallel)),
            .int("threads", Int64(description.threads)), .int("load_ms", Int64(description.loadNanoseconds / 1_000_000))
        )
        onReady(description)
    }

    private func lost() {
        if let lines = worker?.lastLines, !lines.isEmpty {
            logger.warning("worker.last_lines", .string("lines", lines.joined(separator: "\n")))
        }
        worker = nil
        switch state.phase {
        case .backingOff(_, let reason), .failed(let reason): onLost(reason)
        case .starting, .ready, .draining: break
        }
    }
}
