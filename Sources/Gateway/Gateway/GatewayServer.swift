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
        var source: ModelSource
    }

    struct Options: Sendable {
        var settings: Settings
        var models: [Model]
        var keys: APIKeys
        var origins: OriginPolicy
        var logger: Logger
    }

    struct Address: Equatable {
        var host: String
        var port: UInt16
    }

    typealias Reload = (_ running: Options) throws(CommandFailure) -> Options

    /// What holds now; `started` is what held at the start, and what needs a restart still comes from there.
    private var options: Options
    private let started: Settings
    private let reload: Reload
    private let manager: ServiceManager
    private let loop: EventLoop
    private let serving: Serving
    private let routes: OpenAIRoutes
    private let server: HTTPServer
    private let logger: Logger
    private var signals: FileDescriptor
    private let startedAtTerminal = StandardIO.isTerminal(StandardIO.input)
    private var isStopping = false
    private var refusal: String?
    private var failure: String?

    /// - Parameter reload: reads and checks the settings again; what it returns is applied as a whole.
    init(_ options: Options, manager: ServiceManager, reload: @escaping Reload) throws(SystemError) {
        self.options = options
        started = options.settings
        self.reload = reload
        self.manager = manager
        logger = options.logger
        Signals.ignoreBrokenPipe()
        Signals.block(ServerSignal.all)
        signals = try Signals.descriptor(for: ServerSignal.all)
        loop = try EventLoop()
        serving = Serving(loop: loop, logger: logger.named("serving"))
        let routes = OpenAIRoutes(
            settings: Self.routeSettings(options), serving: serving, loop: loop, registry: MetricsRegistry(),
            logger: logger.named("http"))
        self.routes = routes
        server = HTTPServer(
            loop: loop, limits: Self.httpLimits(options.settings), errorBody: { routes.refusalBody($0) },
            handler: { routes.handle($0, $1) })
    }

    /// Listens, starts the workers, and serves until SIGTERM or SIGINT.
    ///
    /// - Parameter onReady: called when the first model answers, with the first TCP door if there is one, whose port the
    ///   system chose if it was 0.
    /// - Returns: why there was nothing to serve; nil after a regular end.
    func run(onReady: @escaping (Address) -> Void) throws(SystemError) -> String? {
        let door = try openDoors()
        _ = try loop.watch(signals.rawValue, .readable) { [unowned self] _ in
            while let signal = Signals.next(from: signals.rawValue) { handle(signal) }
        }
        serving.onModelReady = { [unowned self] _ in
            serving.onModelReady = { [unowned self] _ in manager.update() }
            if let door { onReady(door) }
            manager.update()
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
        manager.begin(on: loop) { [unowned self] in report }
        loop.run()
        return failure
    }

    /// The sockets that the service manager opened, or else the configured address; and the Unix socket.
    private func openDoors() throws(SystemError) -> Address? {
        var doors: [Address] = []
        for socket in manager.sockets {
            try server.listen(on: FileDescriptor(owning: socket.descriptor), isUnix: socket.address == nil)
            if let address = socket.address { doors.append(address) }
            logger.info("server.inherited_socket", .string("name", socket.name), .int("descriptor", socket.descriptor))
        }
        if manager.sockets.isEmpty {
            doors.append(Address(host: started.host, port: try server.listen(host: started.host, port: started.port)))
        }
        if let path = started.socket { try server.listen(unixPath: path) }
        for door in doors { logger.info("server.listening", .string("host", door.host), .int("port", door.port)) }
        return doors.first
    }

    private func handle(_ signal: Int32) {
        switch signal {
        case ServerSignal.hangup where !hasLostItsTerminal: readSettingsAgain()
        default: stop()
        }
    }

    /// A server that somebody started by hand ends with its terminal; elsewhere a hangup asks for other settings.
    private var hasLostItsTerminal: Bool { startedAtTerminal && !StandardIO.isTerminal(StandardIO.input) }

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
                workerPath: ModelSession.workerPath, source: model.source, load: load,
                loadNanosecondsLimit: UInt64(options.settings.loadSeconds) * 1_000_000_000),
            logger: logger.named("supervision"))
        serving.add(name: model.name, supervisor: supervisor)
    }

    /// The first signal lets running calls finish; the second, or the time limit, ends them.
    ///
    /// Until then the doors stay open: whoever asks learns with a 503 that this server is stopping.
    private func stop() {
        guard !isStopping else { return endCalls() }
        isStopping = true
        logger.info("server.stopping", .int("calls", serving.callsInFlight))
        serving.drain()
        server.announceEnd()
        manager.stopBegins(withinSeconds: options.settings.drainSeconds)
        _ = loop.after(nanoseconds: UInt64(options.settings.drainSeconds) * 1_000_000_000) { [weak self] in
            self?.endCalls()
        }
        routes.drain { [weak self] in
            guard let self else { return }
            server.stopListening()
            server.drain { [weak self] in self?.finish() }
        }
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

    private static func routeSettings(_ options: Options) -> OpenAIRoutes.Settings {
        OpenAIRoutes.Settings(
            tenantOfKey: tenantLookup(options.keys), origins: options.origins, consolePage: consolePage)
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

// MARK: - While it runs

extension GatewayServer {
    /// Takes what can change all together, names what cannot, or leaves everything as it was and says why.
    private func readSettingsAgain() {
        guard !isStopping else { return }
        manager.reloadBegins()
        do throws(CommandFailure) {
            apply(try reload(options))
            refusal = nil
        } catch {
            refusal = error.text
            logger.error("config.refused", .string("reason", error.text))
        }
        manager.reloadEnds()
    }

    private func apply(_ new: Options) {
        let changed = options.settings.changes(to: new.settings).reloadable
        let needingRestart = started.changes(to: new.settings).needingRestart
        options = new
        routes.apply(Self.routeSettings(new))
        server.apply(Self.httpLimits(new.settings))
        logger.setLevel(min(logger.level, new.settings.logLevel))
        logger.info("config.reloaded", .string("changed", changed.joined(separator: ", ")))
        logger.setLevel(new.settings.logLevel)
        if !needingRestart.isEmpty {
            logger.warning("config.needs_restart", .string("settings", needingRestart.joined(separator: ", ")))
        }
    }

    /// For the service manager.
    private var report: ServiceManager.Report {
        let models = serving.models
        let isLoading = models.contains { $0.state == .starting || $0.state == .backingOff }
        var words = models.map { "\($0.name) \($0.state.rawValue)" }
        if isStopping { words.insert("stopping, \(serving.callsInFlight) calls", at: 0) }
        if let refusal { words.append("new configuration refused: \(refusal.prefix(500))") }
        return ServiceManager.Report(
            isStarted: !isLoading && models.contains { $0.state != .failed }, status: words.joined(separator: "; "))
    }
}

private enum ServerSignal {
    static let hangup: Int32 = 1
    static let interrupt: Int32 = 2
    static let terminate: Int32 = 15
    static let all = [hangup, interrupt, terminate]
}
