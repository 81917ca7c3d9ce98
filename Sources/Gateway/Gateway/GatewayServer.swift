import CConsole
import EngineProtocol
import HTTPServer
import Observability
import OpenAIAPI
import Platform
import Policies
import Serving
import Supervision

/// The running server: the one place where its parts are put together.
///
/// Everything happens on the calling thread, which turns the loop until a signal ends it.
final class GatewayServer {
    struct Model: Sendable {
        var name: String
        var source: ModelSource
    }

    struct Options: Sendable {
        var host: String
        var port: UInt16
        var unixSocket: String?
        var models: [Model]
        var contextLength: UInt32?
        var parallel: UInt32
        var threads: UInt32
        var keys: APIKeys
        var origins: OriginPolicy
        var drainSeconds: Int
        var logger: Logger
    }

    enum StartFailure: Error {
        case cannotListen(String)
    }

    private let options: Options
    private let loop: EventLoop
    private let serving: Serving
    private let routes: OpenAIRoutes
    private let server: HTTPServer
    private let logger: Logger
    private var signals: FileDescriptor
    private var isStopping = false

    init(_ options: Options) throws(SystemError) {
        self.options = options
        logger = options.logger
        Signals.ignoreBrokenPipe()
        Signals.block([ServerSignal.interrupt, ServerSignal.terminate])
        signals = try Signals.descriptor(for: [ServerSignal.interrupt, ServerSignal.terminate])
        loop = try EventLoop()
        serving = Serving(loop: loop, logger: logger.named("serving"))
        let routes = OpenAIRoutes(
            settings: OpenAIRoutes.Settings(
                keys: options.keys, origins: options.origins, consolePage: Self.consolePage),
            serving: serving, loop: loop, registry: MetricsRegistry(), logger: logger.named("http"))
        self.routes = routes
        server = HTTPServer(
            loop: loop, limits: HTTPLimits(), errorBody: { routes.refusalBody($0) },
            handler: { routes.handle($0, $1) })
    }

    /// Listens, starts the workers, and serves until SIGTERM or SIGINT.
    ///
    /// - Parameter onListening: gets the port, which the system chose if it was 0.
    func run(onListening: (UInt16) -> Void) throws(SystemError) {
        let port = try server.listen(host: options.host, port: options.port)
        if let path = options.unixSocket { try server.listen(unixPath: path) }
        _ = try loop.watch(signals.rawValue, .readable) { [unowned self] _ in
            while Signals.next(from: signals.rawValue) != nil { stop() }
        }
        for model in options.models { add(model) }
        logger.info("server.listening", .string("host", options.host), .int("port", port))
        onListening(port)
        loop.run()
    }

    private func add(_ model: Model) {
        let load = LoadRequest(
            source: .bundledDemo, purpose: .generate, displayName: model.name, contextLength: options.contextLength,
            parallel: options.parallel, threads: options.threads)
        let supervisor = WorkerSupervisor(
            loop: loop,
            settings: WorkerSupervisor.Settings(
                workerPath: ModelSession.workerPath, source: model.source, load: load),
            logger: logger.named("supervision"))
        serving.add(name: model.name, supervisor: supervisor)
    }

    /// The first signal lets running calls finish; the second, or the time limit, ends them.
    private func stop() {
        guard !isStopping else { return finish() }
        isStopping = true
        logger.info("server.stopping", .int("calls", serving.callsInFlight))
        server.stopListening()
        serving.drain()
        let deadline = MonotonicClock.now() + UInt64(options.drainSeconds) * 1_000_000_000
        waitUntilIdle(deadline: deadline)
    }

    private func waitUntilIdle(deadline: UInt64) {
        guard serving.callsInFlight > 0, MonotonicClock.now() < deadline else { return finish() }
        _ = loop.after(nanoseconds: 50_000_000) { [weak self] in self?.waitUntilIdle(deadline: deadline) }
    }

    private func finish() {
        serving.stop()
        loop.stop()
    }

    private static var consolePage: [UInt8] {
        withUnsafePointer(to: apus_console_page) { page in
            [UInt8](UnsafeRawBufferPointer(start: page, count: Int(apus_console_page_size)))
        }
    }
}

private enum ServerSignal {
    static let interrupt: Int32 = 2
    static let terminate: Int32 = 15
}
