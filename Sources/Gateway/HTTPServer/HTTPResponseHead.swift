/// Writes status lines and header fields of responses.
enum HTTPResponseHead {
    /// How the client learns where the body ends.
    enum Framing {
        case length(Int)
        case chunked
        case close
        /// 204 and 304: there is no body by definition.
        case none
    }

    /// Appends a whole head to `bytes`.
    ///
    /// Fields that frame the message belong to the server: those that a handler gives are left out. Control characters
    /// in values become blanks, so that no handler can be made to write a field of somebody else's choosing.
    static func append(
        to bytes: inout [UInt8], status: Int, headers: [HTTPHeader], framing: Framing, version: HTTPVersion,
        keepsAlive: Bool, date: [UInt8]
    ) {
        append(&bytes, "HTTP/1.1 ")
        appendDecimal(&bytes, status)
        append(&bytes, " ")
        append(&bytes, reason(status))
        append(&bytes, "\r\nDate: ")
        bytes += date
        switch framing {
        case .length(let length):
            append(&bytes, "\r\nContent-Length: ")
            appendDecimal(&bytes, length)
        case .chunked: append(&bytes, "\r\nTransfer-Encoding: chunked")
        case .close, .none: break
        }
        if !keepsAlive {
            append(&bytes, "\r\nConnection: close")
        } else if version == .oneZero {
            append(&bytes, "\r\nConnection: keep-alive")
        }
        for header in headers where isAllowed(header.name) { append(&bytes, header) }
        append(&bytes, "\r\n\r\n")
    }

    private static func append(_ bytes: inout [UInt8], _ header: HTTPHeader) {
        append(&bytes, "\r\n")
        bytes += header.name.utf8
        append(&bytes, ": ")
        let start = bytes.count
        bytes += header.value.utf8
        for index in start..<bytes.count where !HTTPGrammar.isFieldByte(bytes[index]) { bytes[index] = 0x20 }
    }

    private static func isAllowed(_ name: String) -> Bool {
        guard !name.isEmpty, name.utf8.allSatisfy(HTTPGrammar.nameCharacters.contains) else { return false }
        switch name.utf8.count {
        case 4: return !isSame(name, "date")
        case 10: return !isSame(name, "connection")
        case 14: return !isSame(name, "content-length")
        case 17: return !isSame(name, "transfer-encoding")
        default: return true
        }
    }

    static func isSame(_ name: String, _ lowerCase: StaticString) -> Bool {
        var name = name
        return name.withUTF8 { HTTPGrammar.matches(UnsafeRawBufferPointer($0)[...], lowerCase) }
    }

    static func append(_ bytes: inout [UInt8], _ text: StaticString) {
        text.withUTF8Buffer { bytes.append(contentsOf: $0) }
    }

    static func appendDecimal(_ bytes: inout [UInt8], _ number: Int) {
        appendDigits(&bytes, UInt64(max(0, number)), radix: 10)
    }

    static func appendHexadecimal(_ bytes: inout [UInt8], _ number: Int) {
        appendDigits(&bytes, UInt64(max(0, number)), radix: 16)
    }

    private static func appendDigits(_ bytes: inout [UInt8], _ number: UInt64, radix: UInt64) {
        let start = bytes.count
        var rest = number
        repeat {
            let digit = UInt8(rest % radix)
            bytes.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
            rest /= radix
        } while rest > 0
        bytes[start...].reverse()
    }

    /// The usual words; a status without one gets an empty reason, which HTTP allows.
    private static func reason(_ status: Int) -> StaticString {
        switch status {
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 304: "Not Modified"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 421: "Misdirected Request"
        case 422: "Unprocessable Content"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 499: "Client Closed Request"
        case 500: "Internal Server Error"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: ""
        }
    }
}
