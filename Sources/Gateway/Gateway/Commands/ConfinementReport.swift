import Platform
import Supervision

/// What `apus-worker --confinement-check` has found: one line for each thing, its kind first.
struct ConfinementReport: Equatable {
    private(set) var measures: [String] = []
    private(set) var lacks: [String] = []
    private(set) var refused: [String] = []
    private(set) var allowed: [String] = []

    init(text: String) {
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
            guard words.count == 2 else { continue }
            let rest = String(words[1].drop { $0 == " " })
            switch words[0] {
            case "has": measures.append(rest)
            case "lacks": lacks.append(rest)
            case "refused": refused.append(rest)
            case "ALLOWED": allowed.append(rest)
            default: continue
            }
        }
    }

    /// - Parameter mode: what `engine.confinement` says.
    func findings(mode: String) -> [DoctorCommand.Finding] {
        if mode == "off" {
            return [
                DoctorCommand.Finding(grade: .warning, text: "workers are not confined: engine.confinement is off")
            ]
        }
        guard !refused.isEmpty || !allowed.isEmpty else {
            return [DoctorCommand.Finding(grade: .bad, text: "workers: their confinement could not be tried")]
        }
        let tried = "\(refused.count + allowed.count) acts tried in a worker"
        let result =
            allowed.isEmpty
            ? DoctorCommand.Finding(
                grade: .good,
                text: "workers are confined: no files, no network, no other programs (\(tried), all refused)")
            : DoctorCommand.Finding(
                grade: .bad,
                text: "workers are not confined: of \(tried), these were not refused: "
                    + allowed.joined(separator: ", "))
        return [result] + measures.map { DoctorCommand.Finding(grade: .good, text: "workers: \($0)") }
            + lacks.map { lack in
                DoctorCommand.Finding(
                    grade: mode == "required" ? .bad : .warning, text: "workers: this system lacks \(lack)")
            }
    }
}

extension DoctorCommand {
    /// A worker confines itself and tries what it may not do.
    func confinementOfWorkers() -> [Finding] {
        do {
            let check = try ChildProcess.output(
                executable: ModelSession.workerPath,
                arguments: ["apus-worker", "--confinement-check", confinement],
                environment: WorkerOptions.environment(from: Environment.entries), limit: 1 << 16)
            return ConfinementReport(text: String(decoding: check.output, as: UTF8.self)).findings(mode: confinement)
        } catch {
            return [Finding(grade: .bad, text: "workers: their confinement could not be tried: \(error)")]
        }
    }
}
