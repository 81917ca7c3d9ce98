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
    private static let logReadsPerTurn = 16

    public var onEvents: ([(CallID, EngineEvent)]) -> Void = { _ in }
    /// Called once, when everything that was in the link has been delivered.
    public var onEnd: (WorkerEnd) -> Void = { _ in }
    /// Called once, when the process is gone and its memory is free.
    public var onExit: () -> Void = {}

    public let processID: Int32
    private let link: LinkClient
    let loop: EventLoop
    private let child: ChildProcess
    private let childEnd: FileDescriptor
    private let standardError: FileDescriptor
    private var standardErrorWatch: EventLoop.WatchID?
    private var childWatch: EventLoop.WatchID?
    private var log: ChildLog
    private let logger: Logger

    private var exit: ChildProcess.Exit?
    private var linkEnd: String?
    private var isReported = false
    private var isKilling = false
    private var endGiven: WorkerEnd?
    private let outOfMemoryKills: UInt64?

    /// Starts the program with one end of a socket pair as descriptor 3.
    public init(loop: EventLoop, workerPath: String, logger: Logger) throws(SystemError) {
        self.loop = loop
        self.logger = logger
        outOfMemoryKills = OutOfMemoryKills.count()
        let sockets = try Socket.pair()
        let pipe = try Socket.pair()
        Self.makeBlocking(pipe.second.rawValue)
        let started = try ChildProcess.spawn(
            executable: workerPath,
            arguments: [workerPath, "--link-descriptor", "3", "--parent", String(getpid())],
            environment: Environment.entries.filter { !Self.isSecret($0) },
            descriptors: [(sockets.second.rawValue, 3), (pipe.second.rawValue, StandardIO.error)])
        child = started
        processID = started.processID
        log = ChildLog()
        do throws(SystemError) {
            childEnd = try started.openPidDescriptor()
            link = try LinkClient(loop: loop, descriptor: sockets.first.duplicate())
            standardError = try pipe.first.duplicate()
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
        link.onEvents = { [weak self] in self?.onEvents($0) }
        link.onClose = { [weak self] in self?.linkEnded("\($0)") }
        standardErrorWatch = try loop.watch(standardError.rawValue, .readable) { [weak self] _ in self?.readLog() }
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
        _ = loop.after(nanoseconds: Self.killDelay) { [self] in
            if exit == nil { child.signal(9) }
        }
    }

    /// Ends the worker at once, for an owner that goes away itself.
    public func kill() {
        guard exit == nil else { return }
        child.signal(9)
        exit = try? child.wait()
        link.close()
        unwatch()
    }

    /// Whether the process is gone.
    public var hasExited: Bool { exit != nil }

    /// The last lines that the worker wrote.
    public var lastLines: [String] { log.lastLines }

    private func linkEnded(_ reason: String) {
        linkEnd = linkEnd ?? reason
        if exit == nil {
            _ = loop.after(nanoseconds: Self.exitStatusDelay) { [self] in
                // On a busy machine the loop may not have come to it.
                reap()
                report()
                end()
            }
        } else {
            report()
        }
    }

    private func reap() {
        guard exit == nil, let ended = try? child.reap() else { return }
        exit = ended
        readLog()
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
        case nil: "still running"
        }
    }

    private func readLog() {
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        // Bounded, so that a worker that does nothing but write cannot keep the loop for itself.
        for _ in 0..<Self.logReadsPerTurn {
            let outcome = buffer.withUnsafeMutableBytes { try? Socket.read(standardError.rawValue, into: $0) }
            guard case .bytes(let count) = outcome else {
                if outcome != .wouldBlock, let standardErrorWatch {
                    loop.unwatch(standardErrorWatch)
                    self.standardErrorWatch = nil
                }
                return
            }
            log.append(buffer[..<count], now: MonotonicClock.now()) { logger.relay(line: $0, .int("pid", processID)) }
        }
    }

    /// Keys stay in the gateway.
    private static func isSecret(_ entry: String) -> Bool {
        entry.hasPrefix("APUS_") && (entry.contains("KEY") || entry.contains("TOKEN") || entry.contains("SECRET"))
    }
}
