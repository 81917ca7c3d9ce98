import EngineProtocol
import Foundation
import HTTPServer
import Observability
import Platform
import Serving
import Supervision

@testable import OpenAIAPI

/// A worker whose answers the test writes.
final class ScriptedWorker: SupervisedWorker {
    private(set) var state = SupervisorState()
    let generation: UInt16 = 1
    let workerProcessID: Int32? = getpid()
    let stillNanoseconds: UInt64 = 0
    private(set) var sent: [(call: CallID, request: EngineRequest)] = []
    var onReady: (ModelDescription) -> Void = { _ in }
    var onEvents: ([(CallID, EngineEvent)]) -> Void = { _ in }
    var onLost: (WorkerEnd) -> Void = { _ in }
    var onFailed: (String) -> Void = { _ in }
    var onStopped: () -> Void = {}

    func start() {}
    func stop() { _ = state.handle(.stop, now: 0) }
    func noteServedRequest() {}
    func send(_ request: EngineRequest, call: CallID, descriptors: [Int32]) { sent.append((call, request)) }

    func becomeReady() {
        _ = state.handle(.loaded, now: 0)
        onReady(
            ModelDescription(
                architecture: "llama", name: "Tiny", parameterCount: 1, vocabularySize: 1, contextLength: 512,
                trainedContextLength: 1024, parallel: 1, threads: 1, weightBytes: 1, keyValueCacheBytes: 1,
                hasChatTemplate: true, loadNanoseconds: 1))
    }

    var generations: [GenerateRequest] {
        sent.compactMap { if case .generate(let request) = $0.request { request } else { nil } }
    }
    var cancels: Int { sent.filter { $0.request == .cancel }.count }

    /// Sends events of the newest generation as one message.
    func tell(_ events: EngineEvent...) {
        guard let call = sent.last(where: { $0.request != .cancel })?.call else { return }
        onEvents(events.map { (call, $0) })
    }
}

/// Real routes behind a real HTTP server, and in front of a scripted worker: all on this thread.
final class RoutesBench {
    let loop: EventLoop
    let serving: Serving
    let worker = ScriptedWorker()
    let sink = MemorySink()
    private let server: HTTPServer
    let port: UInt16

    init(
        keys: [String: String]? = nil, administrators: [String: String]? = nil, corsOrigins: [String] = [],
        isReady: Bool = true
    ) throws {
        loop = try EventLoop()
        let logger = Logger(component: "test", level: .trace, sink: sink)
        serving = Serving(loop: loop, logger: logger)
        let tenantOfKey: (@Sendable (String) -> String?)? =
            if let keys { { @Sendable key in keys[key] } } else { nil }
        let administratorOfKey: (@Sendable (String) -> String?)? =
            if let administrators { { @Sendable key in administrators[key] } } else { nil }
        let routes = OpenAIRoutes(
            settings: OpenAIRoutes.Settings(
                tenantOfKey: tenantOfKey, administratorOfKey: administratorOfKey,
                origins: OriginPolicy(allowedHosts: [], allowedOrigins: corsOrigins, isLoopback: true),
                consolePage: Array("<html></html>".utf8)),
            serving: serving, loop: loop, registry: MetricsRegistry(), logger: logger)
        server = HTTPServer(
            loop: loop, errorBody: { routes.refusalBody($0) }, handler: { routes.handle($0, $1) })
        port = try server.listen(host: "127.0.0.1", port: 0)
        let settings = ServedModel.Settings(
            sources: ModelSources(.bundledDemo),
            load: LoadRequest(source: .bundledDemo, purpose: .generate, displayName: "tiny"))
        try serving.apply([ServedModel(name: "tiny", settings: settings) { [worker] _ in worker }])
        if isReady { worker.becomeReady() }
    }

    deinit { server.closeAll() }

    func connect() throws -> Client {
        Client(bench: self, socket: try Socket.connectTCP(host: "127.0.0.1", port: port))
    }

    /// Turns the loop until the condition holds; false if it never does.
    func turn(until condition: @escaping () -> Bool) -> Bool {
        var turns = 0
        while !condition(), turns < 1000 {
            turns += 1
            _ = loop.after(nanoseconds: 1_000_000) { [loop] in loop.stop() }
            loop.run()
        }
        return condition()
    }
}

/// A client's end of one connection.
final class Client {
    private let bench: RoutesBench
    private var socket: FileDescriptor?
    private(set) var received = ""

    init(bench: RoutesBench, socket: consuming FileDescriptor) {
        self.bench = bench
        self.socket = consume socket
    }

    func send(_ method: String, _ path: String, headers: [String: String] = [:], body: String? = nil) throws {
        var text = "\(method) \(path) HTTP/1.1\r\n"
        for (name, value) in ["host": "localhost"].merging(headers, uniquingKeysWith: { $1 }) {
            text += "\(name): \(value)\r\n"
        }
        if let body {
            if headers["content-type"] == nil { text += "content-type: application/json\r\n" }
            text += "content-length: \(body.utf8.count)\r\n\r\n\(body)"
        } else {
            text += "\r\n"
        }
        let bytes = Array(text.utf8)
        var isSent = false
        _ = bench.turn { [self] in
            if !isSent { isSent = (try? write(bytes)) == .bytes(bytes.count) }
            return isSent
        }
    }

    private func write(_ bytes: [UInt8]) throws -> Socket.IO? {
        guard let descriptor = socket?.rawValue else { return nil }
        return try bytes.withUnsafeBytes { try Socket.write(descriptor, $0) }
    }

    /// Waits until what has come contains `text`.
    func waits(for text: String) -> Bool {
        bench.turn { [self] in
            read()
            return received.contains(text)
        }
    }

    private func read() {
        guard let descriptor = socket?.rawValue else { return }
        var buffer = [UInt8](repeating: 0, count: 65536)
        while case .bytes(let count)? = buffer.withUnsafeMutableBytes({ try? Socket.read(descriptor, into: $0) }),
            count > 0
        {
            received += String(decoding: buffer[..<count], as: UTF8.self)
        }
    }

    func leave() { socket = nil }

    var status: Int? { received.split(separator: " ").dropFirst().first.flatMap { Int($0) } }
    var body: String { received.range(of: "\r\n\r\n").map { String(received[$0.upperBound...]) } ?? "" }
}
