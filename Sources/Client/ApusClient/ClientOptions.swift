import EngineProtocol
import SharedMemory

/// How a client connects, and how long it tries.
public struct ClientOptions: Sendable {
    /// One of the server's API keys, if it needs one.
    public var token: String?
    /// Else messages travel over the Unix socket itself.
    public var usesSharedMemory = true
    /// Whether the messages' checksums cover their payloads; it costs about a microsecond for 8 KiB.
    public var checksPayloads = false
    /// Bytes of each direction's ring.
    ///
    /// A power of two from 16 KiB to 4 MiB.
    public var ringBytes = 256 << 10
    /// How long a call waits for a connection before it fails.
    public var connectSeconds: Double = 5
    /// Whether it connects again when the connection was lost.
    public var reconnects = true

    public init() {}

    var handshake: Handshake.Options {
        var handshake = Handshake.Options()
        handshake.token = Array((token ?? "").utf8)
        handshake.usesSharedMemory = usesSharedMemory
        handshake.checksPayloads = checksPayloads
        handshake.sendCapacity = ringBytes
        handshake.receiveCapacity = ringBytes
        handshake.versions = LocalProtocol.versions
        return handshake
    }
}
