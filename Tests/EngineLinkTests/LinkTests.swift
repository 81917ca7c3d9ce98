import EngineLink
import EngineProtocol
import Glibc
import Platform
import SharedMemory
import Synchronization
import TestSupport
import Testing

/// Both ends of a link, each on a thread of its own.
private final class LinkedPair: @unchecked Sendable {
    let gateway: LoopThread
    let worker: LoopThread
    private(set) var client: LinkClient?
    private(set) var server: LinkServer?
    let events = Collector<[(CallID, EngineEvent)]>()
    let requests = Collector<(CallID, EngineRequest, [LinkDescriptor])>()
    let clientClosed = Slot<LinkCloseReason>()
    let serverClosed = Slot<LinkCloseReason>()

    init(
        _ transport: any LinkTransport, limits: LinkLimits = LinkLimits(), workerBuild: UInt64 = BuildIdentity.current
    ) throws {
        gateway = try LoopThread(name: "gateway")
        worker = try LoopThread(name: "worker")
        let ends = try transport.connect()
        client = try gateway.run { [self] in
            let client = try LinkClient(
                loop: gateway.loop, transport: ends.gateway.take(), limits: limits)
            client.onEvents = { [events] in events.add($0) }
            client.onClose = { [clientClosed] in clientClosed.put($0) }
            return client
        }
        server = try worker.run { [self] in
            let server = try LinkServer(
                loop: worker.loop, transport: ends.worker.take(), limits: limits,
                buildID: workerBuild)
            server.onRequest = { [requests] in requests.add(($0, $1, $2)) }
            server.onClose = { [serverClosed] in serverClosed.put($0) }
            return server
        }
    }

    func send(_ request: EngineRequest, call: CallID = call, descriptors: [Int32] = []) throws {
        try gateway.run { [self] in try client?.send(request, call: call, descriptors: descriptors) }
    }

    func onGateway(_ work: @escaping (LinkClient) throws -> Void) throws {
        try gateway.run { [self] in if let client { try work(client) } }
    }

    func onWorker(_ work: @escaping (LinkServer) throws -> Void) throws {
        try worker.run { [self] in if let server { try work(server) } }
    }

    func stop() {
        try? gateway.run { [self] in client?.close() }
        try? worker.run { [self] in server?.close() }
        gateway.stop()
        worker.stop()
    }
}

private let call = CallID(generation: 1, sequence: 1)

private func chunk(_ number: Int32, text: String = "x") -> EngineEvent {
    .tokens(TokenChunk(choice: 0, ids: [number], text: text))
}

@Suite("Links", .serialized) struct LinkTests {
    static let transports: [any LinkTransport] = [
        SocketPairTransport(), RingPairTransport(capacity: 16 << 10), RingPairTransport(capacity: 1 << 20),
    ]

    @Test("requests and batches of events arrive in order", arguments: transports.indices)
    func bothWays(transport: Int) throws {
        let pair = try LinkedPair(Self.transports[transport])
        defer { pair.stop() }
        for number in 0..<100 { try pair.send(.detokenize(ids: [Int32(number)])) }
        let requests = try pair.requests.wait(for: 100)
        #expect(requests.map(\.1) == (0..<100).map { .detokenize(ids: [$0]) })
        for number in 0..<100 { pair.server?.send([(call, chunk(Int32(number))), (.link, .started(cachedTokens: 0))]) }
        let batches = try pair.events.wait(for: 100)
        #expect(batches.allSatisfy { $0.count == 2 })
        #expect(batches.map { $0[0].1 } == (0..<100).map { chunk($0) })
    }

    @Test("several threads send at once: each one's events stay in its order", arguments: transports.indices)
    func manySenders(transport: Int) throws {
        let pair = try LinkedPair(Self.transports[transport])
        defer { pair.stop() }
        let server = try #require(pair.server)
        let text = String(repeating: "y", count: 300)
        let threads = try (0..<4).map { sender in
            try Thread.start(name: "sender") {
                for number in 0..<500 {
                    server.send([(CallID(rawValue: UInt64(sender)), chunk(Int32(number), text: text))])
                }
            }
        }
        for thread in threads { thread.join() }
        let events = try pair.events.wait(for: 2_000).flatMap { $0 }
        for sender in 0..<4 {
            let own = events.filter { $0.0.rawValue == UInt64(sender) }.map(\.1)
            #expect(own == (0..<500).map { chunk($0, text: text) })
        }
    }

    @Test("payloads around and far above 256 KiB arrive whole, in order with small ones", arguments: transports.indices)
    func longPayloads(transport: Int) throws {
        let pair = try LinkedPair(Self.transports[transport])
        defer { pair.stop() }
        let sizes = [10, 262_124, 262_132, 262_133, 300_000, 20, 9_000_000, 30]
        for size in sizes {
            try pair.send(.tokenize(TokenizeRequest(text: String(repeating: "t", count: size))))
            pair.server?.send([(call, .result(.rendered(text: String(repeating: "r", count: size))))])
        }
        let requests = try pair.requests.wait(for: sizes.count)
        #expect(
            requests.map { request -> Int in
                if case .tokenize(let tokenize) = request.1 { tokenize.text.utf8.count } else { -1 }
            } == sizes)
        let events = try pair.events.wait(for: sizes.count)
        #expect(
            events.map { batch -> Int in
                if case .result(.rendered(let text)) = batch[0].1 { text.utf8.count } else { -1 }
            } == sizes)
    }

    @Test("descriptors arrive with their load, open to the same file", arguments: transports.indices)
    func descriptors(transport: Int) throws {
        let pair = try LinkedPair(Self.transports[transport])
        defer { pair.stop() }
        let files = try ["first part", "second", "draft"].map { text in
            try Array(text.utf8).withUnsafeBytes {
                try FileDescriptor.memory(name: "model", bytes: $0, sealed: true).release()
            }
        }
        try pair.send(.inspect)
        let load = LoadRequest(
            source: .descriptors(count: 2), draftSource: .descriptors(count: 1), purpose: .generate, displayName: "m")
        try pair.send(.load(load), descriptors: files)
        // The sender's own copies are gone before the worker looks.
        for file in files { close(file) }
        let requests = try pair.requests.wait(for: 2)
        #expect(requests[1].1 == .load(load) && requests[0].2.isEmpty)
        let texts = try requests[1].2.map { descriptor in
            let file = try MappedFile(descriptor: descriptor.rawValue)
            return withExtendedLifetime(file) { String(decoding: file.bytes, as: UTF8.self) }
        }
        #expect(texts == ["first part", "second", "draft"])
    }

    @Test("a different build is refused on both sides", arguments: transports.indices)
    func differentBuild(transport: Int) throws {
        let pair = try LinkedPair(Self.transports[transport], workerBuild: 12)
        defer { pair.stop() }
        let ours = BuildIdentity.current
        let reasons = try [pair.clientClosed.take(), pair.serverClosed.take()]
        // Whoever reads first closes, and the other may see only that.
        #expect(
            reasons.contains(.protocolViolation(.differentBuild(ours: ours, theirs: 12)))
                || reasons.contains(.protocolViolation(.differentBuild(ours: 12, theirs: ours))))
        #expect(pair.requests.all.isEmpty && pair.events.all.isEmpty)
    }

    @Test("what a worker sent before it died is delivered before the end", arguments: transports.indices)
    func death(transport: Int) throws {
        let pair = try LinkedPair(Self.transports[transport])
        defer { pair.stop() }
        let seen = Slot<Int>()
        try pair.onGateway { client in
            client.onClose = { [events = pair.events] _ in seen.put(events.all.count) }
        }
        // The gateway is held while the worker sends and goes, with a request that it never reads.
        try pair.gateway.run {
            for number in 0..<50 { pair.server?.send([(call, chunk(Int32(number)))]) }
            try pair.client?.send(.cancel, call: call)
            try pair.onWorker { $0.close() }
        }
        #expect(try seen.take() == 50)
    }

    @Test("drain delivers what is in the link at once", arguments: transports.indices)
    func drain(transport: Int) throws {
        let pair = try LinkedPair(Self.transports[transport])
        defer { pair.stop() }
        let count = try pair.gateway.run {
            for number in 0..<20 { pair.server?.send([(call, chunk(Int32(number)))]) }
            try pair.onWorker { $0.close() }
            pair.client?.drain()
            return pair.events.all.count
        }
        #expect(count == 20)
        #expect(try pair.clientClosed.take() == .endOfStream)
    }

    @Test("a gateway that does not read cannot make its worker grow or wait", arguments: transports.indices)
    func unreadLink(transport: Int) throws {
        var limits = LinkLimits()
        limits.outgoingBytes = 1 << 20
        limits.outgoingExternalBytes = 1 << 20
        let pair = try LinkedPair(Self.transports[transport], limits: limits)
        defer { pair.stop() }
        let server = try #require(pair.server)
        let text = String(repeating: "z", count: 50_000)
        let reason = try pair.gateway.run {
            for number in 0..<200 { server.send([(call, chunk(Int32(number), text: text))]) }
            return try pair.serverClosed.take()
        }
        guard case .peerDoesNotRead(let pending) = reason else { throw TimedOut() }
        #expect(pending > 1 << 20 && pending < 2 << 20)
    }

    @Test("a slow gateway gets everything, in order", arguments: transports.indices)
    func slowReader(transport: Int) throws {
        let pair = try LinkedPair(Self.transports[transport])
        defer { pair.stop() }
        let text = String(repeating: "s", count: 20_000)
        try pair.gateway.run {
            for number in 0..<300 { pair.server?.send([(call, chunk(Int32(number), text: text))]) }
        }
        let events = try pair.events.wait(for: 300).flatMap { $0 }
        #expect(events.map(\.1) == (0..<300).map { chunk($0, text: text) })
    }

    @Test("an event that fits no message fails its call and leaves the link open", arguments: transports.indices)
    func tooLargeEvent(transport: Int) throws {
        let pair = try LinkedPair(Self.transports[transport])
        defer { pair.stop() }
        let long = String(repeating: "e", count: EngineProtocolLimits.explanationBytes + 1)
        pair.server?.send([
            (call, chunk(1)), (CallID(rawValue: 9), .failed(.unsupported(feature: long))), (call, chunk(2)),
        ])
        let events = try pair.events.wait(for: 3).flatMap { $0 }
        #expect(events[0].1 == chunk(1) && events[2].1 == chunk(2))
        guard case (CallID(rawValue: 9), .failed(.internalError)) = events[1] else { throw TimedOut() }
    }

    @Test(
        "a request that fits no message is refused to the sender, and the link stays open",
        arguments: transports.indices)
    func tooLargeRequest(transport: Int) throws {
        let pair = try LinkedPair(Self.transports[transport])
        defer { pair.stop() }
        let tenant = String(repeating: "e", count: EngineProtocolLimits.nameBytes + 1)
        #expect(throws: LinkSendError.self) {
            try pair.send(.generate(GenerateRequest(inputs: [], tenant: tenant)))
        }
        try pair.send(.inspect)
        #expect(try pair.requests.wait(for: 1)[0].1 == .inspect)
    }

    @Test("garbage in a stream closes the link with its reason, at either end", arguments: [true, false])
    func garbage(atGateway: Bool) throws {
        let loop = try LoopThread()
        defer { loop.stop() }
        let pair = try Socket.pair()
        let (own, other) = (pair.first.release(), pair.second.release())
        defer { close(other) }
        let closed = Slot<LinkCloseReason>()
        let keeper = Keeper()
        try loop.run {
            if atGateway {
                let client = try LinkClient(loop: loop.loop, descriptor: FileDescriptor(owning: own))
                client.onClose = { closed.put($0) }
                keeper.object = client
            } else {
                let server = try LinkServer(loop: loop.loop, descriptor: FileDescriptor(owning: own))
                server.onClose = { closed.put($0) }
                keeper.object = server
            }
        }
        _ = try Array("this is no message, and long enough for a header".utf8).withUnsafeBytes {
            try Socket.write(other, $0)
        }
        #expect(try closed.take() == .protocolViolation(.codec(.notAMessage)))
        try loop.run { keeper.object = nil }
    }
}

private final class Keeper: @unchecked Sendable {
    var object: AnyObject?
}
