public import Platform

/// What both sides of a connection have agreed on.
public struct Agreement: Equatable, Sendable {
    public let version: UInt16
    /// The server's number for this connection.
    public let connectionID: UInt64
    /// Another number for each run of the server.
    public let generation: UInt64
    public let usesSharedMemory: Bool
    /// Whether checksums of messages cover their payloads.
    public let checksPayloads: Bool
    /// Bytes of the rings; 0 without shared memory.
    public let clientCapacity: Int
    public let serverCapacity: Int
    /// Bytes of the longest message in either direction.
    public let messageBytes: Int
    /// Calls that the server takes from this client at a time.
    public let calls: Int

    init(_ welcome: HandshakeFrame.Welcome) {
        version = welcome.version
        connectionID = welcome.connectionID
        generation = welcome.generation
        usesSharedMemory = welcome.features.contains(.sharedMemory)
        checksPayloads = welcome.features.contains(.payloadChecksums)
        clientCapacity = Int(welcome.clientCapacity)
        serverCapacity = Int(welcome.serverCapacity)
        messageBytes = Int(welcome.messageBytes)
        calls = Int(welcome.calls)
    }
}

/// What carries the messages of a connection.
@frozen
public enum Transport: ~Copyable, Sendable {
    /// The socket itself, from its next byte on.
    case stream(FileDescriptor)
    /// Rings; they own the socket, which is their control socket from now on.
    case rings(Rings)
}

/// A connection on which both sides agree.
@frozen
public struct Connection: ~Copyable, Sendable {
    public let agreement: Agreement
    public let transport: Transport
}
