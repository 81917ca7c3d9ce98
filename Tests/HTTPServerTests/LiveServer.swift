import Foundation
import Synchronization
import TestSupport

@testable import HTTPServer
@testable import Platform

/// A server on a thread of its own, for tests that talk to it over real sockets.
final class LiveServer: Sendable {
    /// What belongs to the loop's thread once it runs.
    private struct Loop: @unchecked Sendable {
        let server: HTTPServer
    }

    let loop: EventLoop
    private let inside: Loop
    private let thread: Platform.Thread
    let refusals: Refusals

    final class Refusals: Sendable {
        private let codes = Mutex<[HTTPRefusal.Code]>([])
        func add(_ refusal: HTTPRefusal) { codes.withLock { $0.append(refusal.code) } }
        var all: [HTTPRefusal.Code] { codes.withLock { $0 } }
    }

    init(
        limits: HTTPLimits = HTTPLimits(), prepare: (HTTPServer) throws -> Void = { _ in },
        _ handler: @escaping @Sendable (HTTPRequest, HTTPResponseWriter) -> Void
    ) throws {
        let loop = try EventLoop()
        let server = HTTPServer(
            loop: loop, limits: limits, errorBody: { Array("{\"code\":\"\($0.code.rawValue)\"}".utf8) },
            handler: handler)
        let refusals = Refusals()
        server.onRefusal = { refusals.add($0) }
        try prepare(server)
        self.loop = loop
        self.refusals = refusals
        inside = Loop(server: server)
        thread = try Platform.Thread.start(name: "http") { loop.run() }
    }

    deinit {
        onLoop {
            $0.stopListening()
            $0.closeAll()
        }
        loop.stop()
        thread.join()
    }

    /// Runs `work` on the loop and waits for it.
    func onLoop<Value: Sendable>(_ work: @escaping @Sendable (HTTPServer) -> Value) -> Value {
        let inside = inside
        let done = DispatchSemaphore(value: 0)
        let result = Mutex<Value?>(nil)
        loop.post {
            let value = work(inside.server)
            result.withLock { $0 = value }
            done.signal()
        }
        done.wait()
        guard let value = result.withLock({ $0 }) else { preconditionFailure("the loop has not run the work") }
        return value
    }

    /// A new connection that needs no address, on which some bytes have been sent when the server first sees it.
    func connect(sending bytes: [UInt8] = []) throws -> TestClient {
        let pair = try Socket.pair()
        let near = pair.first.release()
        let far = pair.second.release()
        let client = TestClient(descriptor: near)
        client.send(bytes)
        let inside = inside
        loop.post { inside.server.serve(FileDescriptor(owning: far)) }
        return client
    }
}

/// A blocking client that shows what came.
final class TestClient {
    struct Response: Equatable {
        let status: Int
        let headers: [String: String]
        let body: String
    }

    struct Failure: Error, CustomStringConvertible { let description: String }

    let descriptor: Int32
    private(set) var received: [UInt8] = []
    private(set) var isAtEnd = false

    init(descriptor: Int32, timeoutSeconds: Int = 20) {
        self.descriptor = descriptor
        _ = fcntl(descriptor, F_SETFL, 0)
        var timeout = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    /// Sends all bytes; false when the other end is gone.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var start = 0
        while start < bytes.count {
            let count = bytes[start...].withUnsafeBytes {
                Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return false }
            start += count
        }
        return true
    }

    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// Adds what comes next; false at the end.
    @discardableResult
    func readMore() throws -> Bool {
        if isAtEnd { return false }
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        if count < 0, errno == EAGAIN { throw Failure(description: "nothing came; so far: \(text)") }
        if count <= 0 { isAtEnd = true }
        received += buffer[..<max(0, count)]
        return count > 0
    }

    /// Everything until the other end closes.
    func readToEnd() throws -> String {
        while try readMore() {}
        return text
    }

    var text: String { String(decoding: received, as: UTF8.self) }

    func readHead() throws -> (status: Int, headers: [String: String]) {
        let end = Array("\r\n\r\n".utf8)
        var found = received.firstRange(of: end)
        while found == nil {
            guard try readMore() else { throw Failure(description: "no head: \(text.debugDescription)") }
            found = received.firstRange(of: end)
        }
        guard let found else { throw Failure(description: "no head") }
        let lines = String(decoding: received[..<found.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        received.removeSubrange(..<found.upperBound)
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            headers[parts[0].lowercased()] = parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : ""
        }
        let words = lines[0].split(separator: " ")
        guard lines[0].hasPrefix("HTTP/1.1 "), words.count >= 2, let status = Int(words[1]) else {
            throw Failure(description: "no status: \(lines[0])")
        }
        return (status, headers)
    }

    /// One whole response; `hasBody` is false after HEAD.
    func readResponse(hasBody: Bool = true) throws -> Response {
        let (status, headers) = try readHead()
        var body: [UInt8] = []
        if !hasBody || status == 204 || status == 304 || status == 100 {
        } else if let length = headers["content-length"].flatMap(Int.init) {
            body = try take(length)
        } else if headers["transfer-encoding"] == "chunked" {
            while let chunk = try readChunk() { body += chunk }
        } else {
            while try readMore() {}
            body = received
            received = []
        }
        return Response(status: status, headers: headers, body: String(decoding: body, as: UTF8.self))
    }

    /// One chunk, nil for the last one.
    func readChunk() throws -> [UInt8]? {
        let end = Array("\r\n".utf8)
        while received.firstRange(of: end) == nil {
            guard try readMore() else { throw Failure(description: "no chunk") }
        }
        guard let line = received.firstRange(of: end),
            let size = Int(String(decoding: received[..<line.lowerBound], as: UTF8.self), radix: 16)
        else { throw Failure(description: "no chunk size: \(text)") }
        received.removeSubrange(..<line.upperBound)
        let chunk = try take(size)
        guard try take(2) == end else { throw Failure(description: "no end of a chunk") }
        return size == 0 ? nil : chunk
    }

    func forget(_ count: Int) { received.removeFirst(count) }

    private func take(_ count: Int) throws -> [UInt8] {
        while received.count < count {
            guard try readMore() else { throw Failure(description: "\(received.count) bytes of \(count)") }
        }
        let taken = Array(received[..<count])
        received.removeFirst(count)
        return taken
    }
}
