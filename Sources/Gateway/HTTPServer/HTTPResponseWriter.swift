import Platform

/// The way to answer one request: either `respond`, or `beginStream`, any number of writes, and `end`.
///
/// Calls that come too late (the response is complete, or the client is gone) do nothing. On the loop only.
public final class HTTPResponseWriter {
    private enum Stage {
        case waiting
        case streaming
        case ended
    }

    private var connection: HTTPConnection?
    private let version: HTTPVersion
    private let isHead: Bool
    private var keepsAlive: Bool
    private var stage = Stage.waiting
    private var gathered: [UInt8] = []
    private var willFlush = false

    /// Called once if the client leaves, or reads nothing for too long, before the response is complete.
    public var onClientGone: (() -> Void)?
    /// Called when everything that waited for the socket has been written and the response is not complete.
    public var onDrained: (() -> Void)?

    init(connection: HTTPConnection, version: HTTPVersion, isHead: Bool, keepsAlive: Bool) {
        self.connection = connection
        self.version = version
        self.isHead = isHead
        self.keepsAlive = keepsAlive
    }

    /// Whether the response can still be written to.
    public var isOpen: Bool { stage != .ended }

    /// Bytes that wait for the client to read.
    public var pendingBytes: Int { gathered.count + (connection?.pendingBytes ?? 0) }

    /// Answers with a whole body.
    ///
    /// A field `Connection: close` closes the connection afterwards.
    public func respond(status: Int, headers: [HTTPHeader] = [], body: [UInt8]) {
        guard stage == .waiting, let connection else { return }
        noteClosing(headers)
        let hasBody = status != 204 && status != 304
        let server = connection.server
        server.scratch.removeAll(keepingCapacity: true)
        HTTPResponseHead.append(
            to: &server.scratch, status: status, headers: headers, framing: hasBody ? .length(body.count) : .none,
            version: version, keepsAlive: keepsAlive, date: server.currentDate())
        if hasBody && !isHead {
            connection.send(server.scratch, body)
        } else {
            connection.send(server.scratch)
        }
        complete()
    }

    /// Sends the head of a body whose length is not known; HTTP/1.1 gets chunks, HTTP/1.0 a body that ends with the
    /// connection.
    public func beginStream(status: Int, headers: [HTTPHeader] = []) {
        guard stage == .waiting, let connection else { return }
        noteClosing(headers)
        if version == .oneZero { keepsAlive = false }
        stage = .streaming
        let server = connection.server
        server.scratch.removeAll(keepingCapacity: true)
        HTTPResponseHead.append(
            to: &server.scratch, status: status, headers: headers, framing: version == .oneOne ? .chunked : .close,
            version: version, keepsAlive: keepsAlive, date: server.currentDate())
        connection.send(server.scratch)
    }

    /// Sends a part of the body now, together with what has been gathered.
    public func write(_ bytes: [UInt8]) { send(bytes, isLast: false) }

    /// Adds a part of the body that is sent with the next write, or at the end of this turn of the loop.
    public func gather(_ bytes: [UInt8]) {
        guard stage == .streaming, !isHead, let connection else { return }
        if gathered.isEmpty { gathered = bytes } else { gathered += bytes }
        if willFlush || gathered.isEmpty { return }
        willFlush = true
        connection.server.loop.atEndOfTurn {
            self.willFlush = false
            self.flush()
        }
    }

    /// Sends what has been gathered.
    public func flush() { send([], isLast: false) }

    /// Completes the response, with a last part of the body if there is one.
    public func end(writing bytes: [UInt8] = []) { send(bytes, isLast: true) }

    private func send(_ bytes: [UInt8], isLast: Bool) {
        guard stage == .streaming, let connection else { return }
        if !isHead {
            let count = gathered.count + bytes.count
            if version == .oneOne {
                sendChunk(bytes, count: count, isLast: isLast, on: connection)
            } else if count > 0 {
                connection.send(gathered, bytes)
            }
        }
        gathered = []
        if isLast { complete() }
    }

    private func sendChunk(_ bytes: [UInt8], count: Int, isLast: Bool, on connection: HTTPConnection) {
        guard count > 0 || isLast else { return }
        let server = connection.server
        server.scratch.removeAll(keepingCapacity: true)
        if count > 0 {
            HTTPResponseHead.appendHexadecimal(&server.scratch, count)
            HTTPResponseHead.append(&server.scratch, "\r\n")
            server.scratch += gathered
            server.scratch += bytes
            HTTPResponseHead.append(&server.scratch, "\r\n")
        }
        if isLast { HTTPResponseHead.append(&server.scratch, "0\r\n\r\n") }
        connection.send(server.scratch)
    }

    /// Decides when the head is made whether this is the connection's last response.
    private func noteClosing(_ headers: [HTTPHeader]) {
        if connection?.server.answersAreLast == true { keepsAlive = false }
        for header in headers where HTTPResponseHead.isSame(header.name, "connection") {
            if HTTPResponseHead.isSame(header.value, "close") { keepsAlive = false }
        }
    }
}

// MARK: - Ending

extension HTTPResponseWriter {
    private func complete() {
        let connection = detach()
        connection?.exchangeEnded(keepsAlive: keepsAlive)
    }

    /// Called by the connection when it closes before the response is complete.
    func clientWentAway() {
        let gone = onClientGone
        _ = detach()
        gone?()
    }

    /// Called by the connection when nothing waits for the socket any more.
    func drained() {
        if gathered.isEmpty { onDrained?() }
    }

    private func detach() -> HTTPConnection? {
        let connection = connection
        stage = .ended
        self.connection = nil
        gathered = []
        onClientGone = nil
        onDrained = nil
        return connection
    }
}
