public import EngineProtocol

/// An error as a client of the HTTP API sees it: status, headers, and the four members of the OpenAI envelope.
public struct APIError: Error, Sendable, Equatable {
    public var status: Int
    public var type: String
    public var code: String
    public var message: String
    /// The field of the request that is at fault.
    public var parameter: String?
    public var retryAfterMilliseconds: UInt32?
    /// Overrides what a client would do by the status alone.
    public var shouldRetry: Bool?

    public init(
        status: Int, type: String, code: String, message: String, parameter: String? = nil,
        retryAfterMilliseconds: UInt32? = nil, shouldRetry: Bool? = nil
    ) {
        self.status = status
        self.type = type
        self.code = code
        self.message = message
        self.parameter = parameter
        self.retryAfterMilliseconds = retryAfterMilliseconds
        self.shouldRetry = shouldRetry
    }

    public static func invalid(_ parameter: String?, _ message: String, code: String = "invalid_value") -> APIError {
        APIError(status: 400, type: "invalid_request_error", code: code, message: message, parameter: parameter)
    }

    public static func unsupported(_ parameter: String, _ message: String) -> APIError {
        invalid(parameter, message, code: "unsupported")
    }

    public static func notFound(_ message: String, code: String = "not_found") -> APIError {
        APIError(status: 404, type: "not_found_error", code: code, message: message)
    }

    /// Every error of the engine contract, as the architecture's table maps it.
    public init(_ error: EngineError) {
        switch error {
        case .invalidRequest(let parameter, let message):
            self = .invalid(parameter.isEmpty ? nil : parameter, message)
        case .unauthorized(let message):
            self.init(status: 401, type: "authentication_error", code: "invalid_api_key", message: message)
        case .pathNotAllowed(let path):
            self.init(
                status: 403, type: "permission_error", code: "path_not_allowed",
                message: "\(path) is not below an allowed folder")
        case .modelNotFound(let model):
            self = .notFound("the model '\(model)' is not served here", code: "model_not_found")
            parameter = "model"
        case .contextLengthExceeded(let limit, let prompt, let requested):
            self = .invalid(
                nil,
                "this model's context is \(limit) tokens, but \(UInt64(prompt) + UInt64(requested)) were asked for: "
                    + "\(prompt) in the prompt and \(requested) to generate",
                code: "context_length_exceeded")
        case .unsupported(let feature):
            self = .invalid(nil, "not supported: \(feature)", code: "unsupported")
        case .queueFull(let retryAfter):
            self = .busy("queue_full", "the queue of this model is full", retryAfter)
        case .rateLimited(let retryAfter):
            self = .busy("rate_limit_exceeded", "too many requests", retryAfter)
        case .cancelled:
            self.init(
                status: 499, type: "invalid_request_error", code: "cancelled", message: "the request was cancelled")
        case .deadlineExceeded:
            self.init(
                status: 504, type: "server_error", code: "deadline_exceeded", message: "the request's deadline passed",
                shouldRetry: false)
        case .modelNotReady(let reason, let retryAfter):
            self = .unavailable("model_not_ready", reason, retryAfter)
        case .workerLost(let loss, let retryAfter):
            self = .unavailable(
                "worker_lost", "the model's process \(loss == .crashed ? "crashed" : "stalled"); it is being restarted",
                retryAfter)
        case .quarantined:
            self = .invalid(
                nil, "this request ended a model's process before and is refused for a while", code: "quarantined")
        case .resourceExhausted(let message, let permanent):
            self.init(
                status: permanent ? 400 : 503, type: permanent ? "invalid_request_error" : "server_error",
                code: "resource_exhausted", message: message, retryAfterMilliseconds: permanent ? nil : 1000)
        case .slowConsumer:
            self.init(
                status: 499, type: "invalid_request_error", code: "slow_consumer",
                message: "the answer was not read for too long")
        case .internalError(let id, let message):
            self.init(
                status: 500, type: "server_error", code: "internal_error", message: "\(message) (see \(id) in the log)",
                shouldRetry: false)
        }
    }

    private static func busy(_ code: String, _ message: String, _ retryAfter: UInt32) -> APIError {
        APIError(
            status: 429, type: "rate_limit_error", code: code, message: message, retryAfterMilliseconds: retryAfter)
    }

    private static func unavailable(_ code: String, _ message: String, _ retryAfter: UInt32) -> APIError {
        APIError(
            status: 503, type: "server_error", code: code, message: message,
            retryAfterMilliseconds: retryAfter == 0 ? nil : retryAfter, shouldRetry: retryAfter == 0 ? false : nil)
    }
}
