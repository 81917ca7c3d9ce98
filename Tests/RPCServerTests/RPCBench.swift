import EngineProtocol
import Foundation
import Observability
import Platform
import Supervision
import TestSupport

@testable import RPCServer
@testable import Serving

/// A worker whose answers the test writes.
final class ScriptedWorker: SupervisedWorker {
    private(set) var state = SupervisorState()
    private(set) var generation: UInt16 = 1
    let workerProcessID: Int32? = getpid()
    let stillNanoseconds: UInt64 = 0
    private(set) var sent: [(call: CallID, request: EngineRequest)] = []
    var onReady: (ModelDescription) -> Void = { _ in }
    var onEvents: ([(CallID, EngineEvent)]) -> Void = { _ in }
    var onLost: (WorkerEnd) -> Void = { _ in }
    var onFailed: (String) -> Void = { _ in }
    var onStopped: () -> Void = {}
    var hasChatTemplate = true
    /// What it says that a session holds.
    var sessionState = SessionState()
    /// What it says instead of opening one.
    var refusal: EngineError?
    /// Files that came beside requests, while they are open.
    var onFile: (Int32) -> Void = { _ in }
    private var questions: [(call: CallID, request: EngineRequest)] = []

    func start() {}
    func stop() { _ = state.handle(.stop, now: 0) }
    func noteServedRequest() {}

    func send(_ request: EngineRequest, call: CallID, descriptors: [Int32]) {
        sent.append((call, request))
        for descriptor in descriptors { onFile(descriptor) }
        switch request {
        case .tokenize, .openSession, .changeSession, .closeSession, .loadAdapter: questions.append((call, request))
        default: break
        }
    }

    /// Answers what is no generation; false if there was nothing.
    func answerQuestions() -> Bool {
        let asked = questions
        questions = []
        for (call, request) in asked { onEvents([(call, answer(to: request))]) }
        return !asked.isEmpty
    }

    private func answer(to request: EngineRequest) -> EngineEvent {
        switch request {
        case .tokenize: .result(.tokenized(ids: []))
        case .loadAdapter: refusal.map { .failed($0) } ?? .result(.done)
        case .openSession where refusal != nil, .changeSession where refusal != nil: .failed(refusal ?? .cancelled)
        default: .result(.session(sessionState))
        }
    }

    /// What was asked about sessions: `open`, `run` (with `keep`, `save`, `resumed`), `clear`, `close` and so on.
    var sessionWords: [String] {
        sent.compactMap { sent in
            switch sent.request {
            case .openSession(let id): "open \(id.rawValue)"
            case .closeSession(let id): "close \(id.rawValue)"
            case .changeSession(_, .clear(let keeps)): keeps ? "clear but system" : "clear"
            case .changeSession(_, .clearRange(let first, let end)): "clear \(first)..<\(end)"
            case .changeSession(_, .loadCache): "load"
            case .changeSession(_, .releaseCache): "release"
            case .pause: "pause"
            case .generate(let request):
                request.session.map { use in
                    "run \(use.id.rawValue)" + (use.keepsHistory ? " keep" : "") + (use.savesCache ? " save" : "")
                        + (request.inputs == [.resumed] ? " resumed" : "")
                }
            default: nil
            }
        }
    }

    /// Dies, and another worker is ready.
    func restart() {
        let end = WorkerEnd.crashed(signal: 9)
        questions = []
        _ = state.handle(.ended(end), now: 0)
        onLost(end)
        _ = state.handle(.timeArrived, now: .max)
        generation += 1
        becomeReady()
    }

    func becomeReady() {
        _ = state.handle(.loaded, now: 0)
        onReady(
            ModelDescription(
                architecture: "llama", name: "Tiny", parameterCount: 1, vocabularySize: 1, embeddingWidth: 4,
                contextLength: 512, trainedContextLength: 1024, parallel: 1, threads: 2, weightBytes: 1,
                keyValueCacheBytes: 1, hasChatTemplate: hasChatTemplate, loadNanoseconds: 1))
    }

    private var generationCalls: [(call: CallID, request: GenerateRequest)] {
        sent.compactMap { if case .generate(let request) = $0.request { ($0.call, request) } else { nil } }
    }
    var generations: [GenerateRequest] { generationCalls.map(\.request) }
    var cancels: Int { sent.count { $0.request == .cancel } }

    /// Sends events of a generation as one message: of the newest if no number is given.
    func tell(_ events: EngineEvent..., of number: Int? = nil) {
        guard let call = number.map({ generationCalls[$0] }) ?? generationCalls.last else { return }
        onEvents(events.map { (call.call, $0) })
    }
}

/// Real sessions in front of a real `Serving` and a scripted worker: no socket, no thread.
final class RPCBench {
    let loop: EventLoop
    let serving: Serving
    let service: RPCService
    let worker = ScriptedWorker()
    let sink = MemorySink()

    init(
        models: [String] = ["tiny"], keys: [String: String]? = nil, administrators: [String: String]? = nil,
        limits change: (inout RPCLimits) -> Void = { _ in }, isReady: Bool = true, hasChatTemplate: Bool = true,
        cacheRoot: String? = nil
    ) throws {
        loop = try EventLoop()
        let logger = Logger(component: "test", level: .trace, sink: sink)
        serving = Serving(loop: loop, logger: logger)
        var limits = RPCLimits()
        change(&limits)
        service = RPCService(
            settings: Self.settings(keys, administrators, limits, cacheRoot: cacheRoot), serving: serving, loop: loop,
            metrics: RPCMetrics(registry: MetricsRegistry()), logger: logger)
        worker.hasChatTemplate = hasChatTemplate
        try serving.apply(models.enumerated().map { model($1, worker: $0 == 0 ? worker : ScriptedWorker()) })
        if isReady { worker.becomeReady() }
    }

    static func settings(
        _ keys: [String: String]?, _ administrators: [String: String]? = nil, _ limits: RPCLimits = RPCLimits(),
        cacheRoot: String? = nil
    ) -> RPCService.Settings {
        let tenantOfKey: (@Sendable (String) -> String?)? =
            if let keys { { @Sendable key in keys[key] } } else { nil }
        let administratorOfKey: (@Sendable (String) -> String?)? =
            if let administrators { { @Sendable key in administrators[key] } } else { nil }
        return RPCService.Settings(
            tenantOfKey: tenantOfKey, administratorOfKey: administratorOfKey, limits: limits,
            cacheRoot: cacheRoot)
    }

    private func model(_ name: String, worker: ScriptedWorker) -> ServedModel {
        let settings = ServedModel.Settings(
            sources: ModelSources(.bundledDemo),
            load: LoadRequest(source: .bundledDemo, purpose: .generate, displayName: name))
        return ServedModel(name: name, settings: settings) { _ in worker }
    }

    func connect() -> TestClient {
        TestClient(RPCSession(service: service)) { self.settle() }
    }

    /// Lets everything happen that needs no answer of a generation.
    func settle() {
        for _ in 0..<8 {
            _ = loop.after(nanoseconds: 0) { [loop] in loop.stop() }
            loop.run()
            if !worker.answerQuestions() { return }
        }
    }
}

/// A client without a socket.
final class TestClient {
    let session: RPCSession
    private let onSent: () -> Void
    private var framer: LineFramer

    /// - Parameter onSent: what happens while the client waits for an answer.
    init(_ session: RPCSession, onSent: @escaping () -> Void) {
        self.session = session
        self.onSent = onSent
        framer = LineFramer(limit: session.service.limits.messageBytes)
    }

    func send(_ text: String) { send(Array((text + "\n").utf8)) }

    func send(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { framer.append($0) }
        while let line = framer.next() { session.receive(line) }
        onSent()
    }

    /// Lines that the server has written since the last time.
    func takeLines() -> [String] {
        let text = String(decoding: session.takeOutput(), as: UTF8.self)
        session.outputLeft()
        session.outputDrained()
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        lines.removeLast()
        return lines
    }

    /// Messages since the last time, as objects.
    func take() throws -> [[String: Any]] { try takeLines().map(Self.object) }

    static func object(_ line: String) throws -> [String: Any] {
        let value = try JSONSerialization.jsonObject(with: Data(line.utf8))
        return value as? [String: Any] ?? ["batch": value]
    }

    /// Calls a method that is answered at once, and returns its message.
    func call(_ method: String, _ params: String? = nil, id: String = "1") throws -> [String: Any] {
        let members = params.map { #","params":\#($0)"# } ?? ""
        send(#"{"jsonrpc":"2.0","id":\#(id),"method":"\#(method)"\#(members)}"#)
        return try take().first ?? [:]
    }

    func result(_ method: String, _ params: String? = nil) throws -> [String: Any] {
        let message = try call(method, params)
        return message["result"] as? [String: Any] ?? ["error": message["error"] ?? "nothing"]
    }

    /// The code and the data of the error that a call gets.
    func error(_ method: String, _ params: String? = nil) throws -> RPCFailure {
        RPCFailure(try call(method, params))
    }
}

/// What an error says.
struct RPCFailure {
    let code: Int?
    let message: String
    let data: [String: Any]

    init(_ answer: [String: Any]) {
        let error = answer["error"] as? [String: Any]
        code = error?["code"] as? Int
        message = error?["message"] as? String ?? ""
        data = error?["data"] as? [String: Any] ?? [:]
    }

    var field: String? { data["field"] as? String }
    var type: String? { data["type"] as? String }
}

let accepted = EngineEvent.accepted(promptTokens: 3, queuePosition: 0)
let started = EngineEvent.started(cachedTokens: 1)

func tokens(_ text: String, _ ids: [Int32] = [7], choice: UInt32 = 0) -> EngineEvent {
    .tokens(TokenChunk(choice: choice, ids: ids, text: text))
}

func finished(completion: UInt32 = 2) -> EngineEvent {
    .finished(
        usage: Usage(promptTokens: 3, completionTokens: completion, cachedTokens: 1),
        timings: Timings(preparation: 1_000_000, queue: 2_000_000, prefill: 30_000_000, decode: 50_000_000))
}
