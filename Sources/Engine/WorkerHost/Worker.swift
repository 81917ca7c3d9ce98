import EngineLink
import EngineProtocol
import Observability
import Platform

/// Wires the link, the host and the statistics timer on one event loop.
final class Worker {
    private let loop: EventLoop
    private let link: LinkServer
    private let host: WorkerHost
    private let limits: WorkerLimits
    private let logger: Logger

    init(
        linkDescriptor: Int32, machine: Machine, runtime: VendorRuntime?, progress: ProgressPage, logger: Logger,
        limits: WorkerLimits = WorkerLimits()
    ) throws(SystemError) {
        let loop = try EventLoop()
        let link = try LinkServer(loop: loop, descriptor: FileDescriptor(owning: linkDescriptor))
        self.loop = loop
        self.link = link
        self.limits = limits
        self.logger = logger
        host = try WorkerHost(
            limits: limits, machine: machine, runtime: runtime, logger: logger, progress: progress
        ) { events in
            Self.logInternalErrors(events, logger)
            link.send(events)
        }
    }

    /// Serves until the link ends.
    ///
    /// - Returns: the exit status: 0 if the other side closed the link, 1 if the link failed.
    func run() -> Int32 {
        link.onRequest = { [host] call, request, descriptors in
            host.handle(request, call: call, descriptors: descriptors)
        }
        var closeReason: LinkCloseReason?
        link.onClose = { [loop] reason in
            closeReason = reason
            loop.stop()
        }
        scheduleStatistics()
        loop.run()
        host.stop()
        guard let closeReason, closeReason != .endOfStream else { return 0 }
        logger.error("link_failed", .string("reason", closeReason.description))
        return 1
    }

    private func scheduleStatistics() {
        _ = loop.after(nanoseconds: limits.statisticsIntervalNanoseconds) { [self] in
            if let statistics = host.statistics { link.send([(.link, .statistics(statistics))]) }
            scheduleStatistics()
        }
    }

    /// An internal error's id leads from the client's answer to this line.
    private static func logInternalErrors(_ events: [(CallID, EngineEvent)], _ logger: Logger) {
        for case (let call, .failed(.internalError(let id, let message))) in events {
            logger.error(
                "internal_error", .string("id", id), .string("message", message),
                .string("call", String(call.rawValue, radix: 16)))
        }
    }
}
