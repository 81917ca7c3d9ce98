import Foundation
import Glibc

/// A blocking HTTP/1.1 client over a plain socket that shows the bytes as they are: for tests of what a user sees.
public final class HTTPExchange {
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    public private(set) var status = 0
    public private(set) var headers: [String: String] = [:]
    public private(set) var body: [UInt8] = []
    private let noSignal = Int32(MSG_NOSIGNAL)
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private var chunked = false
    private var remaining: Int?
    public private(set) var isComplete = false

    /// Connects and sends `bytes`; nothing is read yet.
    public init(port: UInt16, bytes: [UInt8], timeoutSeconds: Int = 60) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var timeout = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard connected == 0 else { throw Failure(description: "connect: errno \(errno)") }
        try send(bytes)
    }

    deinit { close(descriptor) }

    public static func request(
        _ method: String, _ path: String, port: UInt16, headers: [String: String] = [:], body: String? = nil
    ) -> [UInt8] {
        var text = "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\n"
        for (name, value) in headers { text += "\(name): \(value)\r\n" }
        if let body {
            text += "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        } else {
            text += "\r\n"
        }
        return Array(text.utf8)
    }

    /// One exchange from start to end.
    public static func get(port: UInt16, _ path: String, headers: [String: String] = [:]) throws -> HTTPExchange {
        let exchange = try HTTPExchange(port: port, bytes: request("GET", path, port: port, headers: headers))
        try exchange.readAll()
        return exchange
    }

    public static func post(
        port: UInt16, _ path: String, _ json: String, headers: [String: String] = [:]
    ) throws -> HTTPExchange {
        let exchange = try HTTPExchange(
            port: port, bytes: request("POST", path, port: port, headers: headers, body: json))
        try exchange.readAll()
        return exchange
    }

    public var text: String { String(decoding: body, as: UTF8.self) }

    public func json() throws -> [String: Any] {
        let value = try JSONSerialization.jsonObject(with: Data(body))
        guard let object = value as? [String: Any] else { throw Failure(description: "no object: \(text)") }
        return object
    }

    /// The `data:` payloads of an event stream that have come so far.
    public var serverSentEvents: [String] {
        text.components(separatedBy: "\n\n").compactMap { $0.hasPrefix("data: ") ? String($0.dropFirst(6)) : nil }
    }

    public func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, noSignal)
            }
            guard count > 0 else { throw Failure(description: "send: errno \(errno)") }
            sent += count
        }
    }

    /// Sends the next request on the same connection; its answer takes the place of the last one.
    public func sendNext(_ bytes: [UInt8]) throws {
        (status, headers, body, isComplete) = (0, [:], [], false)
        try send(bytes)
    }

    /// Closes the connection at once, as a client that is killed does.
    public func abandon() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    public func readAll() throws {
        while !isComplete { try readMore() }
    }

    /// Reads until `condition` holds or the answer ends.
    public func read(until condition: (HTTPExchange) -> Bool) throws {
        while !isComplete, !condition(self) { try readMore() }
    }

    private func readMore() throws {
        var chunk = [UInt8](repeating: 0, count: 65536)
        var count: Int
        repeat {
            count = chunk.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
        } while count < 0 && errno == EINTR
        guard count >= 0 else { throw Failure(description: "recv: errno \(errno) after \(text.suffix(300))") }
        if count == 0 {
            guard status != 0, !chunked, remaining == nil else {
                throw Failure(description: "closed early; status \(status); \(text.suffix(300))")
            }
            isComplete = true
            return
        }
        buffer += chunk[..<count]
        if status == 0 { try parseHead() }
        if status != 0 { try parseBody() }
    }

    private func parseHead() throws {
        guard let end = buffer.firstRange(of: Array("\r\n\r\n".utf8)) else { return }
        let lines = String(decoding: buffer[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        let words = lines[0].split(separator: " ")
        guard words.count > 1, let code = Int(words[1]) else { throw Failure(description: "no status: \(lines[0])") }
        buffer.removeSubrange(..<end.upperBound)
        if code == 100 { return try parseHead() }
        status = code
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(
                in: .whitespaces)
        }
        chunked = headers["transfer-encoding"] == "chunked"
        remaining = chunked ? nil : headers["content-length"].flatMap { Int($0) }
        if code == 204 || code == 304 { remaining = 0 }
    }

    private func parseBody() throws {
        if !chunked {
            body += buffer
            buffer = []
            if let remaining, body.count >= remaining {
                self.remaining = nil
                isComplete = true
            }
            return
        }
        while let line = buffer.firstRange(of: Array("\r\n".utf8)) {
            let text = String(decoding: buffer[..<line.lowerBound], as: UTF8.self)
            guard let size = Int(text, radix: 16) else { throw Failure(description: "chunk size: \(text)") }
            guard buffer.count >= line.upperBound + size + 2 else { return }
            body += buffer[line.upperBound..<line.upperBound + size]
            buffer.removeSubrange(..<(line.upperBound + size + 2))
            if size == 0 {
                chunked = false
                isComplete = true
                return
            }
        }
    }
}
