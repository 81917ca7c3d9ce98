import EngineProtocol
import Foundation
import Observability
import Platform
import Testing

@testable import Supervision

/// With real processes: programs that die in every way there is.
@Suite("Worker process", .serialized, .timeLimit(.minutes(10))) struct WorkerProcessTests {
    private static let quiet = Logger(component: "test", level: .error, sink: MemorySink())

    /// Runs a script as a worker until its end is reported.
    private func end(of text: String, _ act: (WorkerProcess) -> Void = { _ in }) throws -> (WorkerEnd, WorkerProcess) {
        let folder = try TemporaryFolder()
        let loop = try EventLoop()
        let worker = try WorkerProcess(loop: loop, workerPath: folder.script(text), logger: Self.quiet)
        var ends: [WorkerEnd] = []
        worker.onEnd = {
            ends.append($0)
            // Once more around, so that a second report would be seen.
            _ = loop.after(nanoseconds: 30_000_000) { loop.stop() }
        }
        act(worker)
        loop.run()
        #expect(ends.count == 1)
        return (try #require(ends.first), worker)
    }

    static let deaths: [(String, WorkerEnd)] = [
        ("exit 3", .exited(status: 3)), ("exit 0", .exited(status: 0)), ("kill -SEGV $$", .crashed(signal: SIGSEGV)),
        ("kill -KILL $$", .crashed(signal: SIGKILL)), ("kill -ABRT $$", .crashed(signal: SIGABRT)),
        ("kill -BUS $$", .crashed(signal: SIGBUS)),
    ]

    @Test("each kind of death is named", arguments: deaths)
    func kinds(death: (script: String, end: WorkerEnd)) throws {
        #expect(try end(of: death.script).0 == death.end)
    }

    @Test("a worker that is killed from outside is noticed")
    func killed() throws {
        let (end, _) = try end(of: "exec sleep 100") { kill($0.processID, SIGKILL) }
        #expect(end == .crashed(signal: SIGKILL))
    }

    @Test("a worker that only closes its link is ended, and leaves no process behind")
    func closedLink() throws {
        let (end, worker) = try end(of: "exec 3<&-; exec sleep 100")
        #expect(end.kind == .linkBroken)
        let deadline = Date().addingTimeInterval(10)
        let loop = try EventLoop()
        _ = loop
        while kill(worker.processID, 0) == 0, Date() < deadline { usleep(10_000) }
        // Not reaped yet, because its loop has stopped; but dead.
        let status = try? String(contentsOfFile: "/proc/\(worker.processID)/stat", encoding: .utf8)
        #expect(status == nil || status?.contains(") Z ") == true)
        worker.kill()
    }

    @Test("a worker that speaks another protocol is a closed link with the reason")
    func garbage() throws {
        let (end, worker) = try end(of: "echo this is certainly not a message of ours >&3; exec sleep 100")
        #expect(end.kind == .linkBroken && end.text.contains("magic"))
        worker.kill()
    }

    @Test("a worker that ignores SIGTERM is killed after the delay, and the reason given is told")
    func stubborn() throws {
        let (end, worker) = try end(of: "trap '' TERM; echo ready >&2; while :; do sleep 0.05; done") { worker in
            func endWhenTheTrapIsSet() {
                _ = worker.loop.after(nanoseconds: 10_000_000) {
                    guard worker.lastLines.contains("ready") else { return endWhenTheTrapIsSet() }
                    worker.end(as: .slowStart(seconds: 1))
                }
            }
            endWhenTheTrapIsSet()
        }
        #expect(end == .slowStart(seconds: 1) && worker.exitText == "SIGKILL")
    }

    @Test("a worker that hangs is reported lost at once, and killed after the delay even if it is stopped")
    func hanging() throws {
        let script = "trap '' USR1 TERM; echo ready >&2; kill -STOP $$; while :; do sleep 0.05; done"
        let (end, worker) = try end(of: script) { worker in
            func abortWhenTheTrapIsSet() {
                _ = worker.loop.after(nanoseconds: 10_000_000) {
                    guard worker.lastLines.contains("ready") else { return abortWhenTheTrapIsSet() }
                    worker.abort(as: .stalled(what: "no progress"))
                }
            }
            abortWhenTheTrapIsSet()
        }
        #expect(end == .stalled(what: "no progress") && !worker.hasExited)
        worker.onExit = { worker.loop.stop() }
        worker.loop.run()
        #expect(worker.exitText == "SIGKILL")
    }

    @Test("the last lines that a worker wrote are kept, a line without end included")
    func lastLines() throws {
        let (_, worker) = try end(
            of: "for i in $(seq 1 100); do echo line $i >&2; done; printf 'last words' >&2; exit 1")
        #expect(worker.lastLines.last == "last words")
        #expect(worker.lastLines.count == ObservabilityLimits().keptLines)
    }

    @Test("a worker that writes without end neither stops the loop nor fills memory")
    func flood() throws {
        let (end, _) = try end(of: "exec yes >&2") { worker in
            _ = worker.loop.after(nanoseconds: 100_000_000) { kill(worker.processID, SIGKILL) }
        }
        #expect(end == .crashed(signal: SIGKILL))
    }

    @Test("of the gateway's environment a worker gets only what it needs, whatever keys there are")
    func environment() throws {
        // Programs of other tests start meanwhile: none of them may stumble over these.
        for name in ["SOME_API_KEY", "SOME_SERVICE_PASSWORD"] { setenv(name, "hidden", 1) }
        setenv("LD_LIBRARY_PATH", "/shown", 1)
        defer { for name in ["SOME_API_KEY", "SOME_SERVICE_PASSWORD", "LD_LIBRARY_PATH"] { unsetenv(name) } }
        let (_, worker) = try end(of: "env >&2")
        #expect(!worker.lastLines.contains { $0.contains("hidden") })
        #expect(worker.lastLines.contains("LD_LIBRARY_PATH=/shown"))
        let entries = [
            "PATH=/bin", "APUS_ISA=avx2", "LD_LIBRARY_PATH=/opt/swift", "SWIFT_BACKTRACE=enable=yes", "nonsense", "=x",
        ]
        // Crashes are left to the worker's own handler, whatever the gateway's environment says.
        #expect(
            WorkerOptions.environment(from: entries)
                == ["APUS_ISA=avx2", "LD_LIBRARY_PATH=/opt/swift", "SWIFT_BACKTRACE=enable=no"])
    }

    @Test("a program that is not there is an error, not a death")
    func missingProgram() throws {
        let loop = try EventLoop()
        #expect(throws: SystemError.self) {
            _ = try WorkerProcess(loop: loop, workerPath: "/nonexistent/apus-worker", logger: Self.quiet)
        }
    }
}

@Suite("Worker supervisor", .serialized, .timeLimit(.minutes(10))) struct WorkerSupervisorTests {
    private static let quiet = Logger(component: "test", level: .error, sink: MemorySink())
    private let load = LoadRequest(source: .bundledDemo, purpose: .generate, displayName: "m")

    private func supervisor(_ loop: EventLoop, path: String, source: ModelSource = .bundledDemo) -> WorkerSupervisor {
        WorkerSupervisor(
            loop: loop,
            settings: WorkerSupervisor.Settings(
                workerPath: path, sources: ModelSources(source), load: load, loadNanosecondsLimit: 300_000_000),
            logger: Self.quiet)
    }

    @Test("a worker that dies is started again, with a new generation and growing pauses")
    func restarts() throws {
        let folder = try TemporaryFolder()
        let loop = try EventLoop()
        let supervisor = try supervisor(loop, path: folder.script("exit 7"))
        var losses: [(end: WorkerEnd, generation: UInt16, time: UInt64)] = []
        supervisor.onLost = { end in
            losses.append((end, supervisor.generation, MonotonicClock.now()))
            if losses.count == 3 { loop.stop() }
        }
        supervisor.start()
        loop.run()
        #expect(losses.map(\.generation) == [1, 2, 3])
        #expect(losses.allSatisfy { $0.end == .exited(status: 7) })
        #expect(losses[1].time - losses[0].time >= 250_000_000 && losses[2].time - losses[1].time >= 500_000_000)
        #expect(supervisor.workerProcessID == nil)
    }

    @Test("a worker that does not load in time is ended and counts as lost")
    func slowLoad() throws {
        let folder = try TemporaryFolder()
        let loop = try EventLoop()
        let supervisor = try supervisor(loop, path: folder.script("exec sleep 100"))
        var lost = ""
        supervisor.onLost = {
            lost = $0.text
            loop.stop()
        }
        supervisor.start()
        loop.run()
        #expect(lost.contains("did not load within"))
        stopAndWait(supervisor, loop)
    }

    /// Returns when the supervisor says that its last process is gone.
    private func stopAndWait(_ supervisor: WorkerSupervisor, _ loop: EventLoop) {
        supervisor.onStopped = { _ = loop.after(nanoseconds: 0) { loop.stop() } }
        supervisor.stop()
        loop.run()
    }

    @Test("the next worker starts when the process of the last one has ended")
    func noOverlap() throws {
        let folder = try TemporaryFolder()
        let loop = try EventLoop()
        let last = folder.url.appendingPathComponent("last").path
        let trace = folder.url.appendingPathComponent("trace").path
        let script = """
            if [ -f \(last) ] && kill -0 $(cat \(last)); then echo both >> \(trace); fi
            echo $$ > \(last); trap '' USR1 TERM; echo start >> \(trace); while :; do sleep 0.05; done
            """
        let supervisor = try supervisor(loop, path: folder.script(script))
        var losses = 0
        supervisor.onLost = { _ in
            losses += 1
            if losses == 2 { loop.stop() }
        }
        supervisor.start()
        loop.run()
        #expect(try String(contentsOfFile: trace, encoding: .utf8) == "start\nstart\n")
        // The second one was given up a moment ago, and lives: its memory counts until it is gone.
        let process = try #require(Int32(String(contentsOfFile: last, encoding: .utf8).dropLast()))
        #expect(kill(process, 0) == 0)
        stopAndWait(supervisor, loop)
        #expect(kill(process, 0) == -1)
    }

    @Test("a model file that is gone at a restart is waited for, as it may just be being replaced")
    func replacedModel() throws {
        let folder = try TemporaryFolder()
        let file = folder.url.appendingPathComponent("m.gguf")
        try Data("x".utf8).write(to: file)
        let loop = try EventLoop()
        let supervisor = try supervisor(loop, path: folder.script("exit 7"), source: .file(path: file.path))
        var reasons: [String] = []
        supervisor.onLost = { end in
            reasons.append(end.text)
            if reasons.count == 1 { try? FileManager.default.removeItem(at: file) }
            if reasons.count == 2 { try? Data("x".utf8).write(to: file) }
            if reasons.count == 3 { loop.stop() }
        }
        supervisor.start()
        loop.run()
        try #require(reasons.count == 3)
        #expect(reasons[1].contains("'m.gguf' cannot be opened"))
        #expect(reasons[2] == "exited with status 7")
    }

    @Test("a model file that cannot be opened fails at once, and no process is started")
    func missingModel() throws {
        let folder = try TemporaryFolder()
        let loop = try EventLoop()
        let trace = folder.url.appendingPathComponent("trace").path
        let supervisor = try supervisor(
            loop, path: folder.script("touch \(trace)"), source: .file(path: folder.url.path + "/none.gguf"))
        var failure = ""
        supervisor.onFailed = { failure = $0 }
        supervisor.start()
        #expect(failure.contains("none.gguf"))
        guard case .failed = supervisor.state.phase else { throw CancellationError() }
        #expect(!FileManager.default.fileExists(atPath: trace) && supervisor.workerProcessID == nil)
    }

    @Test("a worker program that is missing uses up the budget instead of looping")
    func missingProgram() throws {
        let loop = try EventLoop()
        let supervisor = supervisor(loop, path: "/nonexistent/apus-worker")
        var lost = ""
        supervisor.onLost = { lost = $0.text }
        supervisor.start()
        #expect(lost.contains("could not be started: No such file") && !lost.contains("/nonexistent"))
    }

    @Test("stopping ends the worker, and nothing is started again")
    func stop() throws {
        let folder = try TemporaryFolder()
        let loop = try EventLoop()
        let supervisor = try supervisor(loop, path: folder.script("exec sleep 100"))
        supervisor.onLost = { Issue.record("lost: \($0)") }
        supervisor.start()
        let process = try #require(supervisor.workerProcessID)
        supervisor.stop()
        _ = loop.after(nanoseconds: 700_000_000) { loop.stop() }
        loop.run()
        #expect(kill(process, 0) == -1 && errno == ESRCH)
        #expect(supervisor.state.phase == .draining)
    }
}
