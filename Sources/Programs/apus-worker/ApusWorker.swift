import Glibc
import WorkerHost

/// One model in a process of its own; the gateway and the command line start it.
@main
struct ApusWorker {
    static func main() {
        exit(WorkerProgram.run(arguments: Array(CommandLine.arguments.dropFirst())))
    }
}
