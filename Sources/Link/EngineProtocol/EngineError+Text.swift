extension EngineError {
    /// The error in one sentence for a person, as the command line and logs show it.
    public var text: String {
        switch self {
        case .invalidRequest(_, let message): message
        case .unauthorized(let message): message
        case .pathNotAllowed(let path): "\(path) is not below an allowed folder"
        case .modelNotFound(let model): "the model '\(model)' is not served here"
        case .contextLengthExceeded(let limit, let prompt, let requested):
            "the context has \(limit) tokens; the prompt needs \(prompt) and \(requested) are to be generated"
        case .unsupported(let feature): "not supported: \(feature)"
        case .queueFull: "the queue is full"
        case .rateLimited: "too many requests"
        case .cancelled: "cancelled"
        case .deadlineExceeded: "the deadline has passed"
        case .modelNotReady(let reason, _): reason
        case .workerLost(let loss, _): "the model's process \(loss == .crashed ? "crashed" : "stalled")"
        case .quarantined: "this request ended a model's process before"
        case .resourceExhausted(let message, _): message
        case .slowConsumer: "the answer was not read for too long"
        case .internalError(let id, let message): "\(message) (\(id))"
        }
    }
}
