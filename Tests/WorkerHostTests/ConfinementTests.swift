import EngineProtocol
import Foundation
import Platform
import TestSupport
import Testing

@testable import WorkerHost

/// What a worker may not do, tried in real workers.
@Suite struct ConfinementTests {
    private func check(_ mode: String) throws -> (status: Int32, lines: [Substring]) {
        let output = try Programs.run("apus-worker", ["--confinement-check", mode])
        return (output.status, output.standardOutput.split(separator: "\n"))
    }

    static let acts = [
        "open a file", "make a file", "list a folder", "look at a path", "connect over TCP", "make a UDP socket",
        "make a Unix socket", "start a program", "fork a process", "trace the parent", "read the parent's memory",
        "signal the parent", "take new namespaces", "use io_uring", "change a limit",
    ]

    @Test(arguments: ["best", "required"]) func `in a confined worker nothing of all that is possible`(
        mode: String
    ) throws {
        let (status, lines) = try check(mode)
        #expect(status == 0, "\(lines)")
        for act in Self.acts { #expect(lines.contains("refused  \(act)"), "\(act)") }
        #expect(!lines.contains { $0.hasPrefix("ALLOWED") })
    }

    /// Otherwise the test above would prove nothing.
    @Test func `without confinement the same acts succeed`() throws {
        let (status, lines) = try check("off")
        #expect(status == 1)
        for act in Self.acts.prefix(5) + ["start a program", "fork a process", "signal the parent"] {
            #expect(lines.contains("ALLOWED  \(act)"), "\(act)")
        }
    }

    /// The filter hides Landlock, so what Landlock refuses is tried before the filter is there.
    @Test func `Landlock alone keeps files away, where the kernel has it`() throws {
        let lines = try check("best").lines
        guard lines.contains(where: { $0.hasPrefix("has      Landlock") }) else { return }
        let alone = try #require(lines.first { $0.hasPrefix("has      without the filter too") })
        for act in ["open a file", "make a file", "list a folder"] { #expect(alone.contains(act)) }
    }

    @Test func `every thread of a worker with a model is confined, and it works`() throws {
        let worker = try WorkerProcess(options: ["--confinement", "required"])
        guard case .result = try worker.load(TinyModel().bytes()) else {
            Issue.record("not loaded")
            return
        }
        let events = try worker.finished(worker.send(.generate(WorkerProcessTests.letters("q", tokens: 3))))
        #expect(WorkerProcessTests.text(events) == "qqq")
        let folder = "/proc/\(worker.process.processID)"
        let threads = try FileManager.default.contentsOfDirectory(atPath: folder + "/task")
        #expect(threads.count >= 4)
        for thread in threads {
            let status = try String(contentsOfFile: "\(folder)/task/\(thread)/status", encoding: .utf8)
            for line in ["Seccomp:\t2", "NoNewPrivs:\t1", "CapEff:\t0000000000000000"] {
                #expect(status.contains(line), "thread \(thread)")
            }
        }
        let limits = try String(contentsOfFile: folder + "/limits", encoding: .utf8)
        #expect(limits.contains(#/Max core file size +0 +0 /#))
        #expect(limits.contains(#/Max open files +2048 +2048 /#))
        let score = try String(contentsOfFile: folder + "/oom_score_adj", encoding: .utf8)
        let own = try String(contentsOfFile: "/proc/self/oom_score_adj", encoding: .utf8)
        #expect(score.integer == min(1000, own.integer + 300))
        _ = try worker.end()
    }

    @Test func `a model that does not fit the memory limit is refused, and the worker lives`() throws {
        let worker = try WorkerProcess(options: ["--memory", String(160 << 20)])
        var tiny = TinyModel()
        (tiny.width, tiny.heads, tiny.keyValueHeads, tiny.contextLength) = (256, 4, 4, 1 << 20)
        guard case .failed(.resourceExhausted(_, permanent: true)) = try worker.load(tiny.bytes(), context: 1 << 20)
        else {
            Issue.record("it was loaded")
            return
        }
        guard case .result = try worker.load(TinyModel().bytes()) else {
            Issue.record("not loaded")
            return
        }
        #expect(try worker.end().exit == .status(0))
    }

    @Test(arguments: ["context", "all"]) func `the cache of a loaded model is in memory before the first request`(
        part: String
    ) throws {
        let worker = try WorkerProcess(options: ["--cache", part])
        var tiny = TinyModel()
        (tiny.width, tiny.heads, tiny.keyValueHeads, tiny.contextLength) = (256, 4, 4, 4096)
        guard case .result(.loaded(let model)) = try worker.load(tiny.bytes(), context: 4096, parallel: 8) else {
            Issue.record("not loaded")
            return
        }
        #expect(model.keyValueCacheBytes == 64 << 20)
        let memory = try #require(ProcessMemory.of(processID: worker.process.processID))
        if part == "all" {
            #expect(memory.anonymousBytes > 64 << 20)
        } else {
            #expect(memory.anonymousBytes > 8 << 20 && memory.anonymousBytes < 64 << 20)
        }
        _ = try worker.end()
    }

    @Test func `a mode that nobody knows is a wrong command line`() throws {
        let output = try Programs.run("apus-worker", ["--confinement-check", "some"])
        #expect(output.status == 2)
        #expect(output.standardError.contains("'some'") && output.standardError.contains("best, required, off"))
        #expect(throws: WorkerArguments.UsageError.self) {
            _ = try WorkerArguments.parse(["--link-descriptor", "3", "--parent", "7", "--confinement", "some"])
        }
        let parsed = try WorkerArguments.parse([
            "--link-descriptor", "3", "--parent", "7", "--confinement", "off", "--memory", "1000", "--cache", "all",
        ])
        #expect(parsed.confinement == .off && parsed.memoryBytes == 1000 && parsed.commitsWholeCache)
    }
}

extension String {
    fileprivate var integer: Int { Int(trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0 }
}
