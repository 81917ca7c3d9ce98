import EngineLink

/// The bounds of the door for local clients.
public struct LocalServerLimits: Sendable {
    /// Clients that are connected at the same time.
    public var connections = 1000
    /// Clients that are in the middle of their handshake.
    public var handshakes = 64
    /// Calls of one client that have not ended.
    public var callsPerConnection = 256
    /// Bytes of each direction's ring, unless the client asks for less.
    public var ringBytes = 256 << 10
    /// Bytes that wait for a client to read before its calls' events stay in their outboxes.
    public var pendingBytes = 64 << 10
    /// Events are joined to one message until it has about so many bytes.
    public var batchBytes = 16 << 10
    /// Connections that are taken before the loop's other work gets its turn.
    public var acceptsPerTurn = 16

    public init() {}

    /// Those of each client's link.
    var link: LinkLimits {
        var link = LinkLimits()
        link.readBytes = 8 << 10
        link.outgoingBytes = 4 << 20
        link.outgoingExternalBytes = 64 << 20
        link.incomingDescriptors = 16
        return link
    }
}
