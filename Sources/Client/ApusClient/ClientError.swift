public import EngineProtocol

/// Why a call has no answer.
public enum ClientError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Nobody listens at the path, or the server did not come back in time. Nothing was sent: ask again later.
    case notConnected(reason: String)
    /// The server does not want this client; asking again is pointless.
    case refused(reason: String)
    /// The connection ended while the call was running.
    ///
    /// If nothing was delivered, the request can be sent again without saying anything twice.
    case connectionLost(delivered: Bool, reason: String)
    /// The server's own answer.
    case engine(EngineError)
    /// The request breaks a rule of the protocol, and was not sent.
    case invalidRequest(reason: String)
    /// The server answered with something else than was asked for.
    case unexpectedAnswer
    /// `close` was called.
    case closed

    public var description: String {
        switch self {
        case .notConnected(let reason): "not connected: \(reason)"
        case .refused(let reason): "refused: \(reason)"
        case .connectionLost(let delivered, let reason):
            "the connection was lost \(delivered ? "in the middle of the answer" : "before the answer began"): \(reason)"
        case .engine(let error): error.text
        case .invalidRequest(let reason): reason
        case .unexpectedAnswer: "the server's answer does not belong to the request"
        case .closed: "the client is closed"
        }
    }
}
