/// The fields that decide where a message ends and who it is for, gathered while the header fields come in.
///
/// Two programs that read these fields differently can be made to disagree about where a request begins (request
/// smuggling), so every unclear case is refused.
struct HTTPFraming: Sendable {
    /// How the body is delimited.
    enum Body: Sendable, Equatable {
        case none
        case length(Int)
        case chunked
    }

    private var contentLength: Int?
    private var hasTransferEncoding = false
    private var hasHost = false
    private var hasContentType = false
    private var asksToClose = false
    private var asksToKeepAlive = false
    private(set) var expectsContinue = false

    /// Looks at one field; most of them it does not know.
    mutating func take(
        name: Slice<UnsafeRawBufferPointer>, value: Slice<UnsafeRawBufferPointer>
    ) throws(HTTPRefusal) {
        // One look at the length keeps the other fields cheap.
        switch name.count {
        case 4 where HTTPGrammar.matches(name, "host"):
            try once(&hasHost, "host")
            guard HTTPGrammar.isAuthority(value) else {
                throw .bad(.invalidHost, "The Host header is no host name with an optional port.", header: "host")
            }
        case 6 where HTTPGrammar.matches(name, "expect"):
            guard HTTPGrammar.matches(value, "100-continue") else {
                throw HTTPRefusal(
                    status: 417, code: .unsupportedExpectation,
                    message: "The only expectation that is met is 100-continue.", header: "expect")
            }
            expectsContinue = true
        case 10 where HTTPGrammar.matches(name, "connection"):
            HTTPGrammar.forEachListItem(value) { option in
                if HTTPGrammar.matches(option, "close") { asksToClose = true }
                if HTTPGrammar.matches(option, "keep-alive") { asksToKeepAlive = true }
            }
        case 12 where HTTPGrammar.matches(name, "content-type"):
            try once(&hasContentType, "content-type")
        case 14 where HTTPGrammar.matches(name, "content-length"):
            try takeContentLength(value)
        case 17 where HTTPGrammar.matches(name, "transfer-encoding"):
            try once(&hasTransferEncoding, "transfer-encoding")
            guard HTTPGrammar.matches(value, "chunked") else {
                throw .bad(
                    .invalidTransferEncoding, "The only transfer coding that is understood is chunked.",
                    header: "transfer-encoding")
            }
        default: break
        }
    }

    private mutating func takeContentLength(_ value: Slice<UnsafeRawBufferPointer>) throws(HTTPRefusal) {
        var isThere = contentLength != nil
        try once(&isThere, "content-length")
        if let length = HTTPGrammar.decimal(value) {
            contentLength = length
        } else if !value.isEmpty, value.allSatisfy(HTTPGrammar.digits.contains) {
            contentLength = .max
        } else {
            throw .bad(
                .invalidContentLength, "The Content-Length header is no whole number.", header: "content-length")
        }
    }

    private func once(_ isThere: inout Bool, _ name: String) throws(HTTPRefusal) {
        if isThere { throw .bad(.duplicateHeader, "The \(name) header is there more than once.", header: name) }
        isThere = true
    }

    /// Decides when all fields are there.
    func body(version: HTTPVersion, limits: HTTPLimits) throws(HTTPRefusal) -> Body {
        guard hasHost else { throw .bad(.invalidHost, "The Host header is missing.", header: "host") }
        if hasTransferEncoding {
            let problem: String? =
                if contentLength != nil {
                    "Content-Length and Transfer-Encoding are both there."
                } else if version == .oneZero {
                    "HTTP/1.0 has no transfer codings."
                } else {
                    nil
                }
            if let problem { throw .bad(.invalidTransferEncoding, problem, header: "transfer-encoding") }
            return .chunked
        }
        guard let contentLength, contentLength > 0 else { return .none }
        guard contentLength <= limits.bodyBytes else { throw .bodyTooLarge(limit: limits.bodyBytes) }
        return .length(contentLength)
    }

    /// Whether the connection may be used again: the default depends on the version, and "close" wins.
    func keepsAlive(version: HTTPVersion) -> Bool {
        !asksToClose && (version == .oneOne || asksToKeepAlive)
    }

    /// Fields that would change the meaning of a message after the fact.
    static func isForbiddenInTrailers(_ name: Slice<UnsafeRawBufferPointer>) -> Bool {
        let forbidden: [StaticString] = [
            "content-length", "transfer-encoding", "host", "content-type", "content-encoding", "content-range",
            "connection", "expect", "te", "trailer", "upgrade", "authorization", "cookie", "origin",
        ]
        return forbidden.contains { HTTPGrammar.matches(name, $0) }
    }
}
