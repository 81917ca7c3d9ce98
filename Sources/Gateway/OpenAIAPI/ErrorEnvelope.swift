public import HTTPServer
import JSON

extension APIError {
    /// `{"error": {"message", "type", "param", "code"}}`.
    public func writeEnvelope(into writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("error")
        writer.beginObject()
        writer.key("message")
        writer.string(message)
        writer.key("type")
        writer.string(type)
        writer.key("param")
        if let parameter { writer.string(parameter) } else { writer.null() }
        writer.key("code")
        writer.string(code)
        writer.endObject()
        writer.endObject()
    }

    public var body: [UInt8] {
        var writer = JSONWriter()
        writeEnvelope(into: &writer)
        return writer.bytes
    }

    /// What the client needs to decide about a retry, and what 401 must carry.
    public var headers: [HTTPHeader] {
        var headers = [HTTPHeader(name: "content-type", value: "application/json")]
        if let retryAfterMilliseconds {
            headers.append(
                HTTPHeader(name: "retry-after", value: String((UInt64(retryAfterMilliseconds) + 999) / 1000)))
            headers.append(HTTPHeader(name: "retry-after-ms", value: String(retryAfterMilliseconds)))
        }
        if let shouldRetry { headers.append(HTTPHeader(name: "x-should-retry", value: shouldRetry ? "true" : "false")) }
        if status == 401 { headers.append(HTTPHeader(name: "www-authenticate", value: "Bearer")) }
        return headers
    }

    /// A refusal of the HTTP layer, in the envelope of this API.
    public init(_ refusal: HTTPRefusal) {
        self.init(
            status: refusal.status, type: refusal.status == 503 ? "server_error" : "invalid_request_error",
            code: refusal.code, message: refusal.message)
    }
}
