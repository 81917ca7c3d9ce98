import CConsole
import Configuration
import EngineProtocol
import HTTPServer
import LocalServer
import Observability
import OpenAIAPI
import Platform
import Policies
import RPCServer
import Serving
import Supervision

/// The running server: the one place where its parts are put together.
///
/// Everything happens on the calling thread, which turns the loop until a signal ends it.
final class GatewayServer {
    struct Model: Sendable {
        var name: String
        var sources: ModelSources
        var options = ModelOptions()
    }

    struct Options: Sendable {
        var settings: Settings
        var models: [Model]
        var keys: APIKeys
        var administrators: APIKeys
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
    private let factory: ModelFactory
    private let routes: OpenAIRoutes
    private let server: HTTPServer
    private let rpc: RPCDoor
    /// Where there is a path for it.
    private let local: LocalServer?
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
        try DescriptorLimit.raise(to: Self.descriptors(for: options.settings))
        Signals.block(ServerSignal.all)
        signals = try Signals.descriptor(for: ServerSignal.all)
        loop = try EventLoop()
        let factory = ModelFactory(loop: loop, logger: logger)
        self.factory = factory
        serving = Serving(
            loop: loop, memoryBudget: ModelFactory.memoryBudget(options.settings), logger: logger.named("serving"))
        let registry = MetricsRegistry()
        local = options.settings.ipc.map { [serving, loop] path in
            LocalServer(
                path: path, settings: Self.localSettings(options), serving: serving, loop: loop, registry: registry,
                logger: options.logger.named("local"),
                computeThreads: options.settings.threads ?? CPULimits.current().usableCount)
        }
        let routes = OpenAIRoutes(
            settings: Self.routeSettings(options), serving: serving, loop: loop, registry: registry,
            logger: logger.named("http"))
        self.routes = routes
        server = HTTPServer(
            loop: loop, limits: Self.httpLimits(options.settings), errorBody: { routes.refusalBody($0) },
            handler: { routes.handle($0, $1) })
        rpc = RPCDoor(
            service: RPCService(
                settings: Self.rpcSettings(options), serving: serving, loop: loop,
                metrics: RPCMetrics(registry: registry), logger: logger.named("rpc")))
        rpc.service.modelAtPath = { [unowned self] path throws(EngineError) in
            try factory.model(name: ModelName.ofFile(path), path: path, self.options.settings)
        }
        rpc.service.adapterAtPath = { [unowned self] path throws(EngineError) in
            let roots = AllowedRoots(folders: self.options.settings.modelRoots)
            return AttachedFile(try ModelSource.open(part: path, within: roots))
        }
        rpc.service.nameOfModelAtPath = { [unowned self] path in
            self.options.models.first { $0.sources.model == .file(path: path) }?.name
        }
        routes.modelAtPath = { [unowned self] name, path throws(EngineError) in
            try factory.model(name: name, path: path, self.options.settings)
        }
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
        let announce = { [unowned self] in
            serving.onModelReady = { [unowned self] _ in manager.update() }
            if let door { onReady(door) }
            manager.update()
        }
        serving.onModelReady = { _ in announce() }
        serving.onNothingToServe = { [unowned self] reason in
            // A model that fails while it is being added is not the last one.
            _ = loop.after(nanoseconds: 0) { [unowned self] in
                guard serving.models.allSatisfy({ $0.state == .failed }) else { return }
                failure = reason
                finish()
            }
        }
        do throws(EngineError) {
            try serving.apply(servedModels(options))
        } catch {
            return error.text
        }
        // Nothing is loaded before the first request: that is all the readiness there can be.
        if serving.models.allSatisfy({ $0.state == .unloaded }) { announce() }
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
        try openRPCDoors()
        try local?.listen()
        for door in doors { logger.info("server.listening", .string("host", door.host), .int("port", door.port)) }
        return doors.first
    }

    private func openRPCDoors() throws(SystemError) {
        if let path = started.rpcSocket {
            try rpc.listen(unixPath: path, group: started.rpcGroup)
            logger.info("rpc.listening", .string("path", path))
        }
        if let port = started.rpcPort {
            let bound = try rpc.listen(host: started.rpcHost, port: UInt16(port))
            logger.info("rpc.listening", .string("host", started.rpcHost), .int("port", bound))
        }
    }

    private func handle(_ signal: Int32) {
        switch signal {
        case ServerSignal.hangup where !hasLostItsTerminal: readSettingsAgain()
        default: stop()
        }
    }

    /// A server that somebody started by hand ends with its terminal; elsewhere a hangup asks for other settings.
    private var hasLostItsTerminal: Bool { startedAtTerminal && !StandardIO.isTerminal(StandardIO.input) }

    private func servedModels(_ options: Options) -> [ServedModel] {
        options.models.map { factory.model($0, options.settings) }
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
        let drains = [routes.drain, rpc.service.drain] + (local.map { [$0.drain] } ?? [])
        var answering = drains.count
        for drain in drains {
            drain { [weak self] in
                answering -= 1
                if answering == 0 { self?.closeDoors() }
            }
        }
    }

    private func closeDoors() {
        local?.stopListening()
        local?.closeAll()
        server.stopListening()
        server.drain { [weak self] in
            self?.rpc.close { [weak self] in self?.finish() }
        }
    }

    /// Every open call gets its error, and the sockets a moment to take it.
    private func endCalls() {
        serving.endCalls()
        _ = loop.after(nanoseconds: Self.farewellNanoseconds) { [weak self] in self?.finish() }
    }

    private static let farewellNanoseconds: UInt64 = 500_000_000

    private func finish() {
        local?.stopListening()
        rpc.stopListening()
        serving.stop()
        loop.stop()
    }

    /// One for each connection, and those of workers, files and the loop.
    private static func descriptors(for settings: Settings) -> UInt64 {
        UInt64(settings.maximumConnections + settings.rpcMaximumConnections + LocalServerLimits().connections) + 1024
    }

    private static func routeSettings(_ options: Options) -> OpenAIRoutes.Settings {
        OpenAIRoutes.Settings(
            tenantOfKey: tenantLookup(options.keys), administratorOfKey: tenantLookup(options.administrators),
            origins: options.origins, consolePage: consolePage)
    }

    private static func rpcSettings(_ options: Options) -> RPCService.Settings {
        var limits = RPCLimits()
        limits.connections = options.settings.rpcMaximumConnections
        limits.messageBytes = options.settings.rpcMaximumMessageBytes
        limits.runs = options.settings.rpcMaximumRuns
        limits.requestsPerSecond = options.settings.rpcRequestsPerSecond
        return RPCService.Settings(
            tenantOfKey: tenantLookup(options.keys), administratorOfKey: tenantLookup(options.administrators),
            limits: limits, cacheRoot: options.settings.rpcCacheRoot)
    }

    private static func localSettings(_ options: Options) -> LocalServer.Settings {
        LocalServer.Settings(tenantOfKey: tenantLookup(options.keys))
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
        refusal = nil
        do throws(CommandFailure) {
            let new = try reload(options)
            do throws(EngineError) { try apply(new) } catch { throw .failed(error.text) }
        } catch {
            refusal = error.text
            logger.error("config.refused", .string("reason", error.text))
        }
        manager.reloadEnds()
    }

    /// The models come first: they may be refused, and then nothing has changed.
    private func apply(_ new: Options) throws(EngineError) {
        try serving.apply(servedModels(new))
        let changed = options.settings.changes(to: new.settings).reloadable
        let needingRestart = started.changes(to: new.settings).needingRestart
        options = new
        routes.apply(Self.routeSettings(new))
        local?.apply(Self.localSettings(new))
        server.apply(Self.httpLimits(new.settings))
        rpc.service.apply(Self.rpcSettings(new))
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
