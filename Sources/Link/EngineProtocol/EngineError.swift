/// Everything that can go wrong with a call, from a door to the engine and back.
///
/// Doors map each case to their own codes (HTTP status, JSON-RPC code). Descriptions never hold prompt text.
public enum EngineError: Error, Sendable, Equatable {
    /// `parameter` names the field of the request, or is empty when no single one is at fault.
    case invalidRequest(parameter: String, message: String)
    case unauthorized(message: String)
    case pathNotAllowed(path: String)
    case modelNotFound(model: String)
    case contextLengthExceeded(limit: UInt32, prompt: UInt32, requested: UInt32)
    case unsupported(feature: String)
    case queueFull(retryAfterMilliseconds: UInt32)
    case rateLimited(retryAfterMilliseconds: UInt32)
    case cancelled
    case deadlineExceeded
    /// A retry after 0 says that trying again is pointless.
    case modelNotReady(reason: String, retryAfterMilliseconds: UInt32)
    case workerLost(WorkerLoss, retryAfterMilliseconds: UInt32)
    case quarantined
    /// `permanent`: it can never fit, so repeating the request is pointless.
    case resourceExhausted(message: String, permanent: Bool)
    case slowConsumer
    /// `id` is in the log line that has the details.
    case internalError(id: String, message: String)
}

public enum WorkerLoss: UInt8, Sendable {
    case crashed = 0
    case stalled = 1
}
