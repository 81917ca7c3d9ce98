/// What a local client asks of the server: a request, and what a door adds to it.
///
/// Of the requests, a client may send those that ask a model for something; `load`, `cancel`, and what concerns sessions and adapters, are not.
public struct LocalCall: Sendable, Equatable {
    /// As `/v1/models` lists it; empty is the only model.
    public var model: String
    /// What the client calls it, for the server's log; empty, or 1 to 128 characters of A–Z, a–z, 0–9, `.`, `_`, `-`.
    public var requestID: String
    /// Goes on with the answer after the death of its worker, also when a part of it has been sent.
    public var resumes: Bool
    public var request: EngineRequest

    public init(model: String = "", requestID: String = "", resumes: Bool = false, request: EngineRequest) {
        self.model = model
        self.requestID = requestID
        self.resumes = resumes
        self.request = request
    }
}

/// One model of the server, as a local client sees it.
public struct LocalModel: Sendable, Equatable {
    public var name: String
    /// A word, such as `ready`; `unloaded` is loaded by the first request for it.
    public var state: String
    /// Positions of a sequence; 0 until the model was loaded for the first time.
    public var contextLength: UInt32

    public init(name: String, state: String, contextLength: UInt32) {
        self.name = name
        self.state = state
        self.contextLength = contextLength
    }
}

/// Versions of what local clients and the server say to each other.
public enum LocalProtocol {
    /// Those that this build speaks.
    ///
    /// The structures of `EngineProtocol` are part of it: a change of one of them that clients can see is a new version.
    public static let versions: ClosedRange<UInt16> = 2...2
    /// What the events of one call may count (`EngineEvent.size`) before the client has to say that it took some.
    ///
    /// The last event may go over it.
    public static let window = 256 << 10
}
