import EngineLink
import EngineProtocol
import Glibc
import Observability
import Platform
import RKLLMEngine

/// The whole life of a worker process.
public enum WorkerProgram {
    /// Serves one link until it ends.
    ///
    /// - Returns: the exit status: 0 after an orderly end, 1 after a failure, 2 for a wrong command line.
    public static func run(arguments: [String]) -> Int32 {
        if arguments == ["--help"] || arguments == ["-h"] {
            write(WorkerArguments.usage, to: 1)
            return 0
        }
        do {
            if arguments.first == "--confinement-check", arguments.count <= 2 {
                return ConfinementCheck.run(try arguments.dropFirst().first.map(WorkerArguments.mode) ?? .best)
            }
            return serve(try WorkerArguments.parse(arguments))
        } catch {
            write("apus-worker: \(error.description)\n\n\(WorkerArguments.usage)", to: 2)
            return 2
        }
    }

    private static func serve(_ arguments: WorkerArguments) -> Int32 {
        let logger = Logger(component: "worker", sink: StandardErrorSink())
        // Without its gateway a worker would keep its memory and compute for nobody.
        guard ParentDeath.killSelfWhenParentDies(expectedParent: arguments.parentProcessID) else {
            logger.error("parent_gone")
            return 1
        }
        let machine = Machine.current(
            memoryBytes: arguments.memoryBytes, commitsWholeCache: arguments.commitsWholeCache)
        do {
            // While the process may still look at itself and at its files.
            if let descriptor = arguments.crashDescriptor { try CrashHandler.install(descriptor: descriptor) }
            let progress = try progressPage(arguments)
            // A terminal sends Ctrl-C to the whole process group; here only the end of the link counts.
            Signals.block([SIGINT, SIGHUP, SIGQUIT, SIGPIPE])
            do throws(Confinement.Refusal) {
                try confine(
                    arguments.confinement, code: arguments.runtime == nil ? .own : .vendor, machine: machine,
                    logger: logger)
            } catch {
                // In plain words, because the command line shows them to its user.
                write("apus-worker: \(error.description)\n", to: StandardIO.error)
                return 1
            }
            let runtime = try arguments.runtime.map { choice throws(SystemError) in
                VendorRuntime(choice: choice, log: try RuntimeLog())
            }
            let worker = try Worker(
                linkDescriptor: arguments.linkDescriptor, machine: machine, runtime: runtime, progress: progress,
                logger: logger)
            let status = worker.run()
            runtime?.log.flush()
            return status
        } catch {
            logger.error("worker_start_failed", .string("error", error.description))
            return 1
        }
    }

    private static func progressPage(_ arguments: WorkerArguments) throws(SystemError) -> ProgressPage {
        guard let descriptor = arguments.progressDescriptor else { return ProgressPage() }
        // The mapping stays when the descriptor closes.
        let file = FileDescriptor(owning: descriptor)
        return try ProgressPage(descriptor: file.rawValue, writable: true)
    }

    /// Before the first byte of a model or a request is read, and before there are threads.
    private static func confine(
        _ mode: Confinement.Mode, code: Confinement.Code, machine: Machine, logger: Logger
    ) throws(Confinement.Refusal) {
        let limits = ConfinementLimits()
        do throws(SystemError) {
            try SelfRestriction.offerToMemoryKiller(points: limits.memoryKillerPoints)
        } catch {
            logger.warning("memory_killer_score", .string("error", error.description))
        }
        var confinement = Confinement(limits: limits, code: code)
        try confinement.enter(mode, memory: machine.memoryLimit(limits))
        if mode == .off {
            logger.warning("confinement_off")
        } else if !confinement.lacks.isEmpty {
            logger.warning("confinement_incomplete", .string("lacks", confinement.lacks.joined(separator: "; ")))
        }
    }

    private static func write(_ text: String, to descriptor: Int32) {
        // Nothing can be said about an output that cannot be written to.
        try? StandardIO.writeAll(descriptor, text)
    }
}
