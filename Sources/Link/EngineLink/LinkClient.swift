public import EngineProtocol
public import Platform
public import SharedMemory

/// The gateway's end of a link: sends requests, gets events.
///
/// Used on its loop only. It always reads; bounding what waits for a slow listener is the business of whoever takes the events.
public final class LinkClient {
    private let connection: LinkConnection

    /// Called with the events of one message, in the order in which the worker sent them.
    public var onEvents: (([(CallID, EngineEvent)]) -> Void)?
    /// Called once, after all events that came before, unless this side closed the link.
    public var onClose: ((LinkCloseReason) -> Void)?

    public convenience init(
        loop: EventLoop, descriptor: consuming FileDescriptor, limits: LinkLimits = LinkLimits(),
        buildID: UInt64 = BuildIdentity.current
    ) throws(SystemError) {
        try self.init(loop: loop, transport: .stream(descriptor), limits: limits, buildID: buildID)
    }

    public init(
        loop: EventLoop, transport: consuming Transport, limits: LinkLimits = LinkLimits(),
        buildID: UInt64 = BuildIdentity.current
    ) throws(SystemError) {
        connection = LinkConnection(
            loop: loop, transport: transport, role: .gateway, buildID: buildID, limits: limits)
        connection.onMessage = { [unowned self] message, _ in
            if case .events(let events) = message { onEvents?(events) }
        }
        connection.onClose = { [unowned self] in onClose?($0) }
        try connection.start(Hello(role: .gateway, buildID: buildID))
    }

    deinit { connection.close() }

    public var isOpen: Bool { connection.isOpen }

    /// Sends a request; never waits for the worker.
    ///
    /// - Parameter descriptors: as many as belong to the request; they stay the caller's.
    public func send(
        _ request: EngineRequest, call: CallID, descriptors: [Int32] = []
    ) throws(LinkSendError) {
        guard isOpen else { throw .closed }
        var attached: [LinkDescriptor] = []
        do throws(SystemError) {
            for descriptor in descriptors { attached.append(try LinkDescriptor.duplicate(of: descriptor)) }
        } catch {
            throw .system(error)
        }
        try connection.send(.request(request, call: call), attached: attached)
    }

    /// Delivers what a worker that has ended left in the link, up to its end.
    public func drain() { connection.drain() }

    /// Ends the link; `onClose` is not called.
    public func close() { connection.close() }
}
