import EngineLink
import EngineProtocol
import Foundation
import Platform
import TestSupport
import Testing

/// What the built worker tells of itself while it works, and when it dies.
@Suite(.serialized, .timeLimit(.minutes(10))) struct CrashHandlerTests {
    /// An idle worker, its link and the pipe that its stacks come through.
    private final class Idle {
        let process: ChildProcess
        let stacks = Collector()
        /// Its threads, each by its number, with the names that the handler knows.
        private(set) var threads: [Int32: String] = [:]
        private let link: Int32
        private var hasEnded = false

        init() throws {
            let (ours, theirs) = WorkerProcess.take(try Socket.pair())
            link = ours
            let errors = Collector()
            process = try WorkerProcess.spawn(
                link: theirs, errors: errors, crashes: stacks.pipe.fileHandleForWriting.fileDescriptor)
            try stacks.pipe.fileHandleForWriting.close()
            Glibc.close(theirs)
            let tasks = "/proc/\(process.processID)/task"
            let isReady = ServerProcess.eventually {
                var areAsleep = true
                for task in (try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? [] {
                    let name = try? String(contentsOfFile: "\(tasks)/\(task)/comm", encoding: .utf8)
                    threads[Int32(task) ?? 0] = name?.trimmingCharacters(in: .newlines)
                    let state = try? String(contentsOfFile: "\(tasks)/\(task)/stat", encoding: .utf8)
                    areAsleep = areAsleep && state?.contains(") S ") == true
                }
                // A thread has its name when the handler knows it. One that is still starting may be in the dynamic linker,
                // below whose frames the program's are not found.
                return threads.values.contains("prepare") && areAsleep
            }
            guard isReady else { throw WorkerProcess.Timeout(description: "the worker did not start") }
            threads[process.processID] = "main"
        }

        /// Waits until it has ended by itself.
        func end() throws -> ChildProcess.Exit {
            hasEnded = true
            return try process.wait()
        }

        deinit {
            if !hasEnded {
                process.signal(SIGKILL)
                _ = try? process.wait()
            }
            close(link)
        }
    }

    /// Which thread takes a signal that is sent to a process is the kernel's choice: one that starts another thread blocks
    /// all signals until that has been done, and so the main thread may not be the one.
    @Test(arguments: [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS])
    func `a crash writes its stack, and the process ends with the signal`(signal: Int32) throws {
        let worker = try Idle()
        worker.process.signal(signal)
        #expect(try worker.end() == .signal(signal))
        let lines = worker.stacks.text().split(separator: "\n")
        let isNamed = worker.threads.contains { lines.first == "thread \($0.key) \(signal) 0 \($0.value)" }
        #expect(isNamed, "\(lines), \(worker.threads)")
        #expect(lines.contains { $0.contains("apus-worker+0x") }, "\(lines)")
    }

    @Test func `every thread tells where it is when asked, and goes on`() throws {
        let worker = try Idle()
        for _ in 0..<3 {
            let before = worker.stacks.textSoFar.count
            let threads = worker.process.signalThreads(CrashHandler.dumpSignal)
            #expect(threads == 2)
            let found = worker.stacks.wait(seconds: 60) { text in
                let added = text.dropFirst(before)
                return added.hasSuffix("\n") && added.split(separator: "thread ").count == threads ? added : nil
            }
            let text = try #require(found)
            for name in ["main", "prepare"] {
                let stack = try #require(text.split(separator: "thread ").first { $0.contains(" 0 \(name)\n") })
                #expect(stack.contains("apus-worker+0x"), "\(text)")
            }
        }
        #expect(try worker.process.reap() == nil)
    }

    @Test func `a stopped process tells where it was stopped`() throws {
        let worker = try Idle()
        worker.process.signal(SIGSTOP)
        _ = worker.process.signalThreads(CrashHandler.dumpSignal)
        #expect(worker.stacks.wait(seconds: 60) { $0.contains("main\n") ? true : nil } == true)
    }

    @Test func `the progress page follows the work`() throws {
        let file = try ProgressPage.makeFile()
        let page = try ProgressPage(descriptor: file.rawValue, writable: false)
        let worker = try WorkerProcess(progress: file.rawValue)
        var tiny = TinyModel()
        (tiny.layers, tiny.contextLength) = (3, 20_000)
        try worker.load(tiny.bytes(), context: 20_000)
        #expect(page.read().preparations > 0 && page.read().steps == 0)
        var request = WorkerProcessTests.letters("q", tokens: nil)
        // Of drafts that are right a step makes several events.
        request.speculation = .off
        let call = worker.send(.generate(request))
        _ = try worker.events(of: call) { $0.count > 10 }
        let busy = page.read()
        #expect(busy.steps > 5 && busy.layer <= 4 && busy.sequences == 1 && busy.calls == 1)
        #expect(busy.batch == [call] && busy.preparedCall == call)
        worker.send(.cancel, call: call)
        _ = try worker.end(of: call)
        _ = try worker.end()
        #expect(page.read().enginePhase != .computing)
    }
}
