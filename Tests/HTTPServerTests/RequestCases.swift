import Testing

@testable import HTTPServer

/// One text that the server refuses, and how.
struct RefusedCase: CustomTestStringConvertible {
    let name: String
    let text: String
    let status: Int
    let code: HTTPRefusal.Code
    let header: String?
    var limits = HTTPLimits()

    init(
        _ name: String, _ text: String, _ code: HTTPRefusal.Code, status: Int = 400, header: String? = nil,
        limits: HTTPLimits = HTTPLimits()
    ) {
        self.name = name
        self.text = text
        self.status = status
        self.code = code
        self.header = header
        self.limits = limits
    }

    var testDescription: String { name }
}

struct AcceptedCase: CustomTestStringConvertible {
    let text: String
    let results: [Parsed]
    var testDescription: String { text.debugDescription }
}

enum RequestCases {
    private static let post = "POST /p HTTP/1.1\r\nHost: a\r\n"
    private static let chunked = post + "Transfer-Encoding: chunked\r\n\r\n"
    private static let get = "GET / HTTP/1.1\r\n"

    /// Small enough that a text over them can be cut at every place.
    static let tight: HTTPLimits = {
        var limits = HTTPLimits()
        limits.requestLineBytes = 40
        limits.headerFieldBytes = 30
        limits.headerFields = 4
        limits.headerBytes = 80
        limits.bodyBytes = 10
        limits.chunkExtensionBytes = 8
        limits.chunkExtensionsBytes = 12
        return limits
    }()

    static let refused: [RefusedCase] = requestLines + lineEnds + fields + hosts + framing + chunks + sizes

    private static let requestLines = [
        RefusedCase("TLS", "\u{16}\u{3}\u{1}", .malformedRequestLine),
        RefusedCase("a blank first", " GET / HTTP/1.1\r\n", .malformedRequestLine),
        RefusedCase("three empty lines", "\r\n\r\n\r\n", .malformedRequestLine),
        RefusedCase("one word", "GET\r\n", .malformedRequestLine),
        RefusedCase("no version", "GET /\r\n", .malformedRequestLine),
        RefusedCase("two blanks", "GET  / HTTP/1.1\r\n", .invalidTarget),
        RefusedCase("a blank in the target", "GET /a b HTTP/1.1\r\n", .invalidTarget),
        RefusedCase("a blank after the version", "GET / HTTP/1.1 \r\n", .malformedRequestLine),
        RefusedCase("a tab as separator", "GET\t/ HTTP/1.1\r\n", .malformedRequestLine),
        RefusedCase("a control character in the method", "G\u{1}T / HTTP/1.1\r\n", .malformedRequestLine),
        RefusedCase("lower-case version", "GET / http/1.1\r\n", .malformedRequestLine),
        RefusedCase("another protocol", "GET / RTSP/1.0\r\n", .malformedRequestLine),
        RefusedCase("HTTP/2", "PRI * HTTP/2.0\r\n", .unsupportedVersion, status: 505),
        RefusedCase("HTTP/1.2", "GET / HTTP/1.2\r\n", .unsupportedVersion, status: 505),
        RefusedCase("absolute form", "GET http://a/ HTTP/1.1\r\n", .invalidTarget),
        RefusedCase("authority form", "CONNECT a:80 HTTP/1.1\r\n", .invalidTarget),
        RefusedCase("an asterisk for GET", "GET * HTTP/1.1\r\n", .invalidTarget),
        RefusedCase("a relative path", "GET a HTTP/1.1\r\n", .invalidTarget),
        RefusedCase("a fragment", "GET /#a HTTP/1.1\r\n", .invalidTarget),
        RefusedCase("a broken escape", "GET /%2 HTTP/1.1\r\n", .invalidTarget),
        RefusedCase("an escape that is no number", "GET /%zz HTTP/1.1\r\n", .invalidTarget),
        RefusedCase("a quote in the target", "GET /\" HTTP/1.1\r\n", .invalidTarget),
        RefusedCase("bytes above ASCII in the target", "GET /δ HTTP/1.1\r\n", .invalidTarget),
        RefusedCase("a zero byte in the target", "GET /\u{0} HTTP/1.1\r\n", .invalidTarget),
    ]

    private static let lineEnds = [
        RefusedCase("bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", .malformedLineEnd),
        RefusedCase("bare LF after a field", get + "Host: a\n\r\n", .malformedLineEnd),
        RefusedCase("bare LF at the end", get + "Host: a\r\n\n", .malformedLineEnd),
        RefusedCase("bare LF first", "\nGET / HTTP/1.1\r\n", .malformedLineEnd),
        RefusedCase("bare CR in a value", get + "Host: a\rb: c\r\n", .malformedHeader, header: "host"),
        RefusedCase("bare CR in the request line", "GET / HTTP/1.1\rHost: a\r\n", .malformedRequestLine),
        RefusedCase("two CRs", get + "X: a\r\r\n", .malformedHeader, header: "x"),
        RefusedCase("bare LF after a chunk size", chunked + "1\na\r\n", .malformedLineEnd),
    ]

    private static let fields = [
        RefusedCase("a folded line", get + "X: a\r\n b\r\n", .malformedHeader),
        RefusedCase("a line folded with a tab", get + "X: a\r\n\tb\r\n", .malformedHeader),
        RefusedCase("a blank after the request line", get + " Host: a\r\n", .malformedHeader),
        RefusedCase("no colon", get + "Host\r\n", .malformedHeader),
        RefusedCase("no name", get + ": a\r\n", .malformedHeader),
        RefusedCase("a blank before the colon", get + "Host : a\r\n", .malformedHeader),
        RefusedCase("an underscore", get + "Content_Length: 1\r\n", .malformedHeader),
        RefusedCase("a character outside the set", get + "Fo@: a\r\n", .malformedHeader),
        RefusedCase("bytes above ASCII in a name", get + "Hö: a\r\n", .malformedHeader),
        RefusedCase("a zero byte in a value", get + "X: a\u{0}b\r\n", .malformedHeader, header: "x"),
        RefusedCase("DEL in a value", get + "X: a\u{7F}\r\n", .malformedHeader, header: "x"),
        RefusedCase(
            "another expectation", get + "Host: a\r\nExpect: 200-ok\r\n\r\n", .unsupportedExpectation, status: 417,
            header: "expect"),
    ]

    private static let hosts =
        [
            RefusedCase("no Host", get + "\r\n", .invalidHost, header: "host"),
            RefusedCase("no Host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", .invalidHost, header: "host"),
            RefusedCase("two Hosts", get + "Host: a\r\nhost: a\r\n\r\n", .duplicateHeader, header: "host"),
        ]
        + [
            "", "a b", "a,b", "a/b", "u@a", "a:", "a:x", "a:65536", "a:1:2", ":80", "[::1", "[]", "[g::1]", "[::1]x",
            "0=1",
        ]
        .map { RefusedCase("Host \($0.debugDescription)", get + "Host: \($0)\r\n\r\n", .invalidHost, header: "host") }

    private static let framing =
        [
            RefusedCase(
                "both framings", post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
                .invalidTransferEncoding, header: "transfer-encoding"),
            RefusedCase(
                "both framings the other way round", post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
                .invalidTransferEncoding, header: "transfer-encoding"),
            RefusedCase(
                "chunked in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
                .invalidTransferEncoding, header: "transfer-encoding"),
            RefusedCase(
                "two lengths", post + "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", .duplicateHeader,
                header: "content-length"),
            RefusedCase(
                "two types", post + "Content-Type: a/b\r\nContent-Type: a/b\r\n\r\n", .duplicateHeader,
                header: "content-type"),
            RefusedCase(
                "two codings", post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                .duplicateHeader, header: "transfer-encoding"),
        ]
        + ["", "gzip", "gzip, chunked", "chunked, chunked", "chunked;q=1", "xchunked", "chunked,", "identity"].map {
            RefusedCase(
                "coding \($0.debugDescription)", post + "Transfer-Encoding: \($0)\r\n\r\n", .invalidTransferEncoding,
                header: "transfer-encoding")
        }
        + ["", "-1", "+1", "1 2", "1,1", "0x10", "1.0", "ten", "１"].map {
            RefusedCase(
                "length \($0.debugDescription)", post + "Content-Length: \($0)\r\n\r\n", .invalidContentLength,
                header: "content-length")
        }
        + ["33554433", "99999999999999999999999999", "9223372036854775807"].map {
            RefusedCase("length \($0)", post + "Content-Length: \($0)\r\n\r\n", .bodyTooLarge, status: 413)
        }

    private static let chunks =
        [
            "", "g", "-1", "0x5", "5 ", " 5", "+5", "5;", "5 ;a=b", "5;=b", "5;a=", "5;a=\"b", "5;a\u{1}",
            "0000000000000001",
        ]
        .map { RefusedCase("chunk size \($0.debugDescription)", chunked + "\($0)\r\n", .malformedChunk) }
        + [
            RefusedCase("a chunk too long", chunked + "1\r\nab\r\n", .malformedChunk),
            RefusedCase("a chunk that ends with LF", chunked + "1\r\na\n", .malformedChunk),
            RefusedCase("a chunk that ends with CR", chunked + "1\r\na\r0", .malformedChunk),
            RefusedCase("a huge chunk", chunked + "fffffffffffffff\r\n", .bodyTooLarge, status: 413),
            RefusedCase("a folded trailer", chunked + "0\r\nX: a\r\n b\r\n", .malformedHeader),
            RefusedCase("a malformed trailer", chunked + "0\r\nX\r\n", .malformedHeader),
        ]
        + ["content-length", "transfer-encoding", "host", "content-type", "connection", "authorization"].map {
            RefusedCase("\($0) in a trailer", chunked + "0\r\n\($0.uppercased()): 1\r\n", .forbiddenTrailer, header: $0)
        }

    private static let sizes = [
        RefusedCase(
            "a long request line", "GET /\(String(repeating: "a", count: 60)) HTTP/1.1\r\n", .requestLineTooLong,
            status: 414, limits: tight),
        RefusedCase(
            "a long line without an end", String(repeating: "a", count: 60), .requestLineTooLong, status: 414,
            limits: tight),
        RefusedCase(
            "a long field", get + "Xxxxx: \(String(repeating: "a", count: 30))\r\n", .headersTooLarge, status: 431,
            limits: tight),
        RefusedCase(
            "a long field with a bare LF", get + "X: \(String(repeating: "a", count: 40))\n", .headersTooLarge,
            status: 431, limits: tight),
        RefusedCase(
            "many fields", get + "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n", .headersTooLarge, status: 431,
            limits: tight),
        RefusedCase(
            "long fields together", get + (1...3).map { "X\($0): \(String(repeating: "a", count: 25))\r\n" }.joined(),
            .headersTooLarge, status: 431, limits: tight),
        RefusedCase(
            "trailers count too", post + "Transfer-Encoding: chunked\r\n\r\n0\r\nA: 1\r\nB: 2\r\nC: 3\r\n",
            .headersTooLarge, status: 431, limits: tight),
        RefusedCase("a long body", post + "Content-Length: 11\r\n\r\n", .bodyTooLarge, status: 413, limits: tight),
        RefusedCase(
            "a long body in chunks", chunked + "6\r\nabcdef\r\n5\r\n", .bodyTooLarge, status: 413, limits: tight),
        RefusedCase("a long extension", chunked + "1;aaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", .malformedChunk, limits: tight),
        RefusedCase(
            "long extensions together", chunked + "1;aaaaaa\r\na\r\n1;aaaaaa\r\n", .malformedChunk, limits: tight),
    ]

    static let accepted: [AcceptedCase] = [
        AcceptedCase(text: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", results: [.request("GET / host=a")]),
        AcceptedCase(
            text: "\r\n\r\nGET /a/b?c=d?e%20f HTTP/1.1\r\nHOST:a:80\r\nX-Y: \t b \t c \t\r\nZ:\r\n\r\n",
            results: [.request("GET /a/b?c=d?e%20f host=a:80 x-y=b \t c z=")]),
        AcceptedCase(
            text: "OPTIONS * HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", results: [.request("OPTIONS * host=[::1]:8080")]),
        AcceptedCase(
            text: "GET /? HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n", results: [.request("GET /? 1.0 closes host=127.0.0.1")]),
        AcceptedCase(
            text: "GET / HTTP/1.0\r\nHost: a\r\nConnection: x, Keep-Alive\r\n\r\n",
            results: [.request("GET / 1.0 host=a connection=x, Keep-Alive")]),
        AcceptedCase(
            text: "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, CLOSE\r\n\r\n",
            results: [.request("GET / closes host=a connection=keep-alive, CLOSE")]),
        AcceptedCase(
            text:
                "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 003\r\nX: ü\r\n\r\nabcGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            results: [
                .head(expectsContinue: false), .request("POST /p host=a content-length=003 x=ü body=abc"),
                .request("GET /2 host=a"),
            ]),
        AcceptedCase(
            text: "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            results: [.request("POST /p host=a content-length=0")]),
        AcceptedCase(
            text: "POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
            results: [
                .head(expectsContinue: true), .request("POST /p host=a expect=100-Continue content-length=1 body=x"),
            ]),
        AcceptedCase(
            text: "PUT /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
                + "a;x=y;z=\"q\\\"\"\r\n0123456789\r\n1\r\n!\r\n000\r\nX-Trailer: t\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
            results: [
                .head(expectsContinue: false),
                .request("PUT /p host=a transfer-encoding=Chunked body=0123456789!"), .request("GET /2 host=a"),
            ]),
        AcceptedCase(text: "GET / HTTP/1.1\r\nHost: a\r\n", results: []),
        AcceptedCase(
            text: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcd",
            results: [.head(expectsContinue: false)]),
    ]
}
