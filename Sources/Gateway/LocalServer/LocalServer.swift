import EngineLink
import EngineProtocol
public import Observability
public import Platform
public import Serving
import SharedMemory

/// The door for clients on this machine: a Unix socket at which they agree on rings of shared memory, or stay.
///
/// Everything happens on the loop.
public final class LocalServer {
    public struct Settings: Sendable {
        /// The tenant that a key stands for; nil when no key is needed.
        public var tenantOfKey: (@Sendable (String) -> String?)?

        public init(tenantOfKey: (@Sendable (String) -> String?)?) { self.tenantOfKey = tenantOfKey }
    }

    private struct Listener {
        let descriptor: Int32
        let watch: EventLoop.WatchID
    }

    private let path: String
    private let loop: EventLoop
    private var settings: Settings
    private let limits: LocalServerLimits
    private let metrics: LocalMetrics
    private let logger: Logger
    private let scratch = LinkScratch()
    private let spin: SpinBudget
    private let generation = SystemRandom.next()
    private var context: LocalConnection.Context?
    private var listener: Listener?
    private var handshakes: [UInt64: ServerHandshake] = [:]
    private var connections: [UInt64: LocalConnection] = [:]
    private var lastID: UInt64 = 0
    private var callsInProgress = 0
    private var isStopping = false
    private var onLastAnswer: (() -> Void)?

    /// - Parameter computeThreads: of all workers; where they fill the processors, nobody spins.
    public init(
        path: String, settings: Settings, serving: Serving, loop: EventLoop, registry: MetricsRegistry, logger: Logger,
        limits: LocalServerLimits = LocalServerLimits(), computeThreads: Int
    ) {
        self.path = path
        self.settings = settings
        self.loop = loop
        self.limits = limits
        self.logger = logger
        metrics = LocalMetrics(registry: registry)
        spin = SpinBudget(processors: CPULimits.current().usableCount, computeThreads: computeThreads)
        context = LocalConnection.Context(
            loop: loop, serving: serving, limits: limits, metrics: metrics, logger: logger,
            onCalls: { [unowned self] in countCalls($0) })
    }

    public func apply(_ settings: Settings) { self.settings = settings }

    /// Listens at the path, whose folder has to belong to this user alone; it is made if it is not there.
    public func listen() throws(SystemError) {
        try PrivateFolder.prepare(forFileAt: path)
        Socket.removeStaleUnixSocket(path: path)
        let socket = try Socket.listenUnix(path: path, mode: 0o600)
        let descriptor = socket.rawValue
        let watch = try loop.watch(descriptor, .readable) { [unowned self] _ in accept() }
        listener = Listener(descriptor: socket.release(), watch: watch)
        logger.info("local.listening", .string("path", path))
        count()
    }

    /// Counters in shared memory are read once a second.
    private func count() {
        for connection in connections.values { connection.count() }
        _ = loop.after(nanoseconds: 1_000_000_000) { [weak self] in self?.count() }
    }

    /// Takes no more clients; those that are connected go on.
    public func stopListening() {
        guard let listener else { return }
        loop.unwatch(listener.watch)
        _ = FileDescriptor(owning: listener.descriptor)
        Socket.removeUnixSocket(path: path)
        self.listener = nil
    }

    /// Calls `done` once no call is being answered.
    public func drain(_ done: @escaping () -> Void) {
        isStopping = true
        onLastAnswer = done
        countCalls(0)
    }

    /// Ends all connections.
    public func closeAll() {
        for handshake in handshakes.values { handshake.cancel() }
        handshakes = [:]
        for connection in Array(connections.values) { connection.close() }
    }

    private func countCalls(_ change: Int) {
        callsInProgress += change
        guard callsInProgress == 0, let done = onLastAnswer else { return }
        onLastAnswer = nil
        // The last answer is still to be written in this turn.
        loop.atEndOfTurn(done)
    }
}

// MARK: - Clients come and go

extension LocalServer {
    private func accept() {
        guard let listener else { return }
        for _ in 0..<limits.acceptsPerTurn {
            do throws(SystemError) {
                guard let socket = try Socket.accept(listener.descriptor) else { return }
                shakeHands(socket)
            } catch {
                return pause(listener)
            }
        }
    }

    /// Without free descriptors the waiting client stays readable: a pause keeps the loop from spinning.
    private func pause(_ listener: Listener) {
        logger.warning("local.no_descriptors")
        loop.change(listener.watch, [])
        _ = loop.after(nanoseconds: 100_000_000) { [weak self] in self?.loop.change(listener.watch, .readable) }
    }

    private func shakeHands(_ socket: consuming FileDescriptor) {
        lastID += 1
        let id = lastID
        guard !isStopping else { return refuse(socket, Refusal(.shuttingDown)) }
        guard connections.count + handshakes.count < limits.connections, handshakes.count < limits.handshakes else {
            return refuse(socket, Refusal(.tooManyConnections, text: "at most \(limits.connections)"))
        }
        var tenant = ""
        do throws(SystemError) {
            handshakes[id] = try ServerHandshake(
                loop: loop, socket: socket, options: handshakeOptions(id),
                authenticate: { [unowned self] applicant in
                    do throws(Refusal) { tenant = try self.tenant(of: applicant) } catch { return error }
                    return nil
                },
                completion: { [unowned self] result in
                    handshakes[id] = nil
                    switch consume result {
                    case .success(let connection): begin(id, connection, tenant: tenant)
                    case .failure(let error): refused(error)
                    }
                })
        } catch {
            logger.warning("local.no_handshake", .string("reason", error.description))
        }
    }

    private func handshakeOptions(_ id: UInt64) -> ServerHandshake.Options {
        var options = ServerHandshake.Options(connectionID: id, generation: generation)
        options.calls = limits.callsPerConnection
        options.sendCapacity = limits.ringBytes
        options.versions = LocalProtocol.versions
        return options
    }

    /// Whom the client's token stands for.
    private func tenant(of applicant: Applicant) throws(Refusal) -> String {
        guard let tenantOfKey = settings.tenantOfKey else { return "" }
        guard !applicant.token.isEmpty else { throw Refusal(.tokenMissing) }
        guard let key = String(validating: applicant.token, as: UTF8.self), let tenant = tenantOfKey(key) else {
            throw Refusal(.tokenWrong)
        }
        return tenant
    }

    private func refuse(_ socket: consuming FileDescriptor, _ refusal: Refusal) {
        ServerHandshake.refuse(socket, refusal)
        refused(.refusedPeer(refusal))
    }

    private func refused(_ error: HandshakeError) {
        metrics.countRefusal(error)
        logger.info("local.refused", .string("reason", error.description))
    }

    private func begin(_ id: UInt64, _ agreed: consuming Connection, tenant: String) {
        guard let context else { return }
        metrics.countConnection(usesSharedMemory: agreed.agreement.usesSharedMemory)
        do throws(SystemError) {
            let link = try LocalLink(
                loop: loop, connection: agreed, side: .server, limits: limits.link, scratch: scratch, spin: spin)
            let connection = LocalConnection(id: id, link: link, tenant: tenant, context: context)
            connection.onEnd = { [unowned self] in
                connections[id] = nil
                metrics.setConnections(connections.count)
            }
            connections[id] = connection
            metrics.setConnections(connections.count)
        } catch {
            logger.warning("local.no_link", .string("reason", error.description))
        }
    }
}
