public import EngineProtocol
public import Platform
public import SharedMemory

/// One end of the link between a local client and the server; both have checked each other in the handshake.
///
/// Threading: `send` is for any thread, everything else is on the loop.
public final class LocalLink: @unchecked Sendable {
    public enum Side: Sendable {
        case client
        case server
    }

    private let connection: LinkConnection
    /// Counts what passes; nil when messages travel in the socket.
    public let meter: RingMeter?

    /// Called with each message that this side may get; any other ends the link.
    public var onMessage: ((Message) -> Void)?
    /// Called once, after all messages that came before, unless this side closed the link.
    public var onClose: ((LinkCloseReason) -> Void)?
    /// Called when everything that waited for the peer has been written.
    public var onDrained: (() -> Void)?

    /// - Parameter scratch: one for all links of the loop.
    public init(
        loop: EventLoop, connection agreed: consuming Connection, side: Side, limits: LinkLimits,
        scratch: LinkScratch = LinkScratch(), spin: SpinBudget
    ) throws(SystemError) {
        let checksPayloads = agreed.agreement.checksPayloads
        meter = agreed.transport.meter
        connection = LinkConnection(
            loop: loop, transport: agreed.transport, role: side == .client ? .client : .server, buildID: 0,
            limits: limits, checksPayloads: checksPayloads, scratch: scratch, spin: spin)
        connection.onMessage = { [weak self] message, _ in self?.onMessage?(message) }
        connection.onClose = { [weak self] in self?.onClose?($0) }
        connection.onDrained = { [weak self] in self?.onDrained?() }
        try connection.start(nil)
    }

    public var isOpen: Bool { connection.isOpen }

    /// Sends a message, after everything that was sent before; never waits for the peer.
    public func send(_ message: Message) throws(LinkSendError) { try connection.send(message) }

    /// Bytes that wait for the peer to read.
    public var pendingBytes: Int { connection.pendingBytes }

    /// Ends the link; `onClose` is not called.
    public func close() { connection.close() }
}

extension Transport {
    fileprivate var meter: RingMeter? {
        switch self {
        case .rings(let rings): rings.meter
        case .stream: nil
        }
    }
}
