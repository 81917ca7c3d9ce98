import EngineProtocol
import Foundation
import Platform
import TestSupport
import Testing

/// A worker whose model runs in the stand-in for the Rockchip runtime, confined as it is by default.
@Suite(.serialized) struct RKLLMWorkerTests {
    private static func worker(_ family: Int = 130, progress: Int32? = nil) throws -> WorkerProcess {
        try WorkerProcess(progress: progress, options: ["--rkllm-runtime", try FakeRuntime.library(family)])
    }

    private static func chat(_ text: String) -> EngineRequest {
        let chat = ChatInput(messagesJSON: #"[{"role":"user","content":"\#(text)"}]"#)
        return .generate(GenerateRequest(inputs: [.chat(chat)]))
    }

    @Test(arguments: [120, 121, 130]) func `a model is loaded and asked, and the worker ends with its link`(
        family: Int
    ) throws {
        let worker = try Self.worker(family)
        guard case .result(.loaded(let model)) = try worker.load(Array("say \\xe2\\x82\nsay \\xac\\_!\nreach".utf8))
        else {
            Issue.record("not loaded")
            return
        }
        #expect(model.architecture == "rkllm" && model.parallel == 1 && model.contextLength == 512)
        let events = try worker.finished(worker.send(Self.chat("Hello")))
        // Reading is what a runtime needs; it makes no file, no socket and no process.
        #expect(WorkerProcessTests.text(events) == "€ !read ")
        for request: EngineRequest in [.inspect, .tokenize(TokenizeRequest(text: "x")), .detokenize(ids: [1])] {
            guard case .failed(.unsupported) = try worker.ask(request) else {
                Issue.record("\(request) is not refused")
                return
            }
        }
        let ended = try worker.end()
        #expect(ended.exit == .status(0))
        #expect(ended.errors.contains("rkllm-runtime version"), "what the runtime prints is passed on")
    }

    @Test func `a stop string across tokens ends the answer`() throws {
        let worker = try Self.worker()
        try worker.load(Array("delay 1\nmany 10000 ab".utf8))
        let chat = ChatInput(messagesJSON: #"[{"role":"user","content":"x"}]"#)
        let events = try worker.finished(
            worker.send(.generate(GenerateRequest(inputs: [.chat(chat)], stopStrings: ["baba"]))))
        #expect(WorkerProcessTests.text(events) == "a")
        #expect(events.contains(.choiceFinished(choice: 0, reason: .stop)))
    }

    @Test func `a load that the runtime refuses tells the runtime's reason`() throws {
        let worker = try Self.worker()
        guard
            case .failed(.invalidRequest("model", let reason)) = try worker.load(Array("limit 512".utf8), context: 1024)
        else {
            Issue.record("not refused")
            return
        }
        #expect(reason.contains("rkllm_init: -1") && reason.contains("[1024] exceeds the model's limit[512]"))
        let empty = try Self.worker()
        guard case .failed(.resourceExhausted(_, permanent: false)) = try empty.load(Array("load null".utf8)) else {
            Issue.record("no handle was taken for one")
            return
        }
    }

    @Test(arguments: [
        ("crash", ChildProcess.Exit.signal(SIGSEGV)), ("abort", .signal(SIGABRT)), ("exit", .status(3)),
    ]) func `whatever ends the library ends its worker only`(word: String, exit: ChildProcess.Exit) throws {
        let loading = try Self.worker()
        #expect(throws: (any Error).self) { try loading.load(Array("load \(word)".utf8)) }
        #expect(try loading.end().exit == exit)
        let running = try Self.worker()
        try running.load(Array("say a\n\(word)".utf8))
        #expect(throws: (any Error).self) { try running.finished(running.send(Self.chat("Hello"))) }
        #expect(try running.end().exit == exit)
    }

    @Test func `a run that hangs stands still on the progress page, and a cancelled call ends even so`() throws {
        let file = try ProgressPage.makeFile()
        let page = try ProgressPage(descriptor: file.rawValue, writable: false)
        let worker = try Self.worker(progress: file.rawValue)
        try worker.load(Array("say a\nhang".utf8))
        let call = worker.send(Self.chat("Hello"))
        _ = try worker.events(of: call) { !WorkerProcessTests.text($0).isEmpty }
        worker.send(.cancel, call: call)
        #expect(try worker.end(of: call) == .failed(.cancelled))
        let progress = page.read()
        #expect(progress.enginePhase == .computing && progress.steps == 2)
    }
}
