import EngineProtocol
import Observability
import Platform
import Supervision
import Testing

@testable import Serving

/// Several models with scripted workers behind a real `Serving`, with memory in MiB.
private final class ModelBench {
    let loop: EventLoop
    let serving: Serving
    /// By name, oldest first.
    private(set) var workers: [String: [ScriptedWorker]] = [:]
    private(set) var answers: [Result<ModelStatus, EngineError>] = []

    init(budget: UInt64 = 100, _ change: (inout ServingLimits) -> Void = { _ in }) throws {
        var limits = ServingLimits()
        change(&limits)
        loop = try EventLoop()
        serving = Serving(
            loop: loop, limits: limits, memoryBudget: budget << 20,
            logger: Logger(component: "test", level: .error, sink: MemorySink()))
    }

    func model(_ name: String, memory: UInt64 = 40, atStart: Bool = false, context: UInt32? = nil) -> ServedModel {
        let load = LoadRequest(
            source: .bundledDemo, purpose: .generate, displayName: name, contextLength: context)
        let settings = ServedModel.Settings(
            sources: ModelSources(.bundledDemo), load: load, loadsAtStart: atStart, memoryBytes: memory << 20)
        return ServedModel(name: name, settings: settings) { [unowned self] _ in
            let worker = ScriptedWorker()
            workers[name, default: []].append(worker)
            return worker
        }
    }

    func submit(_ name: String, _ listener: RecordingListener) throws -> ServedCall {
        try serving.submit(
            .generate(GenerateRequest(inputs: [.text("x")])), model: name,
            identity: CallIdentity(publicID: "c", requestID: "r", tenant: "t"), listener: listener)
    }

    func newest(_ name: String) throws -> ScriptedWorker { try #require(workers[name]?.last) }

    func status(_ name: String) throws -> ModelStatus {
        try #require(serving.models.first { $0.name == name })
    }

    func unloads(_ name: String, _ reason: String) throws -> UInt64? {
        try status(name).unloads.first { $0.reason == reason }?.count
    }

    func answer(_ result: Result<ModelStatus, EngineError>) { answers.append(result) }

    /// Turns the loop for so long.
    func turn(milliseconds: UInt64 = 1) {
        _ = loop.after(nanoseconds: milliseconds * 1_000_000) { [loop] in loop.stop() }
        loop.run()
    }

    /// Lets a candidate's worker load and make its token.
    func passCheck(_ worker: ScriptedWorker) throws {
        worker.becomeReady()
        let check = try #require(worker.generations.last)
        worker.onEvents([(check, chunk("a")), (check, finish)])
    }
}

@Suite("Several models") struct ModelRegistryTests {
    @Test("a model that is loaded on demand is listed, starts no worker, and leaves the server ready")
    func unloaded() throws {
        let bench = try ModelBench()
        try bench.serving.apply([bench.model("a")])
        let status = try bench.status("a")
        #expect(status.state == .unloaded && status.isAvailable && status.memoryBytes == 0)
        #expect(bench.workers.isEmpty)
    }

    @Test("ten callers of a model that is not loaded wait for one load")
    func oneLoad() throws {
        let bench = try ModelBench()
        try bench.serving.apply([bench.model("a")])
        let listeners = (0..<10).map { _ in RecordingListener() }
        for listener in listeners { _ = try bench.submit("a", listener) }
        #expect(bench.workers["a"]?.count == 1)
        let loading = try bench.status("a")
        #expect(loading.state == .starting && loading.isAvailable, "a load on demand does not make the server unready")
        let worker = try bench.newest("a")
        worker.becomeReady()
        #expect(worker.generations.count == 10)
        worker.onEvents(worker.generations.map { ($0, finish) })
        #expect(listeners.allSatisfy { $0.ends == [finish] })
        #expect(try bench.status("a").loads == 1)
    }

    @Test("the idle model makes room, and the other one starts when its process has ended")
    func eviction() throws {
        let bench = try ModelBench(budget: 60)
        try bench.serving.apply([bench.model("a"), bench.model("b")])
        let first = RecordingListener()
        _ = try bench.submit("a", first)
        let a = try bench.newest("a")
        a.becomeReady()
        a.onEvents([(a.generations[0], finish)])
        let second = RecordingListener()
        _ = try bench.submit("b", second)
        #expect(a.state.phase == .draining)
        #expect(try bench.status("a").state == .unloaded)
        #expect(try bench.status("b").stateReason?.contains("waits for memory: 'b' needs 40 MiB") == true)
        a.onStopped()
        #expect(try bench.status("b").stateReason == nil)
        let b = try bench.newest("b")
        b.becomeReady()
        #expect(b.generations.count == 1)
        #expect(try bench.unloads("a", "memory") == 1)
    }

    @Test("a model with calls keeps its memory; who waits for it gets the numbers after a while")
    func busy() throws {
        let bench = try ModelBench(budget: 60) { $0.holdNanoseconds = 20_000_000 }
        try bench.serving.apply([bench.model("a"), bench.model("b")])
        let running = RecordingListener()
        _ = try bench.submit("a", running)
        let a = try bench.newest("a")
        a.becomeReady()
        let waiting = RecordingListener()
        _ = try bench.submit("b", waiting)
        bench.turn(milliseconds: 60)
        guard case .resourceExhausted(let message, permanent: false) = waiting.failure else {
            throw CancellationError()
        }
        #expect(message == "'b' needs 40 MiB, but 40 of 60 MiB are taken: 'a' 40 MiB (1 call)")
        #expect(a.state.phase == .ready && running.ends.isEmpty)
        #expect(try bench.status("b").state == .unloaded, "nobody waits for it any more")
    }

    @Test("when the last call of a busy model ends, the one that waits is loaded at once")
    func noPolling() throws {
        let bench = try ModelBench(budget: 60)
        try bench.serving.apply([bench.model("a"), bench.model("b")])
        _ = try bench.submit("a", RecordingListener())
        let a = try bench.newest("a")
        a.becomeReady()
        _ = try bench.submit("b", RecordingListener())
        a.onEvents([(a.generations[0], finish)])
        bench.turn()
        #expect(a.state.phase == .draining)
    }

    @Test("a model whose load fails tells its callers why, and is tried again later")
    func failure() throws {
        let bench = try ModelBench { $0.failedLoadNanoseconds = 0 }
        try bench.serving.apply([bench.model("a")])
        let listener = RecordingListener()
        _ = try bench.submit("a", listener)
        try bench.newest("a").refuse("no GGUF file")
        guard case .modelNotReady(let reason, _) = listener.failure else { throw CancellationError() }
        #expect(reason.contains("no GGUF file"))
        let failed = try bench.status("a")
        #expect(failed.state == .failed && !failed.isAvailable && failed.memoryBytes == 0)
        _ = try bench.submit("a", RecordingListener())
        #expect(bench.workers["a"]?.count == 2)
        #expect(try bench.status("a").state == .starting)
    }

    // MARK: Administration

    @Test("a load answers when the model is ready; a second one shares it, a third one is done at once")
    func load() throws {
        let bench = try ModelBench()
        try bench.serving.apply([bench.model("a")])
        try bench.serving.load("a", bench.answer)
        try bench.serving.load("a", bench.answer)
        #expect(bench.answers.isEmpty && bench.workers["a"]?.count == 1)
        try bench.newest("a").becomeReady()
        #expect(bench.answers.count == 2)
        try bench.serving.load("a", bench.answer)
        #expect(bench.answers.count == 3)
        for answer in bench.answers { #expect(try answer.get().state == .ready) }
        #expect(throws: EngineError.modelNotFound(model: "x")) { try bench.serving.load("x", bench.answer) }
    }

    @Test("unloading lets calls finish, and answers when the process has ended")
    func unload() throws {
        let bench = try ModelBench()
        try bench.serving.apply([bench.model("a")])
        let listener = RecordingListener()
        _ = try bench.submit("a", listener)
        let worker = try bench.newest("a")
        worker.becomeReady()
        try bench.serving.unload("a", bench.answer)
        #expect(worker.state.phase == .ready && bench.answers.isEmpty)
        worker.onEvents([(worker.generations[0], chunk("x")), (worker.generations[0], finish)])
        #expect(listener.ends == [finish])
        bench.turn()
        #expect(worker.state.phase == .draining && bench.answers.isEmpty)
        worker.onStopped()
        #expect(try bench.answers.first?.get().state == .unloaded)
        try bench.serving.unload("a", bench.answer)
        #expect(bench.answers.count == 2, "unloading again changes nothing")
        _ = try bench.submit("a", RecordingListener())
        #expect(bench.workers["a"]?.count == 2)
    }

    @Test("a reload answers calls with the old worker until the new one has made a token")
    func reload() throws {
        let bench = try ModelBench()
        try bench.serving.apply([bench.model("a")])
        let before = RecordingListener()
        _ = try bench.submit("a", before)
        let old = try bench.newest("a")
        old.becomeReady()
        try bench.serving.reload("a", allowDowntime: false, bench.answer)
        let new = try bench.newest("a")
        #expect(new !== old)
        let during = RecordingListener()
        _ = try bench.submit("a", during)
        new.becomeReady()
        #expect(old.generations.count == 2 && bench.answers.isEmpty, "it has not made its token")
        #expect(try bench.status("a").isBeingReplaced)
        let check = try #require(new.generations.first)
        new.onEvents([(check, chunk("a")), (check, finish)])
        #expect(try bench.answers.first?.get().state == .ready)
        let after = RecordingListener()
        _ = try bench.submit("a", after)
        #expect(new.generations.count == 2 && old.generations.count == 2)
        old.onEvents(old.generations.map { ($0, finish) })
        new.onEvents([(new.generations[1], finish)])
        #expect([before, during, after].allSatisfy { $0.ends == [finish] })
        bench.turn()
        #expect(old.state.phase == .draining && new.state.phase == .ready)
        old.onStopped()
        #expect(bench.serving.memory.takenBytes == 40 << 20)
        #expect(try bench.unloads("a", "replaced") == 1)
    }

    @Test("a new worker that is refused, dies, or makes no token changes nothing", arguments: 0..<4)
    func failedReload(how: Int) throws {
        let bench = try ModelBench()
        try bench.serving.apply([bench.model("a")])
        _ = try bench.submit("a", RecordingListener())
        let old = try bench.newest("a")
        old.becomeReady()
        try bench.serving.reload("a", allowDowntime: false, bench.answer)
        let new = try bench.newest("a")
        switch how {
        case 0: new.refuse("no GGUF file")
        case 1: new.die()
        case 2:
            new.becomeReady()
            new.onEvents([(new.generations[0], .failed(.internalError(id: "1", message: "broken")))])
        default:
            new.becomeReady()
            let usage = Usage(promptTokens: 1, completionTokens: 0, cachedTokens: 0)
            let timings = Timings(preparation: 1, queue: 1, prefill: 1, decode: 1)
            new.onEvents([(new.generations[0], .finished(usage: usage, timings: timings))])
        }
        guard case .failure(.modelNotReady(let reason, 0)) = try #require(bench.answers.first) else {
            throw CancellationError()
        }
        #expect(!reason.isEmpty)
        #expect(new.state.phase == .draining)
        new.onStopped()
        _ = try bench.submit("a", RecordingListener())
        #expect(old.generations.count == 2)
        #expect(try bench.status("a").state == .ready)
        #expect(bench.serving.memory.takenBytes == 40 << 20)
    }

    @Test("without memory for both, a reload is refused with the numbers, or waits for the old worker's end")
    func reloadWithoutMemory() throws {
        let bench = try ModelBench(budget: 60)
        try bench.serving.apply([bench.model("a")])
        let running = RecordingListener()
        _ = try bench.submit("a", running)
        let old = try bench.newest("a")
        old.becomeReady()
        try bench.serving.reload("a", allowDowntime: false, bench.answer)
        guard case .failure(.resourceExhausted(let message, permanent: false)) = try #require(bench.answers.first)
        else { throw CancellationError() }
        #expect(message.contains("'a' needs 40 MiB, but 40 of 60 MiB are taken"))
        try bench.serving.reload("a", allowDowntime: true, bench.answer)
        let waiting = RecordingListener()
        _ = try bench.submit("a", waiting)
        old.onEvents([(old.generations[0], finish)])
        #expect(running.ends == [finish])
        bench.turn()
        old.onStopped()
        let new = try bench.newest("a")
        #expect(new !== old)
        new.becomeReady()
        #expect(new.generations.count == 1 && bench.answers.count == 2)
        #expect(try bench.answers[1].get().state == .ready)
    }

    @Test("a model that came by its path is forgotten when it is unloaded")
    func temporary() throws {
        let bench = try ModelBench()
        try bench.serving.apply([bench.model("a")])
        try bench.serving.load(bench.model("b"), bench.answer)
        let worker = try bench.newest("b")
        worker.becomeReady()
        #expect(bench.serving.modelNames == ["a", "b"])
        try bench.serving.apply([bench.model("a")])
        #expect(bench.serving.modelNames == ["a", "b"], "the configuration does not know of it")
        try bench.serving.unload("b", bench.answer)
        #expect(bench.serving.modelNames == ["a"])
        worker.onStopped()
        #expect(bench.answers.count == 2)
    }

    @Test("a model that came by its path and cannot be loaded is not kept")
    func temporaryFailure() throws {
        let bench = try ModelBench { $0.models = 2 }
        try bench.serving.apply([bench.model("a")])
        try bench.serving.load(bench.model("b"), bench.answer)
        try bench.newest("b").refuse("no GGUF file")
        guard case .failure(.modelNotReady(let reason, _)) = try #require(bench.answers.first) else {
            throw CancellationError()
        }
        #expect(reason.contains("no GGUF file"))
        #expect(bench.serving.modelNames == ["a"])
        try bench.serving.load(bench.model("c"), bench.answer)
        try bench.serving.load(bench.model("d"), bench.answer)
        guard case .failure(.invalidRequest(parameter: "model", let message)) = try #require(bench.answers.last)
        else { throw CancellationError() }
        #expect(message.contains("2"))
    }

    // MARK: Configuration

    @Test("a new configuration adds, removes and replaces, and ends no call")
    func apply() throws {
        let bench = try ModelBench(budget: 200)
        try bench.serving.apply([bench.model("stays"), bench.model("goes"), bench.model("changes")])
        var listeners: [String: RecordingListener] = [:]
        for name in ["stays", "goes", "changes"] {
            let listener = RecordingListener()
            listeners[name] = listener
            _ = try bench.submit(name, listener)
            try bench.newest(name).becomeReady()
        }
        try bench.serving.apply([
            bench.model("stays"), bench.model("changes", context: 64), bench.model("new", atStart: true),
        ])
        #expect(bench.serving.modelNames == ["stays", "changes", "new"])
        #expect(bench.workers["stays"]?.count == 1 && bench.workers["new"]?.count == 1)
        #expect(throws: EngineError.modelNotFound(model: "goes")) { try bench.submit("goes", RecordingListener()) }
        let goes = try bench.newest("goes")
        goes.onEvents([(goes.generations[0], finish)])
        #expect(listeners["goes"]?.ends == [finish])
        #expect(bench.workers["changes"]?.count == 2)
        try bench.passCheck(bench.newest("changes"))
        let again = RecordingListener()
        _ = try bench.submit("changes", again)
        #expect(try bench.newest("changes").generations.count == 2)
        bench.turn()
        #expect(goes.state.phase == .draining)
        goes.onStopped()
    }

    @Test("a model that changes while it is still loading is replaced when it has loaded")
    func changeWhileLoading() throws {
        let bench = try ModelBench()
        try bench.serving.apply([bench.model("a")])
        _ = try bench.submit("a", RecordingListener())
        try bench.serving.apply([bench.model("a", context: 64)])
        #expect(bench.workers["a"]?.count == 1)
        try bench.newest("a").becomeReady()
        #expect(bench.workers["a"]?.count == 2)
    }
}
