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
        // What the run needs of the handle, the run, its token.
        #expect(progress.enginePhase == .computing && progress.steps == 3)
    }

    // MARK: What stays between runs

    /// Text of the user in a session.
    private static func turn(
        _ text: String, _ family: Int, keepsHistory: Bool = false, savesCache: Bool = false,
        change: (inout GenerateRequest) -> Void = { _ in }
    ) -> EngineRequest {
        let input: GenerateRequest.Input =
            family == 110
            ? .text(text) : .chat(ChatInput(messagesJSON: #"[{"role":"user","content":"\#(text)"}]"#))
        var request = GenerateRequest(inputs: [input])
        request.session = SessionUse(
            id: SessionID(rawValue: 1), keepsHistory: keepsHistory, savesCache: savesCache)
        change(&request)
        return .generate(request)
    }

    private static let encoder = CrossAttention(
        keys: Tensor(rows: 1, columns: 4, values: [1, 2, 3, 4]),
        values: Tensor(rows: 1, columns: 4, values: [5, 6, 7, 8]), mask: Tensor(rows: 1, columns: 2, values: [1, 1]),
        positions: [0, 1])

    /// Everything that a family has, once; the text of each answer.
    private static func tour(_ worker: WorkerProcess, _ family: Int, file: Int32, adapter: Int32) throws -> [String] {
        var texts: [String] = []
        func say(_ request: EngineRequest, descriptors: [Int32] = []) throws {
            let events = try worker.finished(worker.send(request, descriptors: descriptors))
            if case .failed(let error)? = events.last { Issue.record("\(request): \(error)") }
            texts.append(WorkerProcessTests.text(events))
        }
        func change(_ change: SessionChange, descriptors: [Int32] = []) throws {
            try say(.changeSession(SessionID(rawValue: 1), change), descriptors: descriptors)
        }
        try say(.openSession(SessionID(rawValue: 1)))
        try say(turn("one two", family, savesCache: true), descriptors: [file])
        try change(.loadCache, descriptors: [file])
        try say(turn("one two three", family))
        try say(.loadAdapter(AdapterRequest(name: "poems")), descriptors: [adapter])
        try say(turn("Hello", family) { $0.adapter = "poems" })
        try say(turn("Hello", family) { $0.inputs = [.embeddings(Tensor(rows: 2, columns: 1, values: [1, 2]))] })
        try say(turn("Hello", family) { $0.inputs = [.text("raw")] })
        let image = MultimodalInput.Media(
            kind: .image, count: 1, tokensPerFrame: 2, width: 8, height: 8, startTag: "s", endTag: "e", contentTag: "c",
            embeddings: Tensor(rows: 2, columns: 1, values: [3, 4]))
        try say(turn("", family) { $0.inputs = [.multimodal(MultimodalInput(prompt: "<image>", media: [image]))] })
        try say(turn("Hello", family) { $0.sampling.temperature = 0.5 })
        if family >= 120 {
            try say(turn("Hello", family, keepsHistory: true))
            try say(turn("More", family, keepsHistory: true))
            try change(.clear(keepsSystemPrompt: true))
        }
        if family >= 121 {
            try say(turn("Hello", family) { $0.crossAttention = encoder })
            let tools = ChatInput(messagesJSON: #"[{"role":"user","content":"Hello"}]"#, toolsJSON: "[{}]")
            try say(turn("Hello", family) { $0.inputs = [.chat(tools)] })
            let call = worker.send(turn("long", family))
            _ = try worker.events(of: call) { !WorkerProcessTests.text($0).isEmpty }
            worker.send(.pause, call: call)
            #expect(try worker.finished(call).contains(.choiceFinished(choice: 0, reason: .paused)))
            try change(.clearRange(first: 0, end: 1))
            try say(turn("", family) { $0.inputs = [.resumed] })
        }
        try change(.releaseCache)
        try say(.unloadAdapter(name: "poems"))
        try say(.closeSession(SessionID(rawValue: 1)))
        return texts
    }

    private static func memory(_ text: String) throws -> Int32 {
        try Array(text.utf8).withUnsafeBytes {
            try FileDescriptor.memory(name: "test", bytes: $0, sealed: false).release()
        }
    }

    @Test(arguments: FakeRuntime.families) func `a confined worker has everything that its family has`(
        family: Int
    ) throws {
        let worker = try Self.worker(family)
        let runtime = family >= 121 ? RuntimeOptions(usesCrossAttention: true) : nil
        try worker.load(Array("delay 2\nstate\non long many 300 b\nmany 3 a\nreach".utf8), runtime: runtime)
        let path = FakeRuntime.record()
        let file = open(path, O_RDWR | O_CREAT, 0o600), adapter = try Self.memory("FAKE ADAPTER")
        defer { for descriptor in [file, adapter] { close(descriptor) } }
        let texts = try Self.tour(worker, family, file: file, adapter: adapter)
        // What was saved in a file that the worker could not open is what it found there.
        #expect(texts[3].contains("cached=one two"))
        #expect(texts[5].contains("adapter=poems"), "\(texts)")
        #expect(texts.allSatisfy { $0.isEmpty || $0.contains("aaa") }, "\(texts)")
        #expect(texts.filter { !$0.isEmpty }.allSatisfy { !$0.contains("write") && !$0.contains("socket") })
        #expect(FakeRuntime.lines(of: path).first?.hasPrefix("APUSRKPC") == true)
        #expect(try worker.end().exit == .status(0))
    }

    /// The stand-in keeps the pointers that the runtime keeps, and reads them late; the sanitizer knows all memory of the
    /// process.
    @Test(.enabled(if: FakeRuntime.sanitizer != nil), arguments: FakeRuntime.families)
    func `everything that the runtime is given lasts as long as it is read`(family: Int) throws {
        func sanitized() throws -> WorkerProcess {
            let library = try FakeRuntime.library(family, isSanitized: true)
            return try WorkerProcess(
                options: ["--rkllm-runtime", library, "--confinement", "off"],
                environment: ["LD_PRELOAD=\(FakeRuntime.sanitizer ?? "")", "ASAN_OPTIONS=detect_leaks=0"])
        }
        let worker = try sanitized()
        let runtime = family >= 121 ? RuntimeOptions(usesCrossAttention: true) : nil
        try worker.load(Array("delay 2\nstate\non long many 300 b\nmany 3 a".utf8), runtime: runtime)
        let file = try Self.memory(""), adapter = try Self.memory("FAKE ADAPTER")
        defer { for descriptor in [file, adapter] { close(descriptor) } }
        #expect(try Self.tour(worker, family, file: file, adapter: adapter).count > 10)
        let ended = try worker.end()
        #expect(ended.exit == .status(0) && !ended.errors.contains("AddressSanitizer"), "\(ended.errors)")
        // It does notice.
        let reckless = try sanitized()
        try reckless.load(Array("overrun".utf8))
        #expect(throws: (any Error).self) {
            try reckless.finished(reckless.send(Self.turn("x", family) { $0.session = nil }))
        }
        #expect(try reckless.end().errors.contains("heap-buffer-overflow"))
    }

    /// Requests that need a function, with what has to be done before.
    private static func requests(
        for function: String, file: Int32, adapter: Int32
    ) -> (before: [(EngineRequest, [Int32])], last: (EngineRequest, [Int32])) {
        let id = SessionID(rawValue: 1)
        let save = (turn("one", 130, savesCache: true), [file]),
            keep = (turn("one", 130, keepsHistory: true), [Int32]())
        let load = (EngineRequest.changeSession(id, .loadCache), [file])
        let opened = (EngineRequest.openSession(id), [Int32]())
        switch function {
        case "load_lora": return ([opened], (.loadAdapter(AdapterRequest(name: "poems")), [adapter]))
        case "load_prompt_cache": return ([opened, save], load)
        case "release_prompt_cache": return ([opened, save, load], (.changeSession(id, .releaseCache), []))
        case "clear_kv_cache": return ([opened, keep], (.changeSession(id, .clear(keepsSystemPrompt: false)), []))
        case "get_kv_cache_size": return ([opened, keep], (.changeSession(id, .releaseCache), []))
        case "set_chat_template": return ([opened], (turn("", 130) { $0.inputs = [.text("raw")] }, []))
        case "set_function_tools":
            let tools = ChatInput(messagesJSON: #"[{"role":"user","content":"Hello"}]"#, toolsJSON: "[{}]")
            return ([opened], (turn("", 130) { $0.inputs = [.chat(tools)] }, []))
        case "set_cross_attn_params": return ([opened], (turn("one", 130) { $0.crossAttention = encoder }, []))
        default: return ([opened, (turn("", 130) { $0.inputs = [.text("raw")] }, [])], (turn("one", 130), []))
        }
    }

    private static let functions = [
        "load_lora", "load_prompt_cache", "release_prompt_cache", "clear_kv_cache", "get_kv_cache_size",
        "set_chat_template", "set_function_tools", "set_cross_attn_params", "destroy",
    ]

    @Test(arguments: functions, ["crash", "abort", "exit"])
    func `a function that ends the library ends its worker only`(
        function: String, word: String
    ) throws {
        let exits: [String: ChildProcess.Exit] = [
            "crash": .signal(SIGSEGV), "abort": .signal(SIGABRT), "exit": .status(3),
        ]
        let worker = try Self.worker()
        try worker.load(
            Array("say a\nat \(function) \(word)".utf8), runtime: RuntimeOptions(usesCrossAttention: true))
        let file = try Self.memory(""), adapter = try Self.memory("FAKE ADAPTER")
        defer { for descriptor in [file, adapter] { close(descriptor) } }
        let (before, last) = Self.requests(for: function, file: file, adapter: adapter)
        for (request, descriptors) in before { _ = try worker.ask(request, descriptors: descriptors) }
        #expect(throws: (any Error).self) { try worker.ask(last.0, descriptors: last.1) }
        #expect(try worker.end().exit == exits[word])
    }

    @Test(arguments: ["crash", "abort", "exit"]) func `an abort that ends the library ends its worker only`(
        word: String
    ) throws {
        let exits: [String: ChildProcess.Exit] = [
            "crash": .signal(SIGSEGV), "abort": .signal(SIGABRT), "exit": .status(3),
        ]
        let worker = try Self.worker()
        try worker.load(Array("at abort \(word)\ndelay 1\nmany 1000000 a".utf8))
        let call = worker.send(Self.chat("Hello"))
        _ = try worker.events(of: call) { !WorkerProcessTests.text($0).isEmpty }
        worker.send(.cancel, call: call)
        _ = try worker.linkClosed()
        #expect(try worker.end().exit == exits[word])
    }

    @Test(arguments: functions.dropLast()) func `a function that hangs stands still on the progress page`(
        function: String
    ) throws {
        let file = try ProgressPage.makeFile()
        let page = try ProgressPage(descriptor: file.rawValue, writable: false)
        let worker = try Self.worker(progress: file.rawValue)
        try worker.load(
            Array("say a\nat \(function) hang".utf8), runtime: RuntimeOptions(usesCrossAttention: true))
        let cache = try Self.memory(""), adapter = try Self.memory("FAKE ADAPTER")
        defer { for descriptor in [cache, adapter] { close(descriptor) } }
        let (before, last) = Self.requests(for: function, file: cache, adapter: adapter)
        for (request, descriptors) in before { _ = try worker.ask(request, descriptors: descriptors) }
        let steps = page.read().steps
        let call = worker.send(last.0, descriptors: last.1)
        while page.read().steps == steps { usleep(1000) }
        worker.send(.cancel, call: call)
        #expect(try worker.end(of: call) == .failed(.cancelled))
        #expect(page.read().enginePhase == .computing)
    }
}
