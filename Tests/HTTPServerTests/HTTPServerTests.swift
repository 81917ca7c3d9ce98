import Foundation
import Synchronization
import TestSupport
import Testing

@testable import HTTPServer
@testable import Platform

/// Answers with what it got.
@Sendable private func echo(_ request: HTTPRequest, _ writer: HTTPResponseWriter) {
    let body = "\(request.method) \(request.path) \(String(decoding: request.body, as: UTF8.self))"
    writer.respond(status: 200, headers: [HTTPHeader("Content-Type", "text/plain")], body: Array(body.utf8))
}

private func request(_ method: String, _ path: String, _ fields: String = "", body: String = "") -> String {
    let length = body.isEmpty ? "" : "Content-Length: \(body.utf8.count)\r\n"
    return "\(method) \(path) HTTP/1.1\r\nHost: a\r\n\(fields)\(length)\r\n\(body)"
}

@Suite(.timeLimit(.minutes(10))) struct HTTPServerTests {
    @Test func aConnectionServesOneRequestAfterTheOther() throws {
        let server = try LiveServer(echo)
        let client = try server.connect()
        for number in 0..<3 {
            client.send(request("POST", "/\(number)", body: "b\(number)"))
            let response = try client.readResponse()
            #expect(response.status == 200)
            #expect(response.body == "POST /\(number) b\(number)")
            #expect(response.headers["content-type"] == "text/plain")
            #expect(response.headers["connection"] == nil)
            #expect(response.headers["date"]?.hasSuffix(" GMT") == true)
        }
        #expect(server.onLoop { $0.connectionCount } == 1)
        client.send(request("GET", "/last", "Connection: close\r\n"))
        #expect(try client.readResponse().headers["connection"] == "close")
        #expect(try client.readToEnd() == "")
    }

    @Test func versionOneZeroClosesUnlessItAsksToStay() throws {
        let server = try LiveServer(echo)
        let client = try server.connect()
        client.send("GET /1 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
        #expect(try client.readResponse().headers["connection"] == "keep-alive")
        client.send("GET /2 HTTP/1.0\r\nHost: a\r\n\r\n")
        let response = try client.readResponse()
        #expect(response.headers["connection"] == "close")
        #expect(response.body == "GET /2 ")
        #expect(try client.readToEnd() == "")
    }

    @Test func aHeadRequestAndAStatusWithoutBodyGetNone() throws {
        let server = try LiveServer { request, writer in
            switch request.path {
            case "/stream":
                writer.beginStream(status: 200)
                writer.write([1, 2, 3])
                writer.gather([4])
                writer.end()
            case "/empty": writer.respond(status: 204, body: [1, 2, 3])
            default: echo(request, writer)
            }
        }
        let client = try server.connect()
        client.send(
            request("HEAD", "/abc") + request("HEAD", "/stream") + request("GET", "/empty") + request("GET", "/x"))
        let head = try client.readResponse(hasBody: false)
        #expect(head.headers["content-length"] == "10")
        #expect(try client.readResponse(hasBody: false).headers["transfer-encoding"] == "chunked")
        let empty = try client.readResponse()
        #expect(empty.status == 204)
        #expect(empty.headers["content-length"] == nil)
        #expect(try client.readResponse().body == "GET /x ")
    }

    @Test func pipelinedRequestsAreAnsweredInTheirOrder() throws {
        let asked = Mutex<[String]>([])
        let later = Later()
        let server = try LiveServer { request, writer in
            asked.withLock { $0.append(request.path) }
            guard let number = Int(request.path.dropFirst()) else { return }
            // Some are answered at once, some later: the later ones hold up what follows.
            if number % 3 == 0 { return echo(request, writer) }
            let answer = SendableWriter(writer: writer)
            later.loop.withLock { $0 }?.post { echo(request, answer.writer) }
        }
        later.loop.withLock { $0 = server.loop }
        let client = try server.connect()
        client.send((0..<100).map { request("POST", "/\($0)", body: "x") }.joined())
        for number in 0..<100 { #expect(try client.readResponse().body == "POST /\(number) x") }
        #expect(asked.withLock { $0 } == (0..<100).map { "/\($0)" })
    }

    @Test func aStreamIsChunkedOrEndsWithTheConnection() throws {
        let server = try LiveServer { _, writer in
            writer.beginStream(status: 200, headers: [HTTPHeader("Content-Type", "text/event-stream")])
            writer.write(Array("one".utf8))
            writer.write([])
            writer.gather(Array("two".utf8))
            writer.gather(Array("three".utf8))
            writer.flush()
            writer.end(writing: Array("four".utf8))
            writer.write(Array("too late".utf8))
            writer.respond(status: 500, body: [])
        }
        let client = try server.connect()
        client.send(request("GET", "/"))
        #expect(try client.readHead().headers["transfer-encoding"] == "chunked")
        var chunks: [String] = []
        while let chunk = try client.readChunk() { chunks.append(String(decoding: chunk, as: UTF8.self)) }
        #expect(chunks == ["one", "twothree", "four"])
        client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
        let old = try client.readResponse()
        #expect(old.headers["transfer-encoding"] == nil)
        #expect(old.headers["connection"] == "close")
        #expect(old.body == "onetwothreefour")
    }

    @Test func gatheredPartsLeaveAtTheEndOfTheTurn() throws {
        let writers = Mutex<[SendableWriter]>([])
        let server = try LiveServer { _, writer in
            writers.withLock { $0.append(SendableWriter(writer: writer)) }
            writer.beginStream(status: 200)
            writer.gather([65])
            writer.gather([66])
        }
        let client = try server.connect()
        client.send(request("GET", "/"))
        _ = try client.readHead()
        #expect(try client.readChunk() == [65, 66])
        _ = server.onLoop { _ in writers.withLock { $0.first?.writer.end() } }
        #expect(try client.readChunk() == nil)
    }

    @Test func aClientThatWaitsIsToldToContinue() throws {
        let server = try LiveServer(echo)
        let client = try server.connect()
        client.send("POST /c HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        #expect(try client.readResponse().status == 100)
        client.send("abc")
        #expect(try client.readResponse().body == "POST /c abc")
        // A body that is too large is refused before anything of it is asked for.
        client.send("POST /c HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n")
        let refused = try client.readResponse()
        #expect(refused.status == 413)
        #expect(refused.headers["connection"] == "close")
        #expect(try client.readToEnd() == "")
    }

    @Test(arguments: RequestCases.refused)
    func aRefusalHasABodyAndCloses(probe: RefusedCase) throws {
        let server = try LiveServer(limits: probe.limits, echo)
        let client = try server.connect()
        client.send(probe.text)
        let response = try client.readResponse()
        #expect(response.status == probe.status)
        #expect(response.headers["content-type"] == "application/json")
        #expect(response.body == "{\"code\":\"\(probe.code.rawValue)\"}")
        #expect(try client.readToEnd() == "")
        #expect(server.refusals.all == [probe.code])
    }

    @Test func aRefusalIsSeenByAClientThatSendsAllOfALargeBodyFirst() throws {
        let port = Mutex<UInt16>(0)
        let server = try LiveServer(
            prepare: { server in
                let bound = try server.listen(host: "127.0.0.1", port: 0)
                port.withLock { $0 = bound }
            }, echo)
        let client = TestClient(descriptor: try connectTCP(port: port.withLock { $0 }))
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000000\r\n\r\n")
        #expect(client.send([UInt8](repeating: 120, count: 40_000_000)))
        #expect(try client.readResponse().status == 413)
        #expect(server.refusals.all == [.bodyTooLarge])
    }

    @Test func aBodyInManyPiecesArrivesWhole() throws {
        let server = try LiveServer { request, writer in
            writer.respond(status: 200, body: Array("\(request.body.count) \(Set(request.body).count)".utf8))
        }
        let client = try server.connect()
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n")
        client.send([UInt8](repeating: 120, count: 5_000_000))
        #expect(try client.readResponse().body == "5000000 1")
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in 0..<1000 { client.send("3e8\r\n\(String(repeating: "x", count: 1000))\r\n") }
        client.send("0\r\n\r\n")
        #expect(try client.readResponse().body == "1000000 1")
    }

    @Test func aLargeResponseArrivesWholeWhenTheClientReadsLate() throws {
        let size = 8_000_000
        let server = try LiveServer { _, writer in
            writer.respond(status: 200, body: (0..<size).map { UInt8(truncatingIfNeeded: $0 / 1000) })
        }
        let client = try server.connect()
        client.send(request("GET", "/1") + request("GET", "/2"))
        for _ in 0..<2 {
            _ = try client.readHead()
            while client.received.count < size { try client.readMore() }
            let body = client.received.prefix(size)
            #expect(body.enumerated().allSatisfy { $1 == UInt8(truncatingIfNeeded: $0 / 1000) })
            client.forget(size)
        }
    }

    @Test func requestsThatSmuggleAnotherOneGetOneRefusal() throws {
        let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
        let attacks = [
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(hidden.utf8.count)\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: \(hidden.utf8.count)\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\nContent-Length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\u{B}chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent\r\n -Length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab0\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
        ]
        for attack in attacks {
            let paths = Mutex<[String]>([])
            let server = try LiveServer { request, writer in
                paths.withLock { $0.append(request.path) }
                echo(request, writer)
            }
            let client = try server.connect()
            client.send(attack + hidden)
            let answer = try client.readToEnd()
            #expect(answer.hasPrefix("HTTP/1.1 400 "), "\(attack)")
            #expect(answer.components(separatedBy: "HTTP/1.1 ").count == 2, "\(attack)")
            #expect(paths.withLock { $0 }.isEmpty, "\(attack)")
        }
    }
}

/// The loop on which a handler answers in a later turn.
private final class Later: Sendable {
    let loop = Mutex<EventLoop?>(nil)
}

/// A writer that a test takes to the loop's thread again.
struct SendableWriter: @unchecked Sendable {
    let writer: HTTPResponseWriter
}

func connectTCP(port: UInt16) throws -> Int32 {
    let socket = try Socket.connectTCP(host: "127.0.0.1", port: port).release()
    var wait = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
    try #require(poll(&wait, 1, 10_000) == 1)
    #expect(Socket.connectionError(socket) == nil)
    return socket
}
