public import EngineProtocol
public import Platform
public import SharedMemory

/// The worker's end of a link: gets requests, sends events.
///
/// Threading: handlers and `close` are on the loop; `send` is for any thread.
public final class LinkServer: @unchecked Sendable {
    private let connection: LinkConnection

    /// Called with each request and its descriptors.
    ///
    /// The descriptors close when the last reference to them goes away: map or keep them.
    public var onRequest: ((CallID, EngineRequest, [LinkDescriptor]) -> Void)?
    /// Called once, unless this side closed the link: the worker then has nobody to work for.
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
            loop: loop, transport: transport, role: .worker, buildID: buildID, limits: limits)
        connection.onMessage = { [weak self] message, descriptors in
            if case .request(let request, let call) = message { self?.onRequest?(call, request, descriptors) }
        }
        connection.onClose = { [weak self] in self?.onClose?($0) }
        try connection.start(Hello(role: .worker, buildID: buildID))
    }

    /// Sends the events of one step as one message, after everything that was sent before.
    ///
    /// Never waits: what the socket does not take is kept, up to `LinkLimits.outgoingBytes`, and then the link ends.
    /// An event that no message can hold becomes a `failed` of its call.
    public func send(_ events: [(CallID, EngineEvent)]) {
        guard !events.isEmpty else { return }
        do throws(LinkSendError) { return try connection.send(.events(events)) } catch {}
        for event in events {
            do throws(LinkSendError) { try connection.send(.events([event])) } catch {
                guard event.0 != .link else { continue }
                let failure = EngineError.internalError(id: "", message: "an event cannot be sent: \(error)")
                try? connection.send(.events([(event.0, .failed(failure))]))
            }
        }
    }

    /// Ends the link; `onClose` is not called.
    public func close() { connection.close() }
}
