import Foundation

/// `apus-benchmarks GROUP [--json]`: measures parts of Apus on this machine.
///
/// `apus-benchmarks kernels [NAME ...] [--json]` measures the products and attention against the machine's peaks.
/// `apus-benchmarks steps MODEL` measures steps of running answers beside a long prompt.
/// `apus-benchmarks ring [--json]` measures rings between two processes.
/// `apus-benchmarks quality MODEL REFERENCE` compares a model's logits with another program's.
/// `apus-benchmarks ipc ROLE …` is one process of a measurement of the local door.
@main
enum Program {
    private static let groups: [(name: String, make: @Sendable () throws -> [Contest])] = [
        ("json", JSONBenchmarks.contests)
    ]

    static func main() {
        do {
            try run()
        } catch {
            FileHandle.standardError.write(Data("apus-benchmarks: \(error)\n".utf8))
            exit(1)
        }
    }

    private static func run() throws {
        let words = CommandLine.arguments.dropFirst()
        if words.first == "ipc" { return try IPCBenchmarks.run(Array(words.dropFirst())) }
        let wanted = words.filter { !$0.hasPrefix("--") }
        if wanted.first == "quality", wanted.count == 3 {
            var measurement = try QualityMeasurement(
                model: wanted[wanted.startIndex + 1], reference: wanted[wanted.startIndex + 2])
            return print(try measurement.run())
        }
        if wanted.first == "steps", wanted.count == 2, let model = wanted.last {
            return print(try StepBenchmark(model: model).run())
        }
        if wanted.first == "kernels" {
            return try measureKernels(names: Array(wanted.dropFirst()), asJSON: words.contains("--json"))
        }
        if wanted.first == "ring", wanted.count == 1 {
            return try RingBenchmarks.run { print(words.contains("--json") ? $0.json : $0.text) }
        }
        if wanted.first == "ring-peer" { return try RingBenchmarks.servePeer(Array(wanted.dropFirst())) }
        guard !wanted.isEmpty, wanted.allSatisfy({ word in groups.contains { $0.name == word } }) else {
            let names = groups.map(\.name).joined(separator: "|")
            FileHandle.standardError.write(
                Data(
                    """
                    Usage: apus-benchmarks \(names) [--json]
                           apus-benchmarks kernels [INSTRUCTION_SET|TYPE|attention ...] [--json]
                           apus-benchmarks steps MODEL
                           apus-benchmarks ring [--json]
                           apus-benchmarks quality MODEL REFERENCE
                           apus-benchmarks ipc ROLE …

                    """.utf8))
            exit(2)
        }
        for group in groups where wanted.contains(group.name) {
            for contest in try group.make() { report(contest.run(), asJSON: words.contains("--json")) }
        }
    }

    private static func measureKernels(names: [String], asJSON: Bool) throws {
        let benchmarks = try KernelBenchmarks(
            names: names, report: { print(asJSON ? $0.json : $0.text) }, describe: { if !asJSON { print($0) } })
        try benchmarks.run()
    }

    private static func report(_ results: [Measurement], asJSON: Bool) {
        for result in results {
            print(asJSON ? result.json : result.text)
        }
    }
}
