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

    /// What the present worker has said of the call.
    struct Run {
        var isAccepted = false
        var isStarted = false
        var tokens = 0

        /// Whether the worker does something for it: before and after, it only waits in the worker's queue.
        var isActive: Bool { isStarted || !isAccepted }
    }

    /// Counts the model's calls in the order in which they came.
    let number: UInt64
    let request: EngineRequest
    weak var listener: (any CallListener)?
    var phase = Phase.waiting
    /// Where it runs or waits.
    weak var channel: ModelChannel?
    private(set) var outbox = Outbox()
    /// Something of the message that is being read; its door has not been told.
    var hasNews = false
    private(set) var run = Run()
    /// Whose positions it goes on with, or that it opens.
    let session: ServedSession?
    /// Files for the worker, until they have been sent.
    var files: [AttachedFile]
    private let hadFiles: Bool
    /// Its session waits for its end.
    var countsInSession = false
    /// Its door wants it to be paused.
    var isPausing = false
    private(set) var hasSentText = false
    private var hasSentAcceptance = false
    private var hasSentStart = false
    /// Nil for a call that ends with its worker once its door has got text.
    private var delivered: DeliveredAnswer?
    var replays = 0
    var heldSince: UInt64 = 0
    /// Set when its content is of interest.
    var contentKey: ContentKey?

    init(
        identity: CallIdentity, model: String, number: UInt64, request: EngineRequest, resumes: Bool,
        session: ServedSession? = nil, files: [AttachedFile] = [], listener: any CallListener
    ) {
        self.identity = identity
        self.model = model
        self.number = number
        self.request = request
        self.session = session
        self.files = files
        hadFiles = !files.isEmpty
        self.listener = listener
        // A part of the rows that a door has got is not told apart from the whole.
        delivered = resumes && !request.wantsTensors ? DeliveredAnswer() : nil
    }

    /// Without a record of it, text that was sent would come twice; and what a session held, or a file, is gone.
    var canBeReplayed: Bool {
        if case .openSession = request { return true }
        return session == nil && !hadFiles && (!hasSentText || delivered != nil)
    }

    /// Whether there can be more events than those in the outbox.
    public var isLive: Bool {
        switch phase {
        case .waiting, .sent: true
        case .cancelling, .ended: false
        }
    }

    /// Whether `next` has an event.
    public var hasEvents: Bool { !outbox.isEmpty }

    /// Takes the next event, nil when there is none yet.
    ///
    /// With it a door says that it has room for as much again: rows that it took are credit for the worker.
    public func next() -> EngineEvent? {
        let event = outbox.next()
        if case .tensor(let chunk) = event { channel?.grant(chunk.tensor.byteCount, to: self) }
        return event
    }

    /// The call goes to a worker.
    func beginRun() {
        run = Run()
        delivered?.beginRun()
    }

    /// Takes an event of the worker.
    ///
    /// - Returns: false if it belongs to another answer than the one that the door has got a part of.
    func receive(_ event: EngineEvent, now: UInt64) -> Bool {
        if case .tokens(let chunk) = event { run.tokens += chunk.ids.count }
        switch delivered?.take(event) {
        case nil: put(event, now: now)
        case .new(let event)?: put(event, now: now)
        case .known?: break
        case .differs?: return false
        }
        return true
    }

    /// Puts an event into the outbox; of what a call is told again when it is replayed, only the first time counts.
    func put(_ event: EngineEvent, now: UInt64) {
        switch event {
        case .accepted:
            run.isAccepted = true
            if hasSentAcceptance { return }
            hasSentAcceptance = true
        case .started:
            run.isStarted = true
            if hasSentStart { return }
            hasSentStart = true
        case .tokens, .tensor, .choiceFinished:
            hasSentText = true
        case .finished, .failed, .result, .statistics:
            break
        }
        outbox.append(event, now: now)
    }
}

extension EngineRequest {
    /// Monotonic time by which the answer must be there; nil for none.
    var deadline: UInt64? {
        switch self {
        case .generate(let generate) where generate.deadline != 0: generate.deadline
        case .embed(let embed) where embed.deadline != 0: embed.deadline
        default: nil
        }
    }

    fileprivate var wantsTensors: Bool {
        if case .generate(let generate) = self { generate.tensors != nil } else { false }
    }

    /// As it is sent for a tenant: nobody gives a worker more credit for rows than an outbox holds.
    func sent(for tenant: String) -> EngineRequest {
        switch self {
        case .generate(var generate):
            generate.tenant = tenant
            generate.tensors?.credit = UInt64(Outbox.byteLimit)
            return .generate(generate)
        case .embed(var embed):
            embed.tenant = tenant
            return .embed(embed)
        default: return self
        }
    }
}
