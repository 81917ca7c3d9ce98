import Observability
public import Platform

/// Listens for JSON-RPC clients: on a Unix socket, on a loopback port, or both.
///
/// Everything happens on the loop.
public final class RPCDoor {
    public let service: RPCService
    private var acceptors: [SocketAcceptor] = []
    private var connections: [ObjectIdentifier: RPCConnection] = [:]
    /// Members of this group may connect, besides the user that the server runs as and root.
    private var group: String?
    private var isReviewing = false
    private var onClosed: (() -> Void)?
    /// One buffer serves all connections, because each of them uses up what it has read before the next one reads.
    let readBuffer: UnsafeMutableRawBufferPointer

    public init(service: RPCService) {
        self.service = service
        readBuffer = .allocate(byteCount: service.limits.readBytes, alignment: 16)
    }

    deinit { readBuffer.deallocate() }

    public var connectionCount: Int { connections.count }
}

// MARK: - Listening

extension RPCDoor {
    /// Listens at a path with mode 0600, or 0660 for a group; a socket that a dead process has left there is replaced.
    public func listen(unixPath: String, group: String? = nil) throws(SystemError) {
        Socket.removeStaleUnixSocket(path: unixPath)
        let socket = try Socket.listenUnix(path: unixPath, mode: 0o600)
        if let group {
            do throws(SystemError) {
                try Socket.share(unixPath: unixPath, withGroup: group)
            } catch {
                Socket.removeUnixSocket(path: unixPath)
                throw error
            }
        }
        self.group = group
        try listen(socket, unixPath: unixPath)
    }

    /// Listens on a loopback address and returns the port, which is a free one if `port` is 0.
    public func listen(host: String, port: UInt16) throws(SystemError) -> UInt16 {
        let socket = try Socket.listenTCP(host: host, port: port)
        let bound = socket.port
        try listen(socket.descriptor, unixPath: nil)
        return bound
    }

    private func listen(_ socket: consuming FileDescriptor, unixPath: String?) throws(SystemError) {
        let isUnix = unixPath != nil
        acceptors.append(
            try SocketAcceptor(
                loop: service.loop, socket: socket, unixPath: unixPath,
                connectionsPerTurn: service.limits.acceptsPerTurn
            ) { [weak self] socket in
                guard let self else { return }
                adopt(socket, isUnix: isUnix)
            })
        review()
    }

    /// Takes no more connections; those that are open go on.
    public func stopListening() {
        for acceptor in acceptors { acceptor.close() }
        acceptors = []
    }

    private func adopt(_ socket: consuming FileDescriptor, isUnix: Bool) {
        guard isUnix ? isTrusted(socket.rawValue) : Self.isLoopback(socket.rawValue) else {
            service.logger.warning("rpc.stranger")
            return
        }
        serve(socket)
    }

    private func isTrusted(_ socket: Int32) -> Bool {
        guard let peer = try? PeerCredentials(of: socket) else { return false }
        return peer.isOwnUser || group.map(peer.isMember) == true
    }

    private static func isLoopback(_ socket: Int32) -> Bool { Socket.peerAddress(socket)?.isLoopback == true }

    /// Serves a connected stream socket as if it had been accepted.
    public func serve(_ socket: consuming FileDescriptor) {
        let limit = service.limits.connections
        guard connections.count < limit else {
            let error = RPCError.limit("open connections", limit: limit, value: connections.count + 1)
            let line = RPCResponse.error(.null, error) + [UInt8(ascii: "\n")]
            // A socket that has just been accepted has room for it; if not, closing says enough.
            _ = line.withUnsafeBytes { try? Socket.write(socket.rawValue, $0) }
            return
        }
        let connection = RPCConnection(door: self, descriptor: socket)
        guard connection.begin() else { return }
        connections[ObjectIdentifier(connection)] = connection
        service.connectionCount = connections.count
    }

    /// Looks at everybody's deadlines once a second.
    private func review() {
        guard !isReviewing else { return }
        isReviewing = true
        _ = service.loop.after(nanoseconds: 1_000_000_000) { [weak self] in
            guard let self else { return }
            isReviewing = false
            let now = MonotonicClock.now()
            for connection in Array(connections.values) { connection.review(now: now) }
            if !acceptors.isEmpty || !connections.isEmpty { review() }
        }
    }
}

// MARK: - Ending

extension RPCDoor {
    /// Closes every connection once its output has left; `done` is called when none is open.
    public func close(_ done: @escaping () -> Void) {
        stopListening()
        onClosed = done
        for connection in Array(connections.values) { connection.finish() }
        reportClosed()
    }

    /// Closes every connection now.
    public func closeAll() {
        for connection in Array(connections.values) { connection.close() }
    }

    func remove(_ connection: RPCConnection) {
        guard connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
        service.connectionCount = connections.count
        // It may be in the middle of a call that ended it.
        service.loop.atEndOfTurn { withExtendedLifetime(connection) {} }
        reportClosed()
    }

    private func reportClosed() {
        guard connections.isEmpty, let done = onClosed else { return }
        onClosed = nil
        done()
    }
}
