public import HTTPServer
import JSON

extension APIError {
    /// `{"error": {"message", "type", "param", "code"}}`.
    func writeEnvelope(into writer: inout JSONWriter) {
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
        var headers = [HTTPHeader("content-type", "application/json")]
        if let retryAfterMilliseconds {
            headers.append(
                HTTPHeader("retry-after", String((UInt64(retryAfterMilliseconds) + 999) / 1000)))
            headers.append(HTTPHeader("retry-after-ms", String(retryAfterMilliseconds)))
        }
        if let shouldRetry { headers.append(HTTPHeader("x-should-retry", shouldRetry ? "true" : "false")) }
        if status == 401 { headers.append(HTTPHeader("www-authenticate", "Bearer")) }
        return headers
    }

    /// A refusal of the HTTP layer, in the envelope of this API.
    public init(_ refusal: HTTPRefusal) {
        self.init(
            status: refusal.status, type: refusal.status == 503 ? "server_error" : "invalid_request_error",
            code: refusal.code.rawValue, message: refusal.message)
    }
}
