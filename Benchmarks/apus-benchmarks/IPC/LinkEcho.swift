import EngineLink
import EngineProtocol
import Platform
import SharedMemory

/// Takes clients at a path, as the server does, and makes links of them.
final class Doorkeeper {
    private let loop: EventLoop
    private let listener: FileDescriptor
    private let onConnection: (consuming Connection) -> Void
    private var handshakes: [UInt64: ServerHandshake] = [:]
    private var lastID: UInt64 = 0

    init(loop: EventLoop, path: String, onConnection: @escaping (consuming Connection) -> Void) throws {
        self.loop = loop
        self.onConnection = onConnection
        Socket.removeStaleUnixSocket(path: path)
        listener = try Socket.listenUnix(path: path, backlog: 4096)
        _ = try loop.watch(listener.rawValue, .readable) { [unowned self] _ in accept() }
        Output.report(["listening": true])
    }

    private func accept() {
        while let socket = try? Socket.accept(listener.rawValue) { shakeHands(socket) }
    }

    private func shakeHands(_ socket: consuming FileDescriptor) {
        lastID += 1
        let id = lastID
        let options = ServerHandshake.Options(connectionID: id, generation: 1)
        handshakes[id] = try? ServerHandshake(
            loop: loop, socket: socket, options: options, authenticate: { _ in nil },
            completion: { [unowned self] result in
                handshakes[id] = nil
                if case .success(let connection) = consume result { onConnection(connection) }
            })
    }
}

/// Answers each request of any number of clients, over the links that the server uses.
final class LinkEcho {
    private let loop: EventLoop
    private var links: [ObjectIdentifier: LocalLink] = [:]
    private let scratch = LinkScratch()

    static func run(_ words: Words) throws {
        let loop = try EventLoop()
        let echo = LinkEcho(loop: loop)
        let doorkeeper = try Doorkeeper(loop: loop, path: try words.text("path")) { echo.begin($0) }
        withExtendedLifetime(doorkeeper) { loop.run() }
    }

    private init(loop: EventLoop) { self.loop = loop }

    private func begin(_ agreed: consuming Connection) {
        guard
            let link = try? LocalLink(
                loop: loop, connection: agreed, side: .server, limits: LinkLimits(), scratch: scratch,
                spin: SpinBudget(processors: CPULimits.current().usableCount, computeThreads: 0))
        else { return }
        let id = ObjectIdentifier(link)
        links[id] = link
        link.onMessage = { [unowned link] message in
            do { try link.send(try EchoMessages.reply(to: message)) } catch { fatalError("echo: \(error)") }
        }
        link.onClose = { [unowned self] _ in links[id] = nil }
    }
}

extension Meeting {
    /// A client's link, as `ApusClient` makes it.
    static func link(loop: EventLoop, path: String, carrier: Carrier, scratch: LinkScratch) throws -> LocalLink {
        let connection = try connect(path: path, carrier: carrier, ringBytes: SharedMemoryLimits.defaultCapacity)
        return try LocalLink(
            loop: loop, connection: connection, side: .client, limits: LinkLimits(), scratch: scratch,
            spin: SpinBudget(processors: CPULimits.current().usableCount, computeThreads: 0))
    }
}
