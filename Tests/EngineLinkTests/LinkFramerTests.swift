import EngineProtocol
import Synchronization
import TestSupport
import Testing

@testable import EngineLink

private func encoded(_ message: Message) throws -> [UInt8] {
    var bytes: [UInt8] = []
    try MessageCodec.encode(message, into: &bytes)
    return bytes
}

extension LinkFramer {
    /// Feeds at most as many bytes as there is room for, and says how many it took.
    fileprivate mutating func feed(_ bytes: ArraySlice<UInt8>) -> Int {
        fill { room in
            let count = min(room.count, bytes.count)
            room.copyBytes(from: bytes.prefix(count))
            return (count, count)
        }
    }
}

@Suite("Link framer") struct LinkFramerTests {
    static func stream(_ count: Int, _ random: inout SeededRandom) throws -> ([EngineRequest], [UInt8]) {
        var requests: [EngineRequest] = []
        var bytes: [UInt8] = []
        for _ in 0..<count {
            let length = Int.random(in: 0..<(random.next() % 8 == 0 ? 60_000 : 300), using: &random)
            requests.append(.detokenize(ids: [Int32](repeating: 7, count: length)))
            bytes += try encoded(.request(requests[requests.count - 1], call: .link))
        }
        return (requests, bytes)
    }

    @Test("messages come out whole however the stream is cut", arguments: [1, 2, 3, 4] as [UInt64])
    func cuts(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let (requests, bytes) = try Self.stream(60, &random)
        var framer = LinkFramer(limits: LinkLimits())
        var received: [EngineRequest] = []
        var place = 0
        while place < bytes.count {
            let piece = Int.random(in: 1...(random.next() % 2 == 0 ? 30 : 90_000), using: &random)
            place += framer.feed(bytes[place..<min(place + piece, bytes.count)])
            while let frame = try framer.next() {
                guard case .message(.request(let request, _)) = frame else { throw TimedOut() }
                received.append(request)
            }
        }
        #expect(received == requests, "seed \(seed)")
        #expect(framer.isEmpty)
    }

    @Test("a longer payload than may be inline is refused from its header alone")
    func inlineLimit() throws {
        let bytes = try encoded(.request(.detokenize(ids: [Int32](repeating: 1, count: 70_000)), call: .link))
        var framer = LinkFramer(limits: LinkLimits())
        _ = framer.feed(bytes[..<24])
        let limit = LinkLimits().inlinePayloadBytes
        #expect(throws: LinkViolation.inlinePayloadTooLong(limit: limit, value: 280_008)) { try framer.next() }
    }

    @Test("garbage is refused at its first 24 bytes")
    func garbage() throws {
        var framer = LinkFramer(limits: LinkLimits())
        _ = framer.feed(Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8)[...])
        #expect(throws: LinkViolation.codec(.notAMessage)) { try framer.next() }
    }

    @Test("10,000 mutated streams never trap")
    func mutations() throws {
        let seed: UInt64 = 77
        var random = SeededRandom(seed: seed)
        let (_, clean) = try Self.stream(4, &random)
        for _ in 0..<10_000 {
            var bytes = Array(clean.prefix(2_000))
            for _ in 0..<3 { bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8(random.next() & 0xFF) }
            var framer = LinkFramer(limits: LinkLimits())
            _ = framer.feed(bytes[...])
            while let frame = try? framer.next() { _ = frame }
        }
    }
}

@Suite("Link receiver") struct LinkReceiverTests {
    private func receiver(_ role: LinkRole, _ messages: [Message]) throws -> LinkReceiver {
        var receiver = LinkReceiver(role: role, isStream: true, buildID: 9, limits: LinkLimits())
        let bytes = try messages.flatMap { try encoded($0) }
        receiver.fill { room in
            room.copyBytes(from: bytes)
            return (bytes.count, ())
        }
        return receiver
    }

    private func violation(_ role: LinkRole, _ messages: [Message]) throws -> LinkViolation? {
        var receiver = try receiver(role, messages)
        do throws(LinkViolation) {
            while try receiver.next() != nil {}
            return nil
        } catch {
            return error
        }
    }

    private let gateway = Message.hello(Hello(role: .gateway, buildID: 9))
    private let worker = Message.hello(Hello(role: .worker, buildID: 9))
    private let events = Message.events([(.link, .started(cachedTokens: 1))])
    private let request = Message.request(.inspect, call: .link)
    private let load = Message.request(
        .load(LoadRequest(source: .descriptors(count: 1), purpose: .inspect, displayName: "")), call: .link)

    @Test("hello comes first, once, from the other role and the same build")
    func hello() throws {
        #expect(try violation(.worker, [gateway, request, request]) == nil)
        #expect(try violation(.gateway, [worker, events]) == nil)
        #expect(try violation(.worker, [request]) == .missingHello)
        #expect(try violation(.worker, [gateway, gateway]) == .repeatedHello)
        #expect(try violation(.worker, [worker]) == .sameRole)
        let other = Message.hello(Hello(role: .gateway, buildID: 8))
        #expect(try violation(.worker, [other]) == .differentBuild(ours: 9, theirs: 8))
    }

    @Test("a worker gets requests only, a gateway events only")
    func direction() throws {
        #expect(try violation(.worker, [gateway, events]) == .wrongDirection)
        #expect(try violation(.gateway, [worker, request]) == .wrongDirection)
    }

    @Test("a message whose descriptors did not come is refused")
    func missingDescriptor() throws {
        #expect(try violation(.worker, [gateway, load]) == .missingDescriptor)
    }

    @Test("descriptors that belong to no message are refused")
    func extraDescriptors() throws {
        var receiver = try receiver(.worker, [gateway, request])
        try receiver.add([LinkDescriptor.duplicate(of: 0)])
        _ = try receiver.next()
        #expect(throws: LinkViolation.unexpectedDescriptors(count: 1)) { _ = try receiver.next() }
    }

    @Test("more descriptors than the limit are refused")
    func descriptorLimit() throws {
        var limits = LinkLimits()
        limits.incomingDescriptors = 2
        var receiver = LinkReceiver(role: .worker, isStream: true, buildID: 9, limits: limits)
        let descriptor = try LinkDescriptor.duplicate(of: 0)
        try receiver.add([descriptor, descriptor])
        #expect(throws: LinkViolation.tooManyDescriptors(limit: 2)) { try receiver.add([descriptor]) }
    }
}

@Suite("Link outbox") struct LinkOutboxTests {
    @Test("bytes leave in order whatever the peer takes, and descriptors with the first byte of their message")
    func order() throws {
        let seed: UInt64 = 5
        var random = SeededRandom(seed: seed)
        var outbox = LinkOutbox()
        var expected: [UInt8] = []
        var written: [UInt8] = []
        var places: [Int] = []
        var expectedPlaces: [Int] = []
        let descriptor = try LinkDescriptor.duplicate(of: 0)
        func writeSome() {
            var count = 0
            _ = outbox.withNext { bytes, descriptors in
                count = Int.random(in: 1...bytes.count, using: &random)
                if !descriptors.isEmpty { places.append(written.count) }
                written += bytes.prefix(count)
            }
            if count > 0 { outbox.advance(by: count) }
        }
        for _ in 0..<500 {
            let bytes = (0..<Int.random(in: 1...400, using: &random)).map { _ in UInt8(random.next() & 0xFF) }
            let carries = random.next() % 5 == 0
            if carries { expectedPlaces.append(expected.count) }
            expected += bytes
            outbox.append(bytes, descriptors: carries ? [descriptor] : [], externalBytes: carries ? 10 : 0)
            if random.next() % 3 == 0 { writeSome() }
        }
        #expect(outbox.pendingBytes == expected.count - written.count)
        while !outbox.isEmpty { writeSome() }
        #expect(written == expected && places == expectedPlaces, "seed \(seed)")
        #expect(outbox.pendingBytes == 0 && outbox.pendingExternalBytes == 0)
    }
}

/// Takes as much as its script says, and remembers it.
private final class ScriptedOutput: LinkOutput {
    struct State {
        var script: [LinkProgress] = []
        var written: [UInt8] = []
        /// Where descriptors were among the bytes.
        var places: [Int] = []
        var published = 0
    }

    let maximumInlinePayload = 1 << 20
    let isStream = true
    let state = Mutex(State())

    func write(
        _ bytes: UnsafeRawBufferPointer, _ descriptors: [LinkDescriptor]
    ) -> Result<LinkProgress, LinkCloseReason> {
        state.withLock { state in
            guard let step = state.script.popLast() else { return .success(.waitsForSocket) }
            guard case .bytes(let most) = step else { return .success(step) }
            let count = min(most, bytes.count)
            if !descriptors.isEmpty { state.places.append(state.written.count) }
            state.written += bytes.prefix(count)
            return .success(.bytes(count))
        }
    }

    func publish() { state.withLock { $0.published = $0.written.count } }
}

@Suite("Link sender") struct LinkSenderTests {
    @Test("messages leave in order, whatever the peer takes of each when it is sent", arguments: [UInt64](1...20))
    func order(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let output = ScriptedOutput()
        var limits = LinkLimits()
        limits.readBytes = 512
        var sender = LinkSender(output: output, limits: limits)
        let descriptor = try LinkDescriptor.duplicate(of: 0)
        var expected: [UInt8] = []
        var places: [Int] = []
        for _ in 0..<200 {
            let script = (0..<random.next() % 4).map { _ in
                random.next() % 5 == 0 ? LinkProgress.waitsForSocket : .bytes(Int.random(in: 1...600, using: &random))
            }
            output.state.withLock { $0.script = script }
            if random.next() % 3 == 0 {
                _ = sender.flush()
                continue
            }
            let ids = [Int32](repeating: 7, count: Int.random(in: 0...300, using: &random))
            let message = Message.request(.detokenize(ids: ids), call: CallID(rawValue: random.next()))
            let carries = random.next() % 5 == 0
            if carries { places.append(expected.count) }
            expected += try encoded(message)
            _ = sender.send(
                try OutgoingMessage(
                    message, in: sender.takeBuffer(), attached: carries ? [descriptor] : [], maximumInline: 1 << 20))
            #expect(output.state.withLock { $0.published == $0.written.count && $0.written.count <= expected.count })
        }
        #expect(sender.pendingBytes == expected.count - output.state.withLock { $0.written.count })
        output.state.withLock { $0.script = [LinkProgress](repeating: .bytes(1 << 20), count: 1000) }
        _ = sender.flush()
        #expect(output.state.withLock { $0.written == expected && $0.places == places }, "seed \(seed)")
        #expect(sender.pendingBytes == 0)
    }

    @Test("a full socket is asked for once, until everything has left")
    func waiting() throws {
        let output = ScriptedOutput()
        var sender = LinkSender(output: output, limits: LinkLimits())
        func send() throws -> LinkSender.Outcome {
            sender.send(try OutgoingMessage(.ping(1), in: sender.takeBuffer(), maximumInline: 1 << 20))
        }
        guard case .waitForSocket = try send() else { throw TimedOut() }
        guard case .done = try send() else { throw TimedOut() }
        #expect(sender.pendingBytes == 48)
        output.state.withLock { $0.script = [.bytes(10), .bytes(10), .bytes(10), .bytes(48)].reversed() }
        sender.forgetWatch()
        guard case .done = sender.flush() else { throw TimedOut() }
        #expect(sender.pendingBytes == 0)
        guard case .waitForSocket = try send() else { throw TimedOut() }
    }

    @Test("a message that breaks a limit leaves nothing behind for the next one")
    func refused() throws {
        let output = ScriptedOutput()
        var sender = LinkSender(output: output, limits: LinkLimits())
        let tooLong = Message.localCall(
            LocalCall(model: String(repeating: "m", count: 5000), request: .inspect), call: CallID(rawValue: 1))
        #expect(throws: LinkSendError.self) {
            try OutgoingMessage(tooLong, in: sender.takeBuffer(), maximumInline: 1 << 20)
        }
        output.state.withLock { $0.script = [.bytes(1000)] }
        _ = sender.send(try OutgoingMessage(.ping(2), in: sender.takeBuffer(), maximumInline: 1 << 20))
        #expect(output.state.withLock { $0.written } == (try encoded(.ping(2))))
    }
}
