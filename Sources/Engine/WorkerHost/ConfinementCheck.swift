import Glibc
import NativeEngine
import Platform

/// `apus-worker --confinement-check [MODE]`: confines itself like a worker and tries what a worker may not do.
///
/// One line for each thing, for `apus doctor` and for people:
///
///     has      what is in force
///     lacks    what the kernel does not have
///     refused  what was tried, and did not work
///     ALLOWED  what was tried, and could have been done
enum ConfinementCheck {
    /// - Returns: the exit status: 0 if everything was refused.
    static func run(_ mode: Confinement.Mode) -> Int32 {
        let parent = getppid()
        var lines: [String] = []
        var confinement = Confinement()
        if mode != .off {
            confinement.lowerLimits(memory: Machine.current().memoryLimit())
            confinement.refuseFiles()
            let early = ForbiddenAct.all.filter { $0.isRefused(victim: parent) }
            confinement.filterCalls()
            lines += confinement.measures.map { "has      \($0)" } + confinement.lacks.map { "lacks    \($0)" }
            if !early.isEmpty {
                lines.append("has      without the filter too: no way to \(early.map(\.name).joined(separator: ", "))")
            }
        }
        let refused = tryAll(victim: parent)
        lines += zip(ForbiddenAct.all, refused).map { ($1 ? "refused  " : "ALLOWED  ") + $0.name }
        try? StandardIO.writeAll(StandardIO.output, lines.map { $0 + "\n" }.joined())
        return refused.count == ForbiddenAct.all.count && refused.allSatisfy { $0 } ? 0 : 1
    }

    /// Tries everything on a thread that is started now, as the engine's threads are.
    private static func tryAll(victim: Int32) -> [Bool] {
        let results = Monitor<[Bool]>([])
        let thread = try? Thread.start(name: "check") {
            let refused = ForbiddenAct.all.map { $0.isRefused(victim: victim) }
            results.withLock { $0 = refused }
        }
        thread?.join()
        return results.withLock { $0 }
    }
}
