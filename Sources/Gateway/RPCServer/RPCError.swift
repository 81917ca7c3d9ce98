import EngineProtocol
import JSON

/// An error as a client sees it: a code that stays the same, a sentence, and what a program may want to know.
struct RPCError: Error, Sendable, Equatable {
    var code: Int
    var message: String
    /// Members of `data`; `type` is always one of them.
    var data: JSONObject

    init(_ code: Code, type: String, _ message: String) {
        self.code = code.rawValue
        self.message = message
        data = JSONObject(uniqueMembers: [JSONObject.Member(key: "type", value: .string(type))])
    }

    enum Code: Int {
        case parseError = -32700
        case invalidRequest = -32600
        case methodNotFound = -32601
        case invalidParams = -32602
        case internalError = -32603
        case notInitialised = -32001
        case busy = -32002
        case timeout = -32003
        case aborted = -32004
        case unsupported = -32005
        case workerLost = -32006
        case contextLength = -32007
        case pathNotAllowed = -32008
        case limit = -32009
        case unauthorized = -32010
    }

    func with(_ name: String, _ value: JSONValue) -> RPCError {
        var copy = self
        copy.data.set(name, value)
        return copy
    }

    /// With the field that the client knows in the place of the engine's.
    func named(_ field: String) -> RPCError { data["field"] == nil ? self : with("field", .string(field)) }

    func with(_ name: String, _ value: some FixedWidthInteger) -> RPCError { with(name, .number(JSONNumber(value))) }
}

// MARK: - Those of the door

extension RPCError {
    static func parse(_ error: JSONError) -> RPCError {
        switch error.reason {
        case .tooDeep, .tooLong, .tooManyValues:
            RPCError(.invalidRequest, type: "limit_exceeded", "\(error)").with("position", error.offset)
        default: RPCError(.parseError, type: "parse_error", "\(error)").with("position", error.offset)
        }
    }

    static func invalidRequest(_ message: String) -> RPCError {
        RPCError(.invalidRequest, type: "invalid_request", message)
    }

    static func methodNotFound(_ name: String) -> RPCError {
        RPCError(
            .methodNotFound, type: "method_not_found", "there is no method '\(name.prefix(128))'; see rpc.discover")
    }

    static func invalid(_ field: String, _ message: String) -> RPCError {
        RPCError(.invalidParams, type: "invalid_params", message).with("field", .string(field))
    }

    static func pathNotAllowed(_ field: String, _ message: String) -> RPCError {
        RPCError(.pathNotAllowed, type: "path_not_allowed", message).with("field", .string(field))
    }

    static func wrongType(_ field: String, _ wanted: String, _ value: JSONValue) -> RPCError {
        invalid(field, "'\(field)' is \(wanted), not \(value.typeName)")
    }

    static func unsupported(_ feature: String, field: String? = nil) -> RPCError {
        let error = RPCError(.unsupported, type: "unsupported", "not supported by this engine: \(feature)")
            .with("feature", .string(feature))
        return field.map { error.with("field", .string($0)) } ?? error
    }

    /// What a handle kept went with its model's process.
    static let historyLost = RPCError(
        .workerLost, type: "session_lost",
        "the model's process has ended, and what the handle kept is gone; the next run begins anew")

    static func limit(_ what: String, limit: Int, value: Int) -> RPCError {
        RPCError(.limit, type: "limit_exceeded", "\(what): \(value) is more than the limit of \(limit)")
            .with("limit", limit).with("value", value)
    }
}

// MARK: - Those of the engine contract

extension RPCError {
    /// The JSON-RPC column of the table of errors.
    init(_ error: EngineError) {
        switch error {
        case .invalidRequest(let parameter, let message):
            self.init(.invalidParams, type: "invalid_params", message)
            if !parameter.isEmpty { self = with("field", .string(parameter)) }
        case .unauthorized(let message): self.init(.unauthorized, type: "unauthorized", message)
        case .pathNotAllowed: self.init(.pathNotAllowed, type: "path_not_allowed", error.text)
        case .modelNotFound: self.init(.notInitialised, type: "model_not_found", error.text)
        case .contextLengthExceeded(let limit, let prompt, let requested):
            self.init(.contextLength, type: "context_length_exceeded", error.text)
            self = with("limit", limit).with("prompt", prompt).with("requested", requested)
        case .unsupported(let feature): self = .unsupported(feature)
        case .queueFull(let retryAfter):
            self.init(.busy, type: "queue_full", error.text)
            self = with("retry_after_ms", retryAfter)
        case .rateLimited(let retryAfter):
            self.init(.limit, type: "rate_limited", error.text)
            self = with("retry_after_ms", retryAfter)
        case .cancelled: self.init(.aborted, type: "cancelled", error.text)
        case .deadlineExceeded: self.init(.timeout, type: "deadline_exceeded", error.text)
        case .modelNotReady(_, let retryAfter):
            self.init(.notInitialised, type: "model_not_ready", error.text)
            self = with("retry_after_ms", retryAfter)
        case .workerLost(let loss, let retryAfter):
            self.init(.workerLost, type: "worker_lost", error.text)
            self = with("loss", .string(loss == .crashed ? "crashed" : "stalled")).with("retry_after_ms", retryAfter)
        case .quarantined: self.init(.workerLost, type: "quarantined", error.text)
        case .resourceExhausted(_, let permanent):
            self.init(.limit, type: "resource_exhausted", error.text)
            self = with("permanent", .bool(permanent))
        case .slowConsumer: self.init(.aborted, type: "slow_consumer", error.text)
        case .internalError(let id, _):
            self.init(.internalError, type: "internal_error", error.text)
            self = with("id", .string(id))
        }
    }
}
