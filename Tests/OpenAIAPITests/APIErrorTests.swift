import EngineProtocol
import HTTPServer
import JSON
import Testing

@testable import OpenAIAPI

@Suite("Errors as clients see them")
struct APIErrorTests {
    /// The architecture's table, case by case.
    @Test(
        "every engine error has its status, type and code",
        arguments: [
            (.invalidRequest(parameter: "n", message: "m"), 400, "invalid_request_error", "invalid_value"),
            (.unauthorized(message: "m"), 401, "authentication_error", "invalid_api_key"),
            (.pathNotAllowed(path: "/x"), 403, "permission_error", "path_not_allowed"),
            (.modelNotFound(model: "x"), 404, "not_found_error", "model_not_found"),
            (
                .contextLengthExceeded(limit: 10, prompt: 8, requested: 5), 400, "invalid_request_error",
                "context_length_exceeded"
            ),
            (.unsupported(feature: "x"), 400, "invalid_request_error", "unsupported"),
            (.queueFull(retryAfterMilliseconds: 1500), 429, "rate_limit_error", "queue_full"),
            (.rateLimited(retryAfterMilliseconds: 1), 429, "rate_limit_error", "rate_limit_exceeded"),
            (.cancelled, 499, "invalid_request_error", "cancelled"),
            (.deadlineExceeded, 504, "server_error", "deadline_exceeded"),
            (.modelNotReady(reason: "r", retryAfterMilliseconds: 1), 503, "server_error", "model_not_ready"),
            (.workerLost(.crashed, retryAfterMilliseconds: 250), 503, "server_error", "worker_lost"),
            (.quarantined, 400, "invalid_request_error", "quarantined"),
            (.resourceExhausted(message: "m", permanent: true), 400, "invalid_request_error", "resource_exhausted"),
            (.resourceExhausted(message: "m", permanent: false), 503, "server_error", "resource_exhausted"),
            (.slowConsumer, 499, "invalid_request_error", "slow_consumer"),
            (.internalError(id: "i", message: "m"), 500, "server_error", "internal_error"),
        ] as [(EngineError, Int, String, String)])
    func table(error: EngineError, status: Int, type: String, code: String) {
        let seen = APIError(error)
        #expect(seen.status == status && seen.type == type && seen.code == code)
    }

    @Test("the headers tell a client when to come back, and when not to")
    func headers() {
        func names(_ error: EngineError) -> [String: String] {
            Dictionary(APIError(error).headers.map { ($0.name, $0.value) }) { $1 }
        }
        let full = names(.queueFull(retryAfterMilliseconds: 1500))
        #expect(full["retry-after"] == "2" && full["retry-after-ms"] == "1500")
        #expect(names(.workerLost(.crashed, retryAfterMilliseconds: 250))["retry-after"] == "1")
        #expect(names(.deadlineExceeded)["x-should-retry"] == "false")
        #expect(names(.internalError(id: "", message: ""))["x-should-retry"] == "false")
        #expect(names(.unauthorized(message: ""))["www-authenticate"] == "Bearer")
        #expect(names(.cancelled)["retry-after"] == nil)
        let failed = names(.modelNotReady(reason: "damaged file", retryAfterMilliseconds: 0))
        #expect(failed["retry-after"] == nil && failed["x-should-retry"] == "false")
    }

    @Test("the envelope has four members, and codes are strings")
    func envelope() throws {
        let error = APIError(.contextLengthExceeded(limit: 10, prompt: 8, requested: 5))
        let object = try #require(try JSONValue.parse(error.body)["error"]?.objectValue)
        #expect(object.members.map(\.key) == ["message", "type", "param", "code"])
        #expect(object["param"] == .null && object["code"]?.stringValue == "context_length_exceeded")
        let message = try #require(object["message"]?.stringValue)
        for number in ["10", "13", "8", "5"] { #expect(message.contains(number)) }
        let named = try JSONValue.parse(APIError(.modelNotFound(model: "a\"b")).body)["error"]
        #expect(named?["param"]?.stringValue == "model")
    }
}
