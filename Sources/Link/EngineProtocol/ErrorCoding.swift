// An error is: u16 code, u16 zero, range of the code's structure. Codes without details have an empty one.

private enum ErrorCode: UInt16 {
    case invalidRequest = 0
    case unauthorized = 1
    case pathNotAllowed = 2
    case modelNotFound = 3
    case contextLengthExceeded = 4
    case unsupported = 5
    case queueFull = 6
    case rateLimited = 7
    case cancelled = 8
    case deadlineExceeded = 9
    case modelNotReady = 10
    case workerLost = 11
    case quarantined = 12
    case resourceExhausted = 13
    case slowConsumer = 14
    case internalError = 15

    var size: Int {
        switch self {
        case .invalidRequest, .internalError: 16
        case .unauthorized, .pathNotAllowed, .modelNotFound, .unsupported, .workerLost: 8
        case .contextLengthExceeded, .modelNotReady, .resourceExhausted: 12
        case .queueFull, .rateLimited: 4
        case .cancelled, .deadlineExceeded, .quarantined, .slowConsumer: 0
        }
    }

    init(_ error: EngineError) {
        switch error {
        case .invalidRequest: self = .invalidRequest
        case .unauthorized: self = .unauthorized
        case .pathNotAllowed: self = .pathNotAllowed
        case .modelNotFound: self = .modelNotFound
        case .contextLengthExceeded: self = .contextLengthExceeded
        case .unsupported: self = .unsupported
        case .queueFull: self = .queueFull
        case .rateLimited: self = .rateLimited
        case .cancelled: self = .cancelled
        case .deadlineExceeded: self = .deadlineExceeded
        case .modelNotReady: self = .modelNotReady
        case .workerLost: self = .workerLost
        case .quarantined: self = .quarantined
        case .resourceExhausted: self = .resourceExhausted
        case .slowConsumer: self = .slowConsumer
        case .internalError: self = .internalError
        }
    }
}

extension PayloadWriter {
    mutating func error(_ error: EngineError) {
        let code = ErrorCode(error)
        integer(code.rawValue)
        zeros(2)
        structure("error", size: code.size) { $0.details(of: error) }
    }

    private mutating func details(of error: EngineError) {
        switch error {
        case .invalidRequest(let parameter, let message):
            name("parameter", parameter)
            explanation("message", message)
        case .unauthorized(let message): explanation("message", message)
        case .pathNotAllowed(let path): name("path", path)
        case .modelNotFound(let model): name("model", model)
        case .contextLengthExceeded(let limit, let prompt, let requested):
            integer(limit)
            integer(prompt)
            integer(requested)
        case .unsupported(let feature): explanation("feature", feature)
        case .queueFull(let retryAfter), .rateLimited(let retryAfter): integer(retryAfter)
        case .cancelled, .deadlineExceeded, .quarantined, .slowConsumer: break
        case .modelNotReady(let reason, let retryAfter):
            integer(retryAfter)
            explanation("reason", reason)
        case .workerLost(let loss, let retryAfter):
            integer(retryAfter)
            integer(loss.rawValue)
            zeros(3)
        case .resourceExhausted(let message, let permanent):
            flag(permanent)
            zeros(3)
            explanation("message", message)
        case .internalError(let id, let message):
            name("id", id)
            explanation("message", message)
        }
    }

    private mutating func name(_ field: String, _ value: String) {
        text(field, value, limit: EngineProtocolLimits.nameBytes)
    }

    private mutating func explanation(_ field: String, _ value: String) {
        text(field, value, limit: EngineProtocolLimits.explanationBytes)
    }
}

extension PayloadReader {
    mutating func error() throws(CodecError) -> EngineError {
        let code: ErrorCode = try choice("error")
        try zeros("error", 2)
        return try structure("error", size: code.size) {
            (reader: inout PayloadReader) throws(CodecError) in try reader.details(of: code)
        }
    }

    private mutating func details(of code: ErrorCode) throws(CodecError) -> EngineError {
        switch code {
        case .invalidRequest:
            return .invalidRequest(parameter: try name("parameter"), message: try explanation("message"))
        case .unauthorized: return .unauthorized(message: try explanation("message"))
        case .pathNotAllowed: return .pathNotAllowed(path: try name("path"))
        case .modelNotFound: return .modelNotFound(model: try name("model"))
        case .contextLengthExceeded:
            return .contextLengthExceeded(
                limit: try integer("limit"), prompt: try integer("prompt"), requested: try integer("requested"))
        case .unsupported: return .unsupported(feature: try explanation("feature"))
        case .queueFull: return .queueFull(retryAfterMilliseconds: try integer("retryAfter"))
        case .rateLimited: return .rateLimited(retryAfterMilliseconds: try integer("retryAfter"))
        case .cancelled: return .cancelled
        case .deadlineExceeded: return .deadlineExceeded
        case .quarantined: return .quarantined
        case .slowConsumer: return .slowConsumer
        case .modelNotReady:
            let retryAfter: UInt32 = try integer("retryAfter")
            return .modelNotReady(reason: try explanation("reason"), retryAfterMilliseconds: retryAfter)
        case .workerLost:
            let retryAfter: UInt32 = try integer("retryAfter")
            let loss: WorkerLoss = try choice("loss")
            try zeros("loss", 3)
            return .workerLost(loss, retryAfterMilliseconds: retryAfter)
        case .resourceExhausted:
            let permanent = try flag("permanent")
            try zeros("permanent", 3)
            return .resourceExhausted(message: try explanation("message"), permanent: permanent)
        case .internalError:
            return .internalError(id: try name("id"), message: try explanation("message"))
        }
    }

    private mutating func name(_ field: String) throws(CodecError) -> String {
        try text(field, limit: EngineProtocolLimits.nameBytes)
    }

    private mutating func explanation(_ field: String) throws(CodecError) -> String {
        try text(field, limit: EngineProtocolLimits.explanationBytes)
    }
}
