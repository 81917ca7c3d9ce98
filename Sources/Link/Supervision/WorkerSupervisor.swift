public import EngineProtocol
public import Observability
public import Platform

/// Keeps one model's worker alive: starts it, loads the model, notices its end, starts it again.
///
/// The rules are in `SupervisorState`; this class carries them out on the loop.
public final class WorkerSupervisor {
    public struct Settings: Sendable {
        public var workerPath: String
        public var options: WorkerOptions
        public var sources: ModelSources
        /// Its sources are filled in with what the files turn out to be.
        public var load: LoadRequest
        /// A load that takes longer is taken for a hang.
        public var loadNanosecondsLimit: UInt64
        /// A worker that has work and makes no progress for longer is taken for a hang.
        public var stallNanosecondsLimit: UInt64

        public init(
            workerPath: String, options: WorkerOptions = WorkerOptions(), sources: ModelSources, load: LoadRequest,
            loadNanosecondsLimit: UInt64 = 600_000_000_000, stallNanosecondsLimit: UInt64 = 30_000_000_000
        ) {
            self.workerPath = workerPath
            self.options = options
            self.sources = sources
            self.load = load
            self.loadNanosecondsLimit = loadNanosecondsLimit
            self.stallNanosecondsLimit = stallNanosecondsLimit
        }
    }

    public var onReady: (ModelDescription) -> Void = { _ in }
    public var onEvents: ([(CallID, EngineEvent)]) -> Void = { _ in }
    /// Everything that the lost worker had sent has been delivered before.
    public var onLost: (WorkerEnd) -> Void = { _ in }
    public var onFailed: (String) -> Void = { _ in }
    /// After `stop`: its last process has ended and its memory is free.
    public var onStopped: () -> Void = {}

    public private(set) var state = SupervisorState()
    /// Counts workers; part of every call's id.
    public private(set) var generation: UInt16 = 0
    private let settings: Settings
    private let loop: EventLoop
    private let logger: Logger
    private var worker: WorkerProcess?
    private var loadTimer: EventLoop.TimerID?
    /// The worker before, while its process has not ended.
    private var leavingWorker: WorkerProcess?
    private var detector: StallDetector
    private var openCalls: Set<CallID> = []
    /// Events of calls, from this worker and those before it.
    private var eventCount: UInt64 = 0

    public init(loop: EventLoop, settings: Settings, logger: Logger) {
        self.loop = loop
        self.settings = settings
        self.logger = logger
        detector = StallDetector(limitNanoseconds: settings.stallNanosecondsLimit)
    }

    public func start() { perform([.spawn]) }

    public func stop() {
        handle(.stop)
        if worker.map(\.hasExited) ?? true, leavingWorker == nil { onStopped() }
    }

    /// Sends a request to the worker, if it is ready.
    ///
    /// - Parameter descriptors: files that belong to the request; they stay the caller's.
    public func send(_ request: EngineRequest, call: CallID, descriptors: [Int32]) throws(EngineError) {
        guard state.phase == .ready, let worker else { return }
        try worker.send(request, call: call, descriptors: descriptors)
        if request != .cancel { openCalls.insert(call) }
    }

    public var workerProcessID: Int32? { worker?.processID }

    public var stillNanoseconds: UInt64 { state.phase == .ready ? detector.stillNanoseconds : 0 }

    /// Tells that the worker has answered a request, or that the one that ended it is known and will not come back.
    public func noteServedRequest() { handle(.servedRequest) }

    private func handle(_ event: SupervisorState.Event) {
        perform(state.handle(event, now: MonotonicClock.now()))
    }

    private func perform(_ actions: [SupervisorState.Action]) {
        for action in actions {
            switch action {
            case .spawn: spawn()
            case .announceReady: break
            case .announceLost(let end): lost(end)
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
        // Two workers of one model may not fit into the memory: the next one waits for the end of the last.
        guard leavingWorker == nil else { return }
        generation &+= 1
        if generation == 0 { generation = 1 }
        let model: OpenModel
        do throws(EngineError) { model = try settings.sources.open() } catch {
            // A file that was there before may just be being replaced.
            guard state.restarts > 0 else { return handle(.loadRefused(reason: error.text)) }
            return couldNotStart(reason: error.text, details: error.text)
        }
        let worker: WorkerProcess
        do throws(SystemError) {
            worker = try WorkerProcess(
                loop: loop, workerPath: settings.workerPath, options: settings.options, logger: logger)
        } catch {
            // Clients are told the reason, and paths are none of their business.
            return couldNotStart(reason: error.reason, details: error.description)
        }
        do throws(EngineError) {
            self.worker = worker
            worker.onEvents = { [weak self] in self?.receive($0) }
            worker.onEnd = { [weak self, unowned worker] end in
                guard let self, state.phase != .draining else { return }
                logger.warning(
                    "worker.ended", .string("model", settings.load.displayName), .int("pid", Int64(worker.processID)),
                    .string("kind", end.kind.rawValue), .string("reason", end.text), .string("exit", worker.exitText))
                handle(.ended(end))
            }
            worker.onExit = { [weak self, unowned worker] in self?.exited(worker) }
            logger.info(
                "worker.started", .string("model", settings.load.displayName), .int("pid", Int64(worker.processID)))
            try model.load(settings.load, into: worker)
            watchLoadTime(of: worker)
        } catch {
            handle(.loadRefused(reason: error.text))
        }
    }

    private func couldNotStart(reason: String, details: String) {
        logger.warning(
            "worker.not_started", .string("model", settings.load.displayName), .string("reason", details))
        handle(.ended(.couldNotStart(reason: reason)))
    }

    private func watchLoadTime(of worker: WorkerProcess) {
        loadTimer = loop.after(nanoseconds: settings.loadNanosecondsLimit) { [weak self, weak worker] in
            guard let self, let worker, self.worker === worker, state.phase == .starting else { return }
            logger.error("worker.slow_load", .int("limit_ms", Int64(settings.loadNanosecondsLimit / 1_000_000)))
            worker.abort(as: .slowStart(seconds: Int(settings.loadNanosecondsLimit / 1_000_000_000)))
        }
    }

    private func exited(_ worker: WorkerProcess) {
        guard state.phase == .draining else { return }
        logger.info(
            "worker.stopped", .string("model", settings.load.displayName), .int("pid", Int64(worker.processID)),
            .string("exit", worker.exitText))
        onStopped()
    }

    private func receive(_ events: [(CallID, EngineEvent)]) {
        var isAboutLoad = false
        for (call, event) in events {
            guard call == .link else {
                // The link's own events are statistics: they tell that a thread lives, not that a call goes on.
                eventCount += 1
                if event.isEnd { openCalls.remove(call) }
                continue
            }
            guard event.isEnd else { continue }
            isAboutLoad = true
            receive(ofLoad: event)
        }
        let others = isAboutLoad ? events.filter { $0.0 != .link || !$0.1.isEnd } : events
        if !others.isEmpty { onEvents(others) }
    }

    private func receive(ofLoad event: EngineEvent) {
        switch event {
        case .result(.loaded(let description)): loaded(description)
        case .failed(.resourceExhausted(let message, permanent: false)):
            // It may fit later: the same as a death, with its back-off and its budget.
            worker?.end(as: .mayFitLater(reason: message))
        case .failed(let error): handle(.loadRefused(reason: error.text))
        default: break
        }
    }

    private func loaded(_ description: ModelDescription) {
        if let loadTimer { loop.cancel(loadTimer) }
        loadTimer = nil
        handle(.loaded)
        detector = StallDetector(limitNanoseconds: settings.stallNanosecondsLimit)
        if let worker { watchProgress(of: worker) }
        logger.info(
            "model.ready", .string("model", settings.load.displayName),
            .string("architecture", description.architecture),
            .int("context", Int64(description.contextLength)), .int("parallel", Int64(description.parallel)),
            .int("threads", Int64(description.threads)), .int("load_ms", Int64(description.loadNanoseconds / 1_000_000))
        )
        onReady(description)
    }

    private func watchProgress(of worker: WorkerProcess) {
        _ = loop.after(nanoseconds: StallDetector.interval) { [weak self, weak worker] in
            guard let self, let worker, self.worker === worker, state.phase == .ready else { return }
            let stall = detector.look(
                at: worker.progress, openCalls: openCalls.count, events: eventCount, now: MonotonicClock.now())
            guard let stall else { return watchProgress(of: worker) }
            logger.error(
                "worker.stalled", .string("model", settings.load.displayName), .int("pid", worker.processID),
                .string("reason", stall.what), .int("still_ms", stall.stillNanoseconds / 1_000_000))
            worker.abort(as: .stalled(what: stall.what))
        }
    }

    private func lost(_ end: WorkerEnd) {
        openCalls = []
        if let lines = worker?.lastLines, !lines.isEmpty {
            logger.warning("worker.last_lines", .string("lines", lines.joined(separator: "\n")))
        }
        if let worker, !worker.hasExited { waitForExit(of: worker) }
        worker = nil
        onLost(end)
    }

    private func waitForExit(of worker: WorkerProcess) {
        leavingWorker = worker
        worker.onExit = { [weak self] in
            guard let self else { return }
            leavingWorker = nil
            switch state.phase {
            case .starting: spawn()
            case .draining: onStopped()
            case .ready, .backingOff, .failed: break
            }
        }
    }
}
