public import Platform

/// Answers a request, at once or later, through the writer; called on the loop.
public typealias HTTPHandler = (HTTPRequest, HTTPResponseWriter) -> Void

/// An HTTP/1.1 server on an event loop.
///
/// It listens on any number of TCP ports and Unix sockets, refuses by itself what is malformed, too large or too slow,
/// and hands complete requests to one handler, one at a time per connection, in their order.
///
/// Threading: everything happens on the loop's thread, or before the loop runs.
public final class HTTPServer {
    let loop: EventLoop
    private(set) var limits: HTTPLimits
    let handler: HTTPHandler
    private let errorBody: (HTTPRefusal) -> [UInt8]
    /// Called for each request that the server refuses by itself: for logs and metrics.
    public var onRefusal: ((HTTPRefusal) -> Void)?

    private var acceptors: [SocketAcceptor] = []
    private var connections: [ObjectIdentifier: HTTPConnection] = [:]
    private var surplusCount = 0
    /// Whether every answer is its connection's last.
    private(set) var answersAreLast = false
    private var onDrained: (() -> Void)?
    /// Bytes of bodies that are not complete yet, of all connections.
    private var unfinishedBodiesBytes = 0

    /// One buffer serves all connections, because each of them uses up what it has read before the next one reads.
    let readBuffer: UnsafeMutableRawBufferPointer
    /// Where heads and frames are put together before they are written.
    var scratch: [UInt8] = []
    private var date = HTTPDate()

    /// - `errorBody`: makes the body of a refusal, which is JSON.
    public init(
        loop: EventLoop, limits: HTTPLimits = HTTPLimits(), errorBody: @escaping (HTTPRefusal) -> [UInt8],
        handler: @escaping HTTPHandler
    ) {
        self.loop = loop
        self.limits = limits
        self.errorBody = errorBody
        self.handler = handler
        readBuffer = .allocate(byteCount: max(1, limits.readBytes), alignment: 16)
    }

    deinit { readBuffer.deallocate() }

    /// Takes other limits: times for the next wait of every connection, sizes for the connections that come from now on.
    public func apply(_ limits: HTTPLimits) { self.limits = limits }

    /// Connections that are open now, also those that are about to close.
    public var connectionCount: Int { connections.count }
}

// MARK: - Listening

extension HTTPServer {
    /// Listens on an address and returns the port, which is a free one if `port` is 0.
    public func listen(host: String, port: UInt16) throws(SystemError) -> UInt16 {
        let socket = try Socket.listenTCP(host: host, port: port)
        let bound = socket.port
        try listen(socket.descriptor, isUnix: false)
        return bound
    }

    /// Listens at a path; a socket that a dead process has left there is replaced.
    public func listen(unixPath: String, mode: UInt32 = 0o600) throws(SystemError) {
        Socket.removeStaleUnixSocket(path: unixPath)
        let socket = try Socket.listenUnix(path: unixPath, mode: mode)
        try listen(socket, isUnix: true, unixPath: unixPath)
    }

    /// Takes connections from a socket that listens already.
    public func listen(on socket: consuming FileDescriptor, isUnix: Bool) throws(SystemError) {
        try listen(socket, isUnix: isUnix)
    }

    private func listen(
        _ socket: consuming FileDescriptor, isUnix: Bool, unixPath: String? = nil
    ) throws(SystemError) {
        acceptors.append(
            try SocketAcceptor(
                loop: loop, socket: socket, unixPath: unixPath, connectionsPerTurn: limits.acceptsPerTurn
            ) { [weak self] socket in
                guard let self else { return }
                adopt(socket, isUnix ? .unix : nil)
            })
    }

    /// Takes no more connections; those that are open go on.
    public func stopListening() {
        for acceptor in acceptors { acceptor.close() }
        acceptors = []
    }

    /// Serves a connected stream socket as if it had been accepted.
    public func serve(_ socket: consuming FileDescriptor) { adopt(socket, nil) }

    private func adopt(_ socket: consuming FileDescriptor, _ peer: HTTPPeer?) {
        let isSurplus = connections.count - surplusCount >= limits.connections
        if isSurplus && surplusCount >= limits.surplusConnections { return }
        let address = peer == nil ? Socket.peerAddress(socket.rawValue) : nil
        let peer = address.map { HTTPPeer.tcp(address: $0.text, isLoopback: $0.isLoopback) } ?? .unix
        let connection = HTTPConnection(server: self, descriptor: socket, peer: peer, isSurplus: isSurplus)
        guard connection.start() else { return }
        connections[ObjectIdentifier(connection)] = connection
        if isSurplus {
            surplusCount += 1
            connection.refuse(.tooManyConnections(limit: limits.connections))
        }
    }
}

// MARK: - Ending

extension HTTPServer {
    /// From now on every answer closes its connection, so that clients look for another server; everything else goes on.
    public func announceEnd() { answersAreLast = true }

    /// Closes idle connections now and the others after their response; `done` is called when none is left.
    ///
    /// Call `stopListening` first.
    public func drain(_ done: @escaping () -> Void) {
        answersAreLast = true
        onDrained = done
        for connection in Array(connections.values) { connection.closeIfIdle() }
        reportIfDrained()
    }

    /// Closes every connection now, whatever it is doing.
    public func closeAll() {
        for connection in Array(connections.values) { connection.close() }
    }

    func remove(_ connection: HTTPConnection) {
        guard connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
        if connection.isSurplus { surplusCount -= 1 }
        reportIfDrained()
    }

    private func reportIfDrained() {
        guard connections.isEmpty, let done = onDrained else { return }
        onDrained = nil
        done()
    }
}

// MARK: - For the connections

extension HTTPServer {
    func body(of refusal: HTTPRefusal) -> [UInt8] {
        onRefusal?(refusal)
        return errorBody(refusal)
    }

    func currentDate() -> [UInt8] {
        date.update(unixSeconds: WallClock.now() / 1_000_000_000)
        return date.text
    }

    /// Counts bytes of unfinished bodies; false when there are too many.
    func holdBodyBytes(_ change: Int) -> Bool {
        unfinishedBodiesBytes += change
        return change <= 0 || unfinishedBodiesBytes <= limits.unfinishedBodiesBytes
    }
}
