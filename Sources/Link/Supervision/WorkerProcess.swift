import EngineLink
public import EngineProtocol
import Glibc
public import Observability
public import Platform

/// One running `apus-worker` with its link, its standard error and its end.
///
/// Everything happens on the loop. It lives until the process has been reaped, so it must be ended or killed.
public final class WorkerProcess {
    /// SIGTERM, then SIGKILL after this long.
    public static let killDelay: UInt64 = 500_000_000
    /// How long to wait for the exit status when the link has already ended.
    static let exitStatusDelay: UInt64 = 50_000_000
    private static let readsPerTurn = 16

    public var onEvents: (([(CallID, EngineEvent)]) -> Void)? {
        get { link.onEvents }
        set { link.onEvents = newValue }
    }
    /// Called once, when everything that was in the link has been delivered.
    public var onEnd: (WorkerEnd) -> Void = { _ in }
    /// Called once, when the process has been reaped and its memory is free, which may be later.
    public var onExit: () -> Void = {}

    public let processID: Int32
    private let link: LinkClient
    let loop: EventLoop
    private let child: ChildProcess
    private let childEnd: FileDescriptor
    private let standardError: FileDescriptor
    private let crashText: FileDescriptor
    private let page: ProgressPage
    private var standardErrorWatch: EventLoop.WatchID?
    private var crashWatch: EventLoop.WatchID?
    private var childWatch: EventLoop.WatchID?
    private var log: ChildLog
    private var crashRecord = CrashRecord(dumpSignal: CrashHandler.dumpSignal)
    private let logger: Logger

    private var exit: ChildProcess.Exit?
    private var linkEnd: String?
    private var isReported = false
    private var isKilling = false
    private var endGiven: WorkerEnd?
    /// They keep this alive, and so does the loop that has them.
    private var timers: [EventLoop.TimerID] = []
    private let outOfMemoryKills: UInt64?

    /// Starts the program with one end of a socket pair as descriptor 3, a progress page as 4, and a pipe as 5.
    ///
    /// - Parameter options: words for its command line.
    public init(
        loop: EventLoop, workerPath: String, options: WorkerOptions = WorkerOptions(), logger: Logger
    ) throws(SystemError) {
        self.loop = loop
        self.logger = logger
        outOfMemoryKills = OutOfMemoryKills.count()
        let sockets = try Socket.pair()
        let pipe = try Socket.pair()
        Self.makeBlocking(pipe.second.rawValue)
        let crashPipe = try Socket.pair()
        Self.makeBlocking(crashPipe.second.rawValue)
        let pageFile = try ProgressPage.makeFile()
        page = try ProgressPage(descriptor: pageFile.rawValue, writable: false)
        let started = try ChildProcess.spawn(
            executable: workerPath,
            arguments: [
                workerPath, "--link-descriptor", "3", "--parent", String(getpid()), "--progress-descriptor", "4",
                "--crash-descriptor", "5",
            ] + options.arguments,
            environment: WorkerOptions.environment(from: Environment.entries),
            descriptors: [
                (sockets.second.rawValue, 3), (pageFile.rawValue, 4), (crashPipe.second.rawValue, 5),
                (pipe.second.rawValue, StandardIO.error),
            ])
        child = started
        processID = started.processID
        log = ChildLog()
        do throws(SystemError) {
            childEnd = try started.openPidDescriptor()
            link = try LinkClient(loop: loop, descriptor: sockets.first.duplicate())
            standardError = try pipe.first.duplicate()
            crashText = try crashPipe.first.duplicate()
            try watch()
        } catch {
            // Without descriptors for it (a full table, say) the child can be neither used nor noticed.
            started.signal(9)
            _ = try? started.wait()
            throw error
        }
    }

    /// The worker's standard error waits like any other: else the last words of a crash could be refused.
    private static func makeBlocking(_ descriptor: Int32) {
        let flags = fcntl(descriptor, F_GETFL)
        if flags >= 0 { _ = fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK) }
    }

    private func watch() throws(SystemError) {
        link.onClose = { [weak self] in self?.linkEnded("\($0)") }
        standardErrorWatch = try loop.watch(standardError.rawValue, .readable) { [weak self] _ in self?.readLog() }
        crashWatch = try loop.watch(crashText.rawValue, .readable) { [weak self] _ in self?.readCrashText() }
        // Strong: whoever starts a process lives until it has been reaped, which also ends this watch.
        childWatch = try loop.watch(childEnd.rawValue, .readable) { [self] _ in reap() }
    }

    /// Sends a request.
    ///
    /// To a worker that is gone nothing is sent: its end is reported to every call.
    ///
    /// - Throws: `resourceExhausted` for a request that is too large for the link.
    public func send(_ request: EngineRequest, call: CallID, descriptors: [Int32] = []) throws(EngineError) {
        do {
            try link.send(request, call: call, descriptors: descriptors)
        } catch .closed {
            return
        } catch {
            throw .resourceExhausted(message: "the request cannot be sent to the model: \(error)", permanent: true)
        }
    }

    /// Ends the worker: closing the link asks it to leave, the signals insist.
    ///
    /// - Parameter end: what `onEnd` tells instead of the kind of death.
    public func end(as end: WorkerEnd? = nil) {
        guard exit == nil, !isKilling else { return }
        isKilling = true
        endGiven = end
        link.close()
        child.signal(15)
        killLater()
    }

    /// Does something later to a process that has not been reaped by then.
    private func after(_ nanoseconds: UInt64, _ work: @escaping (WorkerProcess) -> Void) {
        timers.append(
            loop.after(nanoseconds: nanoseconds) { [self] in
                if exit == nil { work(self) }
            })
    }

    private func killLater() {
        after(Self.killDelay) { $0.child.signal(9) }
    }

    /// Ends a worker that hangs: its end is reported at once, and until it is killed its threads tell where they are.
    public func abort(as end: WorkerEnd) {
        guard exit == nil, !isKilling else { return }
        isKilling = true
        endGiven = end
        logProgress()
        link.drain()
        link.close()
        _ = child.signalThreads(CrashHandler.dumpSignal)
        killLater()
        report()
    }

    /// Ends the worker at once, for an owner that goes away itself.
    public func kill() {
        for timer in timers { loop.cancel(timer) }
        timers = []
        guard exit == nil else { return }
        child.signal(9)
        exit = child.waitOrLose()
        link.close()
        unwatch()
    }

    /// What the worker says that it does.
    public var progress: WorkerProgress { page.read() }

    /// Whether the process is gone.
    public var hasExited: Bool { exit != nil }

    /// The last lines that the worker wrote.
    public var lastLines: [String] { log.lastLines }

    private func linkEnded(_ reason: String) {
        linkEnd = linkEnd ?? reason
        if exit == nil {
            after(Self.exitStatusDelay) { worker in
                // On a busy machine the loop may not have come to it.
                worker.reap()
                worker.report()
                worker.end()
            }
        } else {
            report()
        }
    }

    private func reap() {
        guard exit == nil, let ended = child.reapOrLose() else { return }
        exit = ended
        if !isKilling { logProgress() }
        readLog()
        readCrashText()
        logStacks()
        log.finish(now: MonotonicClock.now()) { logger.relay(line: $0, .int("pid", processID)) }
        unwatch()
        // What the worker had sent before it ended counts.
        link.drain()
        report()
        onExit()
    }

    private func unwatch() {
        if let childWatch { loop.unwatch(childWatch) }
        childWatch = nil
        if let standardErrorWatch { loop.unwatch(standardErrorWatch) }
        standardErrorWatch = nil
        if let crashWatch { loop.unwatch(crashWatch) }
        crashWatch = nil
    }

    private func report() {
        guard !isReported else { return }
        isReported = true
        onEnd(endGiven ?? observedEnd)
    }

    private var observedEnd: WorkerEnd {
        switch exit {
        case .signal(SIGKILL) where wasOutOfMemory: .outOfMemory
        case .signal(let number): .crashed(signal: number)
        case .status(let status): .exited(status: status)
        case .lost: .linkBroken(reason: "how its process ended, another part of this program knows")
        case nil: .linkBroken(reason: linkEnd ?? "unknown")
        }
    }

    private var wasOutOfMemory: Bool {
        guard let before = outOfMemoryKills, let now = OutOfMemoryKills.count() else { return false }
        return now > before
    }

    /// How the process itself ended, whatever the reason was.
    public var exitText: String {
        switch exit {
        case .signal(let number): Signals.name(of: number)
        case .status(let status): "status \(status)"
        case .lost: "unknown"
        case nil: "still running"
        }
    }

    private func readLog() {
        Self.read(standardError.rawValue, loop: loop, watch: &standardErrorWatch) { bytes in
            log.append(bytes, now: MonotonicClock.now()) { logger.relay(line: $0, .int("pid", processID)) }
        }
    }

    private func readCrashText() {
        Self.read(crashText.rawValue, loop: loop, watch: &crashWatch) { crashRecord.append($0) }
    }

    private static func read(
        _ descriptor: Int32, loop: EventLoop, watch: inout EventLoop.WatchID?, take: (ArraySlice<UInt8>) -> Void
    ) {
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        // Bounded, so that a worker that does nothing but write cannot keep the loop for itself.
        for _ in 0..<readsPerTurn {
            let outcome = buffer.withUnsafeMutableBytes { try? Socket.read(descriptor, into: $0) }
            guard case .bytes(let count) = outcome else {
                if outcome != .wouldBlock, let ended = watch {
                    loop.unwatch(ended)
                    watch = nil
                }
                return
            }
            take(buffer[..<count])
        }
    }

    // MARK: What it was doing

    private func logProgress() {
        let progress = page.read()
        // A worker that has not begun anything has nothing to tell.
        guard progress != WorkerProgress() else { return }
        let ids = progress.batch.map { String($0.rawValue, radix: 16) }.joined(separator: " ")
        logger.error(
            "worker.last_progress", .int("pid", processID), .string("engine", "\(progress.enginePhase)"),
            .int("step", progress.steps), .int("layer", progress.layer), .int("rows", progress.rows),
            .int("sequences", progress.sequences), .int("calls", progress.calls), .string("batch", ids),
            .string("preparation", "\(progress.preparationPhase)"),
            .string("prepared_call", String(progress.preparedCall.rawValue, radix: 16)))
    }

    private func logStacks() {
        for stack in crashRecord.stacks {
            logger.error(
                "worker.stack", .int("pid", processID), .string("threads", stack.threads.joined(separator: ", ")),
                .string("signal", stack.signal.map(Signals.name(of:)) ?? "none"),
                .string("address", stack.address.map { "0x" + String($0, radix: 16) } ?? "none"),
                .string("frames", stack.frames.joined(separator: "\n")))
        }
    }
}
