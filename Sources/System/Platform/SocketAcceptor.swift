/// A listening socket on an event loop: hands over its connections, a few in each turn.
///
/// Everything happens on the loop.
public final class SocketAcceptor {
    private static let pauseNanoseconds: UInt64 = 100_000_000

    private let loop: EventLoop
    private var socket: FileDescriptor?
    private var watch: EventLoop.WatchID?
    private let unixPath: String?
    private let connectionsPerTurn: Int
    private let onConnection: (consuming FileDescriptor) -> Void

    /// Begins to accept.
    ///
    /// - Parameters:
    ///   - socket: listens already.
    ///   - unixPath: of a socket that is removed when no more is accepted.
    public init(
        loop: EventLoop, socket: consuming FileDescriptor, unixPath: String? = nil, connectionsPerTurn: Int,
        onConnection: @escaping (consuming FileDescriptor) -> Void
    ) throws(SystemError) {
        self.loop = loop
        self.unixPath = unixPath
        self.connectionsPerTurn = connectionsPerTurn
        self.onConnection = onConnection
        let number = socket.rawValue
        self.socket = consume socket
        watch = try loop.watch(number, .readable) { [weak self] _ in self?.accept() }
    }

    private func accept() {
        for _ in 0..<connectionsPerTurn {
            // Whoever gets a connection may end the accepting.
            guard let number = socket?.rawValue else { return }
            do throws(SystemError) {
                guard let connection = try Socket.accept(number) else { return }
                onConnection(connection)
            } catch {
                return pause()
            }
        }
    }

    /// Without free descriptors the waiting connection stays readable: a pause keeps the loop from spinning.
    private func pause() {
        guard let watch else { return }
        loop.change(watch, [])
        _ = loop.after(nanoseconds: Self.pauseNanoseconds) { [weak self] in
            // A watch that ended meanwhile is left alone.
            self?.loop.change(watch, .readable)
        }
    }

    /// Accepts no more; connections that were handed over go on.
    public func close() {
        if let watch { loop.unwatch(watch) }
        watch = nil
        guard socket.take() != nil else { return }
        if let unixPath { Socket.removeUnixSocket(path: unixPath) }
    }
}
