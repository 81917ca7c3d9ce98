import EngineProtocol
import JSON
import Platform

/// `apus doctor`: what Apus finds on this machine, and what stands in its way.
struct DoctorCommand {
    var models: [String]
    /// What `engine.confinement` says.
    var confinement: String

    struct Finding {
        enum Grade: String {
            case good = "ok  "
            case warning = "warn"
            case bad = "FAIL"
        }

        let grade: Grade
        let text: String
    }

    func run(console: Console) throws(CommandFailure) {
        var findings = processor() + memory() + [workerProgram()] + confinementOfWorkers()
        for model in models { findings.append(inspect(model)) }
        for finding in findings { console.result("\(finding.grade.rawValue)  \(finding.text)") }
        let failures = findings.filter { $0.grade == .bad }.count
        if failures > 0 { throw .failed("\(failures) of \(findings.count) checks failed") }
    }

    private func processor() -> [Finding] {
        let limits = CPULimits.current()
        let information = CPUInformation.current()
        var findings = [
            Finding(grade: .good, text: "CPU: \(information.name), \(limits.affinityCount) usable by affinity")
        ]
        let sets = information.instructionSets
        findings.append(
            Finding(
                grade: .good, text: "CPU instruction sets: \(sets.isEmpty ? "none known" : sets.joined(separator: " "))"
            ))
        if let quota = limits.quota {
            let share = String(rounded: quota, places: 2)
            let text = "CPU quota: \(share) processors; compute threads: \(limits.usableCount)"
            findings.append(Finding(grade: quota < 1 ? .warning : .good, text: text))
        } else {
            findings.append(Finding(grade: .good, text: "CPU quota: none; compute threads: \(limits.usableCount)"))
        }
        return findings
    }

    private func memory() -> [Finding] {
        let limits = MemoryLimits.current()
        let available = "memory available: \(mebibytes(limits.availableBytes))"
        let limit = limits.limitBytes.map { ", limited to \(mebibytes($0)) by the cgroup" } ?? ", no cgroup limit"
        let grade: Finding.Grade = limits.availableBytes < 256 << 20 ? .warning : .good
        let together = MemoryLimits.groupsKilledTogether().map { group in
            Finding(
                grade: .warning,
                text: "memory.oom.group is set in \(group): when memory runs out, the kernel ends the server with its "
                    + "workers; under systemd, set OOMPolicy=continue")
        }
        return [Finding(grade: grade, text: available + limit)] + together
    }

    private func workerProgram() -> Finding {
        let path = ModelSession.workerPath
        do {
            _ = try FileDescriptor.openForReading(path: path)
            return Finding(grade: .good, text: "apus-worker: \(path)")
        } catch {
            return Finding(grade: .bad, text: "apus-worker: \(path): \(error)")
        }
    }

    /// A worker looks at the file, so that a damaged one cannot hurt this process.
    private func inspect(_ model: String) -> Finding {
        do {
            let session = try ModelSession.open(model: model, purpose: .inspect, console: Console())
            let found = session.description
            let text =
                "\(model): \(found.architecture), \(found.parameterCount / 1_000_000) million parameters, "
                + "\(mebibytes(found.weightBytes)), trained for \(found.trainedContextLength) positions"
            let fits = found.weightBytes < MemoryLimits.current().availableBytes
            return Finding(
                grade: fits ? .good : .warning, text: fits ? text : text + "; larger than the memory available")
        } catch {
            return Finding(grade: .bad, text: "\(model): \(error.text)")
        }
    }

    private func mebibytes(_ bytes: UInt64) -> String {
        bytes < 10 << 20 ? "\(String(rounded: Double(bytes) / 1_048_576, places: 1)) MiB" : "\(bytes >> 20) MiB"
    }
}

/// What `/proc/cpuinfo` says of the first processor.
struct CPUInformation: Equatable {
    let name: String
    /// Those that matter to a matrix product, in the kernel's spelling.
    let instructionSets: [String]

    private static let relevant = [
        "sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni",
        "avx512_bf16", "amx_int8", "amx_bf16", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve",
    ]

    static func current() -> CPUInformation {
        CPUInformation(text: (try? CommandInput.file("/proc/cpuinfo").text) ?? "")
    }

    init(text: String) {
        var fields: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            let key = parts[0].trimmed
            if fields[key] == nil, parts.count == 2 { fields[key] = parts[1].trimmed }
        }
        name = fields["model name"] ?? fields["CPU part"].map { "ARM part \($0)" } ?? "unknown"
        let flags = Set((fields["flags"] ?? fields["Features"] ?? "").split(separator: " ").map(String.init))
        instructionSets = Self.relevant.filter(flags.contains)
    }
}

extension Substring {
    fileprivate var trimmed: String {
        var part = self
        while part.first?.isWhitespace == true { part.removeFirst() }
        while part.last?.isWhitespace == true { part.removeLast() }
        return String(part)
    }
}
