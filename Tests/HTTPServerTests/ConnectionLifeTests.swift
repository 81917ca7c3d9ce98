import Foundation
import Synchronization
import TestSupport
import Testing

@testable import HTTPServer
@testable import Platform

/// Clients that leave, wait, come in crowds or send nonsense.
@Suite(.timeLimit(.minutes(10))) struct ConnectionLifeTests {
    private static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    /// Holds the requests back and counts the clients that are gone.
    private final class Waiting: Sendable {
        let writers = Mutex<[SendableWriter]>([])
        let gone = Mutex<Int>(0)
        let begun = DispatchSemaphore(value: 0)
        let left = DispatchSemaphore(value: 0)

        func handle(_ writer: HTTPResponseWriter, streams: Bool) {
            writer.onClientGone = {
                self.gone.withLock { $0 += 1 }
                self.left.signal()
            }
            if streams {
                writer.beginStream(status: 200)
                writer.write([1])
            }
            writers.withLock { $0.append(SendableWriter(writer: writer)) }
            begun.signal()
        }
    }

    @Test(arguments: [false, true], [false, true])
    func aClientThatLeavesIsNoticedExactlyOnce(streams: Bool, onlyHalf: Bool) throws {
        let waiting = Waiting()
        let server = try LiveServer { _, writer in waiting.handle(writer, streams: streams) }
        do {
            let client = try server.connect()
            client.send(Self.get)
            waiting.begun.wait()
            #expect(server.onLoop { $0.connectionCount } == 1)
            // Closing the read side only is leaving, too.
            if onlyHalf {
                shutdown(client.descriptor, Int32(SHUT_WR))
                waiting.left.wait()
            }
        }
        if !onlyHalf { waiting.left.wait() }
        let state = server.onLoop { server in
            let writer = waiting.writers.withLock { $0[0].writer }
            // Whatever comes now does nothing.
            writer.write([2])
            writer.end()
            writer.respond(status: 200, body: [])
            return (server.connectionCount, writer.isOpen, writer.pendingBytes)
        }
        #expect(state == (0, false, 0))
        #expect(waiting.gone.withLock { $0 } == 1)
    }

    @Test func aClientThatLeavesAfterTheResponseIsNotReported() throws {
        let waiting = Waiting()
        let server = try LiveServer { _, writer in
            waiting.handle(writer, streams: false)
            writer.respond(status: 200, body: [65])
        }
        do {
            let client = try server.connect()
            client.send(Self.get)
            #expect(try client.readResponse().body == "A")
        }
        while server.onLoop({ $0.connectionCount }) > 0 {}
        #expect(waiting.gone.withLock { $0 } == 0)
    }

    @Test func aSlowReaderIsSeenInPendingBytesAndIsDrained() throws {
        let waiting = Waiting()
        let drained = DispatchSemaphore(value: 0)
        let server = try LiveServer { _, writer in
            waiting.handle(writer, streams: true)
            writer.onDrained = { drained.signal() }
        }
        let client = try server.connect()
        client.send(Self.get)
        waiting.begun.wait()
        let block = [UInt8](repeating: 7, count: 100_000)
        let pending = server.onLoop { _ in
            let writer = waiting.writers.withLock { $0[0].writer }
            for _ in 0..<30 { writer.write(block) }
            return writer.pendingBytes
        }
        #expect(pending > 1_000_000)
        _ = try client.readHead()
        #expect(try client.readChunk() == [1])
        for _ in 0..<30 { #expect(try client.readChunk() == block) }
        drained.wait()
        #expect(server.onLoop { _ in waiting.writers.withLock { $0[0].writer.pendingBytes } } == 0)
        server.onLoop { _ in waiting.writers.withLock { $0[0].writer.end() } }
        #expect(try client.readChunk() == nil)
        client.send(Self.get)
        waiting.begun.wait()
    }

    @Test func aClientThatReadsNothingForTooLongIsGone() throws {
        var limits = HTTPLimits()
        limits.writeStallSeconds = 0.05
        let waiting = Waiting()
        let server = try LiveServer(limits: limits) { _, writer in
            waiting.handle(writer, streams: true)
            writer.write([UInt8](repeating: 7, count: 4_000_000))
        }
        let client = try server.connect()
        client.send(Self.get)
        waiting.left.wait()
        #expect(waiting.gone.withLock { $0 } == 1)
        _ = try client.readToEnd()
    }

    @Test(arguments: [
        ("GET / HTTP/1.1\r\nHost", "HTTP/1.1 408 "), ("\r\n", "HTTP/1.1 408 "),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", "HTTP/1.1 408 "),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "HTTP/1.1 408 "), ("", ""),
    ])
    func aClientThatIsTooSlowIsToldSo(text: String, answer: String) throws {
        var limits = HTTPLimits()
        limits.headSeconds = 0.05
        limits.bodyReadSeconds = 0.05
        limits.idleSeconds = 0.05
        limits.lingerSeconds = 0.05
        let server = try LiveServer(limits: limits) { _, writer in writer.respond(status: 200, body: []) }
        let client = try server.connect(sending: Array(text.utf8))
        let got = try client.readToEnd()
        #expect(answer.isEmpty ? got.isEmpty : got.hasPrefix(answer), "\(got)")
        #expect(server.refusals.all == (answer.isEmpty ? [] : [.timeout]))
    }

    @Test func drippingBytesDoNotStretchTheTimeOfTheHead() throws {
        var limits = HTTPLimits()
        limits.headSeconds = 0.2
        let server = try LiveServer(limits: limits) { _, writer in writer.respond(status: 200, body: []) }
        let client = try server.connect()
        let start = MonotonicClock.now()
        client.send("GET / HTTP/1.1\r\nX: ")
        var wait = pollfd(fd: client.descriptor, events: Int16(POLLIN), revents: 0)
        while poll(&wait, 1, 10) == 0 {
            client.send("a")
            try #require(MonotonicClock.now() - start < 20_000_000_000)
        }
        #expect(try client.readResponse().status == 408)
    }

    @Test func connectionsOverTheLimitGetAClearAnswer() throws {
        var limits = HTTPLimits()
        limits.connections = 2
        limits.surplusConnections = 1
        let server = try LiveServer(limits: limits) { _, writer in writer.respond(status: 200, body: [65]) }
        let first = try server.connect()
        first.send(Self.get)
        #expect(try first.readResponse().status == 200)
        do {
            let second = try server.connect()
            second.send(Self.get)
            #expect(try second.readResponse().status == 200)
            let third = try server.connect()
            let refused = try third.readResponse()
            #expect(refused.status == 503)
            #expect(refused.headers["retry-after"] == "1")
            #expect(refused.headers["connection"] == "close")
            // While the third one is still open, a fourth one is only closed.
            #expect(try server.connect().readToEnd() == "")
            first.send(Self.get)
            #expect(try first.readResponse().status == 200)
        }
        while server.onLoop({ $0.connectionCount }) > 1 {}
        let again = try server.connect()
        again.send(Self.get)
        #expect(try again.readResponse().status == 200)
    }

    @Test func bodiesOfManyConnectionsTogetherAreBounded() throws {
        var limits = HTTPLimits()
        limits.unfinishedBodiesBytes = 100_000
        let server = try LiveServer(limits: limits) { request, writer in
            writer.respond(status: 200, body: Array("\(request.body.count)".utf8))
        }
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n"
        let first = try server.connect()
        first.send(head + String(repeating: "x", count: 60_000))
        // The second one goes over the bound as soon as the first one's bytes have been read.
        let second = try server.connect()
        second.send(head + String(repeating: "x", count: 60_000))
        first.send(String(repeating: "x", count: 10_000))
        second.send(String(repeating: "x", count: 10_000))
        let statuses = [try first.readResponse().status, try second.readResponse().status].sorted()
        #expect(statuses == [200, 503] || statuses == [200, 200])
        // What was held is given back, by refusals and by requests.
        for _ in 0..<5 {
            let next = try server.connect()
            next.send(head + String(repeating: "x", count: 70_000))
            #expect(try next.readResponse().body == "70000")
        }
    }

    @Test func drainingClosesIdleConnectionsAndLetsTheOthersFinish() throws {
        let waiting = Waiting()
        let server = try LiveServer { _, writer in waiting.handle(writer, streams: false) }
        let idle = try server.connect()
        let busy = try server.connect()
        busy.send(Self.get)
        waiting.begun.wait()
        let done = DispatchSemaphore(value: 0)
        server.onLoop { server in
            server.stopListening()
            server.drain { done.signal() }
        }
        #expect(try idle.readToEnd() == "")
        #expect(done.wait(timeout: .now()) == .timedOut)
        server.onLoop { _ in waiting.writers.withLock { $0[0].writer.respond(status: 200, body: [65]) } }
        let response = try busy.readResponse()
        #expect(response.body == "A")
        #expect(response.headers["connection"] == "close")
        #expect(try busy.readToEnd() == "")
        shutdown(busy.descriptor, Int32(SHUT_WR))
        done.wait()
    }

    @Test func anAnnouncedEndLetsAnOpenConnectionAskOnceMore() throws {
        let server = try LiveServer { _, writer in writer.respond(status: 200, body: [65]) }
        let kept = try server.connect()
        kept.send(Self.get)
        #expect(try kept.readResponse().headers["connection"] == nil)
        server.onLoop { $0.announceEnd() }
        kept.send(Self.get)
        #expect(try kept.readResponse().headers["connection"] == "close")
        #expect(try kept.readToEnd() == "")
        let next = try server.connect()
        next.send(Self.get)
        #expect(try next.readResponse().headers["connection"] == "close")
    }

    @Test func otherLimitsHoldForTheNextConnection() throws {
        let server = try LiveServer { _, writer in writer.respond(status: 200, body: [65]) }
        let first = try server.connect()
        first.send(Self.get)
        #expect(try first.readResponse().status == 200)
        server.onLoop { server in
            var limits = server.limits
            limits.connections = 1
            server.apply(limits)
        }
        let second = try server.connect()
        second.send(Self.get)
        #expect(try second.readResponse().status == 503)
        first.send(Self.get)
        #expect(try first.readResponse().status == 200)
    }

    @Test func aServerListensOnTCPAndOnAUnixSocketUntilItStops() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("s").path
        // Left behind by a process that died.
        close(try Socket.listenUnix(path: path).release())
        let port = Mutex<UInt16>(0)
        let server = try LiveServer(
            prepare: { server in
                let bound = try server.listen(host: "127.0.0.1", port: 0)
                port.withLock { $0 = bound }
                try server.listen(unixPath: path)
            },
            { request, writer in
                switch request.peer {
                case .tcp(let address, let isLoopback):
                    writer.respond(status: 200, body: Array("\(address) \(isLoopback)".utf8))
                case .unix: writer.respond(status: 200, body: Array("unix".utf8))
                }
            })
        let tcp = TestClient(descriptor: try connectTCP(port: port.withLock { $0 }))
        tcp.send(Self.get)
        #expect(try tcp.readResponse().body == "127.0.0.1 true")
        let unix = TestClient(descriptor: try Socket.connectUnix(path: path).release())
        unix.send(Self.get)
        #expect(try unix.readResponse().body == "unix")
        server.onLoop { $0.stopListening() }
        #expect(!FileManager.default.fileExists(atPath: path))
        let error = #expect(throws: SystemError.self) { _ = try Socket.connectUnix(path: path) }
        #expect(error?.code == ENOENT)
        tcp.send(Self.get)
        #expect(try tcp.readResponse().status == 200)
    }

    @Test func tenThousandBrokenRequestsLeaveTheServerWhole() throws {
        let seed = UInt64(ProcessInfo.processInfo.environment["APUS_FUZZ_SEED"] ?? "") ?? SystemRandom.next()
        FileHandle.standardError.write(Data("HTTP fuzz seed: \(seed)\n".utf8))
        var limits = RequestCases.tight
        limits.headSeconds = 0.01
        limits.bodyReadSeconds = 0.01
        limits.lingerSeconds = 0.01
        limits.idleSeconds = 0.01
        let server = try LiveServer(limits: limits) { request, writer in
            guard request.path.hasPrefix("/") || request.path == "*" else { preconditionFailure("a path that is none") }
            writer.respond(status: 200, body: request.body)
        }
        var mutator = RequestMutator(seed: seed)
        for batch in 0..<100 {
            var clients: [(TestClient, [UInt8])] = []
            for _ in 0..<100 {
                let bytes = mutator.next()
                clients.append((try server.connect(sending: bytes), bytes))
            }
            for (client, bytes) in clients {
                let answer = try client.readToEnd()
                let text = String(decoding: bytes, as: UTF8.self).debugDescription
                let isAnswer = answer.isEmpty || answer.hasPrefix("HTTP/1.1 ")
                #expect(isAnswer, "seed \(seed), batch \(batch): \(text) got \(answer)")
                #expect(!answer.isEmpty || bytes.isEmpty, "seed \(seed), batch \(batch): \(text) got no answer")
            }
        }
        while server.onLoop({ $0.connectionCount }) > 0 {}
        let client = try server.connect()
        client.send(Self.get)
        #expect(try client.readResponse().status == 200)
    }
}
