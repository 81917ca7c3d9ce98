import Foundation
import Platform
import RingTestSupport
import SharedMemory
import TestSupport
import Testing

@Suite("Handshake", .timeLimit(.minutes(10))) struct HandshakeTests {
    @Test("both sides end with the same agreement")
    func agreement() throws {
        var options = Handshake.Options()
        options.sendCapacity = 64 << 10
        options.receiveCapacity = 1 << 20
        options.messageBytes = 5_000_000
        options.token = Array("secret".utf8)
        var serverOptions = ServerHandshake.Options(connectionID: 42, generation: 6)
        serverOptions.sendCapacity = 128 << 10
        serverOptions.calls = 12
        let seen = Handover<[UInt8]>()
        let outcome = try HandshakeOutcome(client: options, server: serverOptions) {
            seen.put($0.token)
            return $0.credentials.processID == getpid() && $0.usesSharedMemory ? nil : Refusal(.other)
        }
        let client = try outcome.client.get()
        let server = try outcome.server.get()
        let agreement = client.agreement
        #expect(agreement == server.agreement)
        #expect(agreement.version == 2 && agreement.connectionID == 42 && agreement.generation == 6)
        #expect(agreement.usesSharedMemory && agreement.checksPayloads && agreement.calls == 12)
        #expect(agreement.clientCapacity == 64 << 10 && agreement.serverCapacity == 128 << 10)
        #expect(agreement.messageBytes == 5_000_000)
        #expect(seen.take() == Array("secret".utf8))
        let rings = try server.rings()
        #expect(rings.producer.largestBody == 32_760 && rings.consumer.largestBody == 16_376)
    }

    @Test("without shared memory the socket itself goes on, from the first byte of the first message")
    func stream() throws {
        var options = Handshake.Options()
        options.usesSharedMemory = false
        options.checksPayloads = false
        let pair = try ConnectedPair(client: options)
        #expect(!pair.client.agreement.usesSharedMemory && !pair.client.agreement.checksPayloads)
        #expect(pair.client.agreement == pair.server.agreement)
        let client = try pair.client.stream()
        let server = try pair.server.stream()
        try RawHandshake.send(client.rawValue, Array("first message".utf8))
        let (bytes, _) = try RawHandshake.receive(server.rawValue)
        #expect(bytes == Array("first message".utf8))
    }

    @Test("over a path: a server that listens, and one that is not there")
    func path() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("socket").path
        #expect(throws: HandshakeError.self) { _ = try Handshake.connect(path: path) }
        let listener = try Socket.listenUnix(path: path)
        let outcome = Handover<Result<Agreement, HandshakeError>>()
        let thread = try Thread.start(name: "client") {
            outcome.put(Result { () throws(HandshakeError) in try Handshake.connect(path: path).agreement })
        }
        #expect(try Socket.waitReadable(listener.rawValue, milliseconds: 20_000))
        guard let accepted = try Socket.accept(listener.rawValue) else { throw RingTestError("nobody connects") }
        let server = try ServedSocket.handshake(accepted).get()
        thread.join()
        #expect(try outcome.take()?.get() == server.agreement)
    }

    // MARK: A server and bad clients

    @Test("version ranges that do not meet are refused with the server's", arguments: [(UInt16(3)...5), (1...1)])
    func versions(range: ClosedRange<UInt16>) throws {
        var options = Handshake.Options()
        options.versions = range
        var serverOptions = ServerHandshake.Options(connectionID: 1, generation: 1)
        if range.contains(1) { serverOptions.versions = 2...3 }
        let outcome = try HandshakeOutcome(client: options, server: serverOptions)
        let refusal = Refusal(
            .version, text: "the client speaks versions \(range.lowerBound) to \(range.upperBound)",
            versions: serverOptions.versions)
        #expect(failure(outcome.client) == .refused(refusal))
        #expect(failure(outcome.server) == .refusedPeer(refusal))
    }

    @Test("an old client and a server that knows more, and the reverse, speak the highest version of both")
    func newerPeers() throws {
        var options = Handshake.Options()
        options.versions = 1...4
        #expect(try ConnectedPair(client: options).client.agreement.version == 2)
    }

    @Test(
        "what the server refuses reaches the client in words",
        arguments: [RefusalReason.tokenMissing, .tokenWrong, .tooManyConnections, .shuttingDown])
    func refusals(reason: RefusalReason) throws {
        let text = String(repeating: "ö", count: 200)
        let outcome = try HandshakeOutcome { _ in Refusal(reason, text: text) }
        // 255 bytes of text, and no half character.
        let expected = Refusal(reason, text: String(repeating: "ö", count: 127))
        #expect(failure(outcome.client) == .refused(expected))
        #expect(!expected.description.isEmpty)
        #expect(failure(outcome.server) == .refusedPeer(Refusal(reason, text: text)))
    }

    @Test("a client of another user is refused")
    func otherUser() throws {
        // Root may connect to anybody's server.
        let isRoot = geteuid() == 0
        var serverOptions = ServerHandshake.Options(connectionID: 1, generation: 1)
        serverOptions.userID = geteuid() + 1
        let outcome = try HandshakeOutcome(server: serverOptions)
        if case .refused(let refusal) = failure(outcome.client) {
            #expect(refusal.reason == .user && !isRoot)
        } else {
            #expect(isRoot)
        }
    }

    @Test("a client that is refused before it was heard still gets the reason")
    func earlyRefusal() throws {
        let pair = try Socket.pair()
        ServerHandshake.refuse(pair.second, Refusal(.tooManyConnections, text: "1,000 are open"))
        let client = pair.first.release()
        #expect(throws: HandshakeError.refused(Refusal(.tooManyConnections, text: "1,000 are open"))) {
            _ = try Handshake.connect(over: FileDescriptor(owning: client))
        }
    }

    /// What the server answers to raw bytes and descriptors; nil when it welcomes them.
    private func answer(
        _ bytes: [UInt8], descriptors: [Int32] = [], milliseconds: Int32 = 20_000,
        closes: Bool = false
    ) throws -> HandshakeError? {
        let pair = try Socket.pair()
        try RawHandshake.send(pair.first.rawValue, bytes, descriptors: descriptors)
        if closes { Socket.shutdownWriting(pair.first.rawValue) }
        var options = ServerHandshake.Options(connectionID: 7, generation: 3)
        options.milliseconds = milliseconds
        let outcome = try ServedSocket.handshake(pair.second, options: options)
        return failure(outcome)
    }

    private func hello(_ capacity: Int = 16 << 10, change: (inout HandshakeFrame.Hello) -> Void = { _ in }) -> [UInt8] {
        var hello = HandshakeFrame.Hello(
            versions: 1...1, features: .sharedMemory, clientCapacity: UInt32(capacity), serverCapacity: 16 << 10,
            messageBytes: 1 << 20)
        change(&hello)
        return HandshakeFrame.hello(hello).encoded()
    }

    private let ready = HandshakeFrame.ready(connectionID: 7).encoded()

    @Test("garbage, another frame first, and an end in the middle are refused")
    func garbage() throws {
        guard case .refusedPeer(let refusal) = try answer([UInt8](repeating: 0x47, count: 64)) else {
            throw RingTestError("not refused")
        }
        #expect(refusal.reason == .malformedFrame)
        guard case .refusedPeer(let other) = try answer(ready) else { throw RingTestError("not refused") }
        #expect(other.reason == .malformedFrame)
        for count in [0, 1, 63] {
            #expect(try answer(Array(hello().prefix(count)), closes: true) == .closed)
        }
        let withToken = hello { $0.tokenBytes = 4_096 }
        #expect(try answer(withToken + [1, 2, 3], closes: true) == .closed)
    }

    @Test("a client that is slow, at any byte, is refused when its time is over", arguments: [0, 1, 63, 64])
    func slow(count: Int) throws {
        let bytes = hello { $0.tokenBytes = 10 }
        #expect(try answer(Array((bytes).prefix(count)), milliseconds: 20) == .timedOut(milliseconds: 20))
        // Also when only the last frame is missing.
        let segment = try HostileSegment()
        #expect(
            try answer(hello(), descriptors: [segment.descriptor], milliseconds: 20) == .timedOut(milliseconds: 20))
    }

    @Test("a second frame that is not ready for this connection is refused")
    func wrongReady() throws {
        for second in [hello(), HandshakeFrame.ready(connectionID: 8).encoded(), [UInt8](repeating: 0, count: 64)] {
            let segment = try HostileSegment()
            guard
                case .refusedPeer(let refusal) = try answer(hello() + second, descriptors: [segment.descriptor])
            else { throw RingTestError("not refused") }
            #expect(refusal.reason == .malformedFrame)
        }
    }

    @Test("no descriptor, too many, and so many that they are cut off are refused", arguments: [0, 2, 4, 5, 128])
    func descriptorCounts(count: Int) throws {
        let segment = try HostileSegment()
        let outcome = try answer(
            hello() + ready, descriptors: [Int32](repeating: segment.descriptor, count: count))
        guard case .refusedPeer(let refusal) = outcome else { throw RingTestError("not refused") }
        #expect(refusal.reason == .badSegment)
        let fault: SegmentFault = count > 4 ? .descriptorsCutOff : .descriptors(expected: 1, value: count)
        #expect(refusal.text == fault.description)
    }

    @Test("a descriptor without shared memory, or beside ready, is refused")
    func needlessDescriptors() throws {
        let segment = try HostileSegment()
        let stream = hello(0) {
            $0.features = []
            $0.serverCapacity = 0
        }
        guard case .refusedPeer(let refusal) = try answer(stream, descriptors: [segment.descriptor]) else {
            throw RingTestError("not refused")
        }
        #expect(refusal.reason == .badSegment)
        #expect(try answer(stream) == nil)
    }

    @Test("defect 8: a segment is checked before it is touched")
    func badSegments() throws {
        var cases: [(name: String, descriptor: Int32, expected: SegmentFault?)] = []
        var kept: [HostileSegment] = []
        func add(_ name: String, _ expected: SegmentFault, _ change: (inout HostileSegment.Shape) -> Void) throws {
            var shape = HostileSegment.Shape()
            change(&shape)
            let segment = try HostileSegment(shape)
            kept.append(segment)
            cases.append((name, segment.descriptor, expected))
        }
        func addField(_ expected: SegmentFault, _ change: (HostileSegment) -> Void) throws {
            let segment = try HostileSegment()
            change(segment)
            kept.append(segment)
            cases.append(("field", segment.descriptor, expected))
        }
        try add("too small", .size(expected: 17_408, value: 17_407)) { $0.byteCount = 17_407 }
        try add("one page", .size(expected: 17_408, value: 4_096)) { $0.byteCount = 4_096 }
        try add("too large", .size(expected: 17_408, value: 24_576)) { $0.byteCount = 24_576 }
        for seals: Seals in [[], [.shrink], [.grow, .seals], [.shrink, .grow], [.shrink, .seals]] {
            try add("seals", .unsealed(seals.rawValue)) { $0.seals = seals }
        }
        try addField(.field("magic", expected: 0x4D53_5041, value: 0)) { $0.put(UInt32(0), at: 0) }
        try addField(.field("version and header size", expected: 0x0400_0002, value: 0x0400_0001)) {
            $0.put(UInt16(1), at: 4)
        }
        try addField(.field("version and header size", expected: 0x0400_0002, value: 0x0040_0002)) {
            $0.put(UInt16(64), at: 6)
        }
        try addField(.field("capacity", expected: 16_384, value: 32_768)) { $0.put(UInt32(32_768), at: 8) }
        try addField(.field("role", expected: 2, value: 1)) { $0.put(UInt32(1), at: 12) }
        try addField(.field("connection id", expected: 0, value: 5)) { $0.put(UInt64(5), at: 16) }
        try addField(.field("generation", expected: 0, value: 5)) { $0.put(UInt64(5), at: 24) }

        let regular = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID().uuidString)")
        try Data(count: 17_408).write(to: regular)
        defer { try? FileManager.default.removeItem(at: regular) }
        let file = try FileDescriptor.openForReading(path: regular.path)
        let pair = try Socket.pair()
        let device = try #require(FileHandle(forReadingAtPath: "/dev/zero"))
        // In a file system in memory, it has seals of a kind.
        cases.append(("a regular file", file.rawValue, nil))
        cases.append(("a socket", pair.first.rawValue, .notMemory))
        cases.append(("a device", device.fileDescriptor, .notMemory))
        for (name, descriptor, expected) in cases {
            guard case .refusedPeer(let refusal) = try answer(hello() + ready, descriptors: [descriptor]) else {
                throw RingTestError("\(name) was not refused")
            }
            #expect(refusal.reason == .badSegment)
            if let expected { #expect(refusal.text == expected.description, "\(name)") }
        }
        withExtendedLifetime(kept) {}
    }

    @Test("a ring that is larger than the server takes is refused, with the limit")
    func tooLargeRing() throws {
        var options = Handshake.Options()
        options.sendCapacity = 1 << 20
        var serverOptions = ServerHandshake.Options(connectionID: 1, generation: 1)
        serverOptions.receiveCapacity = 512 << 10
        let outcome = try HandshakeOutcome(client: options, server: serverOptions)
        guard case .refused(let refusal) = failure(outcome.client) else { throw RingTestError("not refused") }
        #expect(refusal.reason == .badSegment && refusal.text.contains("524288"))
    }

    @Test("a handshake that is cancelled says nothing to anybody")
    func cancelled() throws {
        let pair = try Socket.pair()
        let loop = try EventLoop()
        let handshake = try ServerHandshake(
            loop: loop, socket: pair.second, options: .init(connectionID: 1, generation: 1), authenticate: { _ in nil },
            completion: { _ in Issue.record("completed") })
        handshake.cancel()
        handshake.cancel()
        let (bytes, _) = try RawHandshake.receive(pair.first.rawValue)
        #expect(bytes.isEmpty)
    }

    // MARK: A client and bad servers

    /// What a client makes of a server that sends such bytes and descriptors.
    private func client(
        _ bytes: [UInt8], descriptors: [Int32] = [], closes: Bool = false, milliseconds: Int32 = 20_000,
        change: (inout Handshake.Options) -> Void = { _ in }
    ) throws -> HandshakeError? {
        let pair = try Socket.pair()
        try RawHandshake.send(pair.second.rawValue, bytes, descriptors: descriptors)
        if closes { Socket.shutdownWriting(pair.second.rawValue) }
        var options = Handshake.Options()
        (options.sendCapacity, options.receiveCapacity) = (16 << 10, 16 << 10)
        options.milliseconds = milliseconds
        change(&options)
        do throws(HandshakeError) {
            _ = try Handshake.connect(over: pair.first, options: options)
            return nil
        } catch {
            return error
        }
    }

    private func welcome(_ change: (inout HandshakeFrame.Welcome) -> Void = { _ in }) -> [UInt8] {
        var welcome = HandshakeFrame.Welcome(
            version: 1, features: [.sharedMemory, .payloadChecksums], clientCapacity: 16 << 10,
            serverCapacity: 16 << 10, messageBytes: 1 << 20, calls: 1, connectionID: 4, generation: 5)
        change(&welcome)
        return HandshakeFrame.welcome(welcome).encoded()
    }

    @Test("a welcome to something else than was asked for is not believed")
    func wrongWelcome() throws {
        let cases: [(String, (inout HandshakeFrame.Welcome) -> Void)] = [
            ("capacity", { $0.clientCapacity = 32 << 10 }),
            (
                "transport",
                {
                    $0.features = .payloadChecksums
                    ($0.clientCapacity, $0.serverCapacity) = (0, 0)
                }
            ),
            ("longest message", { $0.messageBytes = .max }),
        ]
        for (field, change) in cases { #expect(try client(welcome(change)) == .notAsAsked(field: field)) }
        #expect(
            try client(welcome(), change: { $0.checksPayloads = false }) == .notAsAsked(field: "features"))
        #expect(try client(welcome(), change: { $0.versions = 2...3 }) == .notAsAsked(field: "version"))
        #expect(try client(hello()) == .frame(.unexpectedKind(1)))
        #expect(try client(ready) == .frame(.unexpectedKind(3)))
        #expect(try client([UInt8](repeating: 1, count: 64)) == .frame(.notAFrame))
    }

    @Test("a server's segment is checked like a client's")
    func serversSegment() throws {
        #expect(try client(welcome()) == .segment(.descriptors(expected: 1, value: 0)))
        let segment = try HostileSegment()
        let descriptor = segment.descriptor
        #expect(
            try client(welcome(), descriptors: [descriptor])
                == .segment(.field("role", expected: 1, value: 2)))
        segment.put(UInt32(1), at: 12)
        #expect(
            try client(welcome(), descriptors: [descriptor])
                == .segment(.field("connection id", expected: 4, value: 0)))
        segment.put(UInt64(4), at: 16)
        #expect(
            try client(welcome(), descriptors: [descriptor])
                == .segment(.field("generation", expected: 5, value: 0)))
        segment.put(UInt64(5), at: 24)
        #expect(try client(welcome(), descriptors: [descriptor]) == nil)
        #expect(try client(welcome(), descriptors: [descriptor, descriptor]) != nil)
        let cutOff = [Int32](repeating: descriptor, count: 10)
        #expect(try client(welcome(), descriptors: cutOff) == .segment(.descriptorsCutOff))
    }

    @Test("a server that says nothing, half a frame, or ends, does not hold a client")
    func silentServer() throws {
        #expect(try client([], milliseconds: 20) == .timedOut(milliseconds: 20))
        #expect(try client(Array(welcome().prefix(63)), milliseconds: 20) == .timedOut(milliseconds: 20))
        #expect(try client([], closes: true) == .closed)
        #expect(try client(Array(welcome().prefix(63)), closes: true) == .closed)
        let refusal = HandshakeFrame.refusal(.init(versions: 1...1, reason: .user, textBytes: 9)).encoded()
        #expect(try client(refusal + [65], milliseconds: 20) == .timedOut(milliseconds: 20))
    }

    @Test("options that no server would take are refused before anything is sent")
    func badOptions() throws {
        #expect(try client([], change: { $0.sendCapacity = 100_000 }) == .segment(.capacity(100_000)))
        #expect(
            try client([], change: { $0.token = [UInt8](repeating: 1, count: 4_097) })
                == .frame(.field("token length", 4_097)))
    }
}

/// The error of an outcome, without taking the connection out of it.
private func failure(_ outcome: borrowing Result<Connection, HandshakeError>) -> HandshakeError? {
    switch outcome {
    case .success: nil
    case .failure(let error): error
    }
}

extension Connection {
    fileprivate consuming func stream() throws -> FileDescriptor {
        let transport = self.transport
        switch consume transport {
        case .stream(let socket): return socket
        case .rings: throw RingTestError("rings, not a stream")
        }
    }
}
