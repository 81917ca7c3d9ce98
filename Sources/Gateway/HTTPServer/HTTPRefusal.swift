/// Why the server answered a request by itself, without asking the handler, and closed the connection.
///
/// The message holds nothing of the request's text, so that it may be logged.
public struct HTTPRefusal: Error, Equatable, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable, CaseIterable {
        case malformedRequestLine = "malformed_request_line"
        case requestLineTooLong = "request_line_too_long"
        case unsupportedVersion = "unsupported_http_version"
        case invalidTarget = "invalid_target"
        case malformedLineEnd = "malformed_line_end"
        case malformedHeader = "malformed_header"
        case headersTooLarge = "headers_too_large"
        case duplicateHeader = "duplicate_header"
        case invalidHost = "invalid_host"
        case invalidContentLength = "invalid_content_length"
        case invalidTransferEncoding = "invalid_transfer_encoding"
        case unsupportedExpectation = "unsupported_expectation"
        case bodyTooLarge = "request_too_large"
        case malformedChunk = "malformed_chunk"
        case forbiddenTrailer = "forbidden_trailer"
        case timeout = "request_timeout"
        case tooManyConnections = "too_many_connections"
        case outOfBodyMemory = "too_many_request_bytes"
    }

    public let status: Int
    public let code: Code
    /// A sentence for the one who wrote the client.
    public let message: String
    /// The lower-case name of the header field that was refused, nil where none is at fault or its name is malformed.
    public let header: String?

    public init(status: Int, code: Code, message: String, header: String? = nil) {
        self.status = status
        self.code = code
        self.message = message
        self.header = header
    }

    public var description: String { "\(status) \(code.rawValue): \(message)" }

    /// Whether trying again later makes sense.
    var isTemporary: Bool { status == 503 }
}

extension HTTPRefusal {
    static func bad(_ code: Code, _ message: String, header: String? = nil) -> HTTPRefusal {
        HTTPRefusal(status: 400, code: code, message: message, header: header)
    }

    static func bodyTooLarge(limit: Int) -> HTTPRefusal {
        HTTPRefusal(
            status: 413, code: .bodyTooLarge, message: "The request body is larger than the limit of \(limit) bytes.")
    }

    static func timeout(_ what: String, seconds: Double) -> HTTPRefusal {
        HTTPRefusal(
            status: 408, code: .timeout, message: "The request's \(what) did not arrive within \(Int(seconds)) seconds."
        )
    }

    static func tooManyConnections(limit: Int) -> HTTPRefusal {
        HTTPRefusal(
            status: 503, code: .tooManyConnections,
            message: "The server has its limit of \(limit) connections open; try again in a moment.")
    }

    static func outOfBodyMemory(limit: Int) -> HTTPRefusal {
        HTTPRefusal(
            status: 503, code: .outOfBodyMemory,
            message: "The bodies of unfinished requests hold their limit of \(limit) bytes; try again in a moment.")
    }
}
