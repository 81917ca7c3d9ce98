public import Platform
public import SharedMemory
import Synchronization

/// Hands a value that has one owner from one thread to another.
public final class Handover<Value: ~Copyable & Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)

    public init() {}

    public func put(_ new: consuming Value) {
        var new: Value? = consume new
        value.withLock { $0 = new.take() }
    }

    public func take() -> Value? { value.withLock { $0.take() } }
}

/// Both ends of a connection, made by a real handshake over a socket pair.
@frozen
public struct ConnectedPair: ~Copyable {
    public var client: Connection
    public var server: Connection

    public init(
        client options: Handshake.Options = Handshake.Options(),
        server serverOptions: ServerHandshake.Options = .init(connectionID: 7, generation: 3)
    ) throws {
        let outcome = try HandshakeOutcome(client: options, server: serverOptions)
        let client = try outcome.client.get()
        let server = try outcome.server.get()
        self.client = client
        self.server = server
    }
}

/// How a handshake ended on both sides.
@frozen
public struct HandshakeOutcome: ~Copyable {
    public var client: Result<Connection, HandshakeError>
    public var server: Result<Connection, HandshakeError>

    public init(
        client options: Handshake.Options = Handshake.Options(),
        server serverOptions: ServerHandshake.Options = .init(connectionID: 7, generation: 3),
        authenticate: @escaping (Applicant) -> Refusal? = { _ in nil }
    ) throws {
        let pair = try Socket.pair()
        let clientSocket = pair.first.release()
        let clientEnd = Handover<Result<Connection, HandshakeError>>()
        let thread = try Thread.start(name: "client") {
            do throws(HandshakeError) {
                clientEnd.put(
                    .success(try Handshake.connect(over: FileDescriptor(owning: clientSocket), options: options)))
            } catch {
                clientEnd.put(.failure(error))
            }
        }
        let server = try ServedSocket.handshake(pair.second, options: serverOptions, authenticate: authenticate)
        thread.join()
        guard let client = clientEnd.take() else { throw RingTestError("the client has no outcome") }
        self.client = client
        self.server = server
    }
}

public enum ServedSocket {
    /// The server's side of a handshake, on a loop that runs until it is done.
    public static func handshake(
        _ socket: consuming FileDescriptor, options: ServerHandshake.Options = .init(connectionID: 7, generation: 3),
        authenticate: @escaping (Applicant) -> Refusal? = { _ in nil }
    ) throws -> Result<Connection, HandshakeError> {
        let loop = try EventLoop()
        let outcome = Handover<Result<Connection, HandshakeError>>()
        try ServerHandshake(loop: loop, socket: socket, options: options, authenticate: authenticate) {
            outcome.put($0)
            loop.stop()
        }
        loop.run()
        guard let result = outcome.take() else { throw RingTestError("the server has no outcome") }
        return result
    }
}

extension Connection {
    /// The rings of a connection that has them.
    public consuming func rings() throws -> Rings {
        let transport = self.transport
        switch consume transport {
        case .rings(let rings): return rings
        case .stream: throw RingTestError("a stream, not rings")
        }
    }
}
