public import EngineProtocol

/// Who made a call, as doors and logs name it.
public struct CallIdentity: Sendable, Equatable {
    /// Unique, such as `chatcmpl-…`.
    public var publicID: String
    /// What the client calls it; need not be unique.
    public var requestID: String
    /// Only the same tenant can cancel it.
    public var tenant: String

    public init(publicID: String, requestID: String, tenant: String) {
        self.publicID = publicID
        self.requestID = requestID
        self.tenant = tenant
    }
}

/// A door's end of a call.
public protocol CallListener: AnyObject {
    /// There is something in the outbox. Called once for all events of a message.
    func callHasEvents(_ call: ServedCall)
}

/// One live call, from the door to the worker.
///
/// Everything happens on the loop.
public final class ServedCall {
    public let identity: CallIdentity
    public let model: String

    enum Phase: Equatable {
        /// Held until the model is ready.
        case waiting
        /// At the worker.
        case sent(CallID)
        /// Cancelled; the worker has not confirmed yet.
        case cancelling(CallID)
        case ended
    }

    var phase = Phase.waiting
    let request: EngineRequest
    weak var listener: (any CallListener)?
    private(set) var outbox = Outbox()
    /// A call that has sent text cannot be sent to another worker: the text would come twice.
    private(set) var hasSentText = false
    private(set) var hasSentAcceptance = false
    var replays = 0
    var heldSince: UInt64 = 0

    init(identity: CallIdentity, model: String, request: EngineRequest, listener: any CallListener) {
        self.identity = identity
        self.model = model
        self.request = request
        self.listener = listener
    }

    /// Whether its door still waits for events.
    var isLive: Bool {
        switch phase {
        case .waiting, .sent: true
        case .cancelling, .ended: false
        }
    }

    /// Takes the next event, nil when there is none yet.
    public func next() -> EngineEvent? { outbox.next() }

    func put(_ event: EngineEvent, now: UInt64) {
        switch event {
        case .accepted:
            // A call that is sent again was accepted before.
            if hasSentAcceptance { return }
            hasSentAcceptance = true
        case .tokens, .choiceFinished:
            hasSentText = true
        case .started, .finished, .failed, .result, .statistics:
            break
        }
        outbox.append(event, now: now)
    }
}

extension EngineRequest {
    /// Monotonic time by which the answer must be there; nil for none.
    var deadline: UInt64? {
        if case .generate(let generate) = self, generate.deadline != 0 { generate.deadline } else { nil }
    }
}
