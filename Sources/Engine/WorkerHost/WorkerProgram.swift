import EngineLink
import EngineProtocol
import Glibc
import Observability
import Platform

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
            let arguments = try WorkerArguments.parse(arguments)
            return serve(arguments)
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
        do {
            // While the process may still look at itself and at its files.
            if let descriptor = arguments.crashDescriptor { try CrashHandler.install(descriptor: descriptor) }
            let progress = try progressPage(arguments)
            // A terminal sends Ctrl-C to the whole process group; here only the end of the link counts.
            Signals.block([SIGINT, SIGHUP, SIGQUIT, SIGPIPE])
            let worker = try Worker(linkDescriptor: arguments.linkDescriptor, progress: progress, logger: logger)
            return worker.run()
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

    private static func write(_ text: String, to descriptor: Int32) {
        // Nothing can be said about an output that cannot be written to.
        try? StandardIO.writeAll(descriptor, text)
    }
}
