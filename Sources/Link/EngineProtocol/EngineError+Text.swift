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

extension EngineError {
    /// The kind of error in one word, for metrics and for clients that tell errors apart.
    public var code: String {
        switch self {
        case .invalidRequest: "invalid_request"
        case .unauthorized: "unauthorized"
        case .pathNotAllowed: "path_not_allowed"
        case .modelNotFound: "model_not_found"
        case .contextLengthExceeded: "context_length_exceeded"
        case .unsupported: "unsupported"
        case .queueFull: "queue_full"
        case .rateLimited: "rate_limited"
        case .cancelled: "cancelled"
        case .deadlineExceeded: "deadline_exceeded"
        case .modelNotReady: "model_not_ready"
        case .workerLost: "worker_lost"
        case .quarantined: "quarantined"
        case .resourceExhausted: "resource_exhausted"
        case .slowConsumer: "slow_consumer"
        case .internalError: "internal_error"
        }
    }
}
