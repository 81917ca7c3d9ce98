import CConsole
import Configuration
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
        var sources: ModelSources
    }

    struct Options: Sendable {
        var settings: Settings
        var models: [Model]
        var keys: APIKeys
        var origins: OriginPolicy
        var logger: Logger
    }

    private let options: Options
    private let loop: EventLoop
    private let serving: Serving
    private let routes: OpenAIRoutes
    private let server: HTTPServer
    private let logger: Logger
    private var signals: FileDescriptor
    private var isStopping = false
    private var failure: String?

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
                tenantOfKey: Self.tenantLookup(options.keys), origins: options.origins, consolePage: Self.consolePage),
            serving: serving, loop: loop, registry: MetricsRegistry(), logger: logger.named("http"))
        self.routes = routes
        server = HTTPServer(
            loop: loop, limits: Self.httpLimits(options.settings), errorBody: { routes.refusalBody($0) },
            handler: { routes.handle($0, $1) })
    }

    /// Listens, starts the workers, and serves until SIGTERM or SIGINT.
    ///
    /// - Parameter onReady: called when the first model answers, with the port, which the system chose if it was 0.
    /// - Returns: why there was nothing to serve; nil after a regular end.
    func run(onReady: @escaping (UInt16) -> Void) throws(SystemError) -> String? {
        let port = try server.listen(host: options.settings.host, port: options.settings.port)
        if let path = options.settings.socket { try server.listen(unixPath: path) }
        _ = try loop.watch(signals.rawValue, .readable) { [unowned self] _ in
            while Signals.next(from: signals.rawValue) != nil { stop() }
        }
        serving.onModelReady = { [unowned self] _ in
            serving.onModelReady = { _ in }
            onReady(port)
        }
        serving.onNothingToServe = { [unowned self] reason in
            // A model that fails while it is being added is not the last one.
            _ = loop.after(nanoseconds: 0) { [unowned self] in
                guard serving.models.allSatisfy({ $0.state == .failed }) else { return }
                failure = reason
                finish()
            }
        }
        for model in options.models { add(model) }
        logger.info("server.listening", .string("host", options.settings.host), .int("port", port))
        loop.run()
        return failure
    }

    private func add(_ model: Model) {
        let load = LoadRequest(
            source: .bundledDemo, purpose: .generate, displayName: model.name,
            contextLength: options.settings.context.map { UInt32($0) },
            parallel: UInt32(options.settings.parallel ?? 0),
            threads: UInt32(options.settings.threads ?? 0),
            cacheType: LoadRequest.CacheType(named: options.settings.kvCache))
        let supervisor = WorkerSupervisor(
            loop: loop,
            settings: WorkerSupervisor.Settings(
                workerPath: ModelSession.workerPath, sources: model.sources, load: load,
                loadNanosecondsLimit: UInt64(options.settings.loadSeconds) * 1_000_000_000),
            logger: logger.named("supervision"))
        serving.add(name: model.name, supervisor: supervisor)
    }

    /// The first signal lets running calls finish; the second, or the time limit, ends them.
    private func stop() {
        guard !isStopping else { return endCalls() }
        isStopping = true
        logger.info("server.stopping", .int("calls", serving.callsInFlight))
        server.stopListening()
        serving.drain()
        _ = loop.after(nanoseconds: UInt64(options.settings.drainSeconds) * 1_000_000_000) { [weak self] in
            self?.endCalls()
        }
        server.drain { [weak self] in self?.finish() }
    }

    /// Every open call gets its error, and the sockets a moment to take it.
    private func endCalls() {
        serving.endCalls()
        _ = loop.after(nanoseconds: Self.farewellNanoseconds) { [weak self] in self?.finish() }
    }

    private static let farewellNanoseconds: UInt64 = 500_000_000

    private func finish() {
        serving.stop()
        loop.stop()
    }

    private static func httpLimits(_ settings: Settings) -> HTTPLimits {
        var limits = HTTPLimits()
        limits.connections = settings.maximumConnections
        limits.bodyBytes = settings.maximumBodyBytes
        limits.idleSeconds = Double(settings.idleSeconds)
        return limits
    }

    private static func tenantLookup(_ keys: APIKeys) -> (@Sendable (String) -> String?)? {
        guard keys.isRequired else { return nil }
        return { keys.tenant(of: $0.utf8) }
    }

    /// Embedded in the program, because there is no folder to look for it in.
    private static var consolePage: [UInt8] {
        Array(UnsafeBufferPointer(start: apus_console_page_start(), count: Int(apus_console_page_size)))
    }
}

private enum ServerSignal {
    static let interrupt: Int32 = 2
    static let terminate: Int32 = 15
}
