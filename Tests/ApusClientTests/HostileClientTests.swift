import ApusClient
import EngineProtocol
import Foundation
import Platform
import SharedMemory
import TestSupport
import Testing

/// What clients can do that no client of ours does: the door closes, and nobody else notices.
@Suite(.serialized, .timeLimit(.minutes(10))) struct HostileClientTests {
    /// A client that sends whatever bytes it likes as records.
    private final class RawClient {
        private var rings: Rings

        init(_ door: LocalDoor) throws {
            let connection = try Handshake.connect(path: door.path)
            switch consume connection.transport {
            case .rings(let rings): self.rings = rings
            case .stream: throw Failed()
            }
        }

        func send(_ bytes: [UInt8]) throws {
            // A burst finds the ring full until the server has read some of it.
            while try !bytes.withUnsafeBytes({ bytes in Result { try rings.producer.write(bytes) } }).get() {
                usleep(200)
            }
            rings.producer.publish()
        }

        func send(_ message: Message) throws {
            var bytes: [UInt8] = []
            try MessageCodec.encode(message, into: &bytes)
            try send(bytes)
        }

        /// The next message; nil when the server has closed the connection.
        func receive() throws -> Message? {
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
            defer { buffer.deallocate() }
            guard try rings.consumer.wait(milliseconds: 10_000) == .ready,
                case .record(let count) = try rings.consumer.read(into: buffer)
            else { return nil }
            let bytes = UnsafeRawBufferPointer(buffer)
            return try MessageCodec.decode(
                header: UnsafeRawBufferPointer(rebasing: bytes[..<MessageHeader.size]),
                payload: UnsafeRawBufferPointer(rebasing: bytes[MessageHeader.size..<count]))
        }
    }

    private struct Failed: Error {}

    private func generate(_ id: UInt64, words: UInt32 = 100_000) -> Message {
        .localCall(LocalCall(request: .generate(Scripted.request(words: words))), call: CallID(rawValue: id))
    }

    @Test func aBrokenRecordEndsItsConnectionAndNoOther() async throws {
        let door = try LocalDoor(worker: Scripted.worker)
        let good = try door.client()
        let running = good.generate(Scripted.request(words: 200))
        async let outcome = running.outcome()
        var messages: [[UInt8]] = [[UInt8](repeating: 0xAB, count: 64)]
        var valid: [UInt8] = []
        try MessageCodec.encode(.listModels(call: CallID(rawValue: 1)), into: &valid)
        // Two messages in one record, half a message, a changed byte, a message of another direction.
        messages.append(valid + valid)
        messages.append([UInt8](repeating: 0, count: 8) + valid)
        messages.append(valid.enumerated().map { $0.offset == 6 ? $0.element ^ 1 : $0.element })
        var wrongWay: [UInt8] = []
        try MessageCodec.encode(.events([]), into: &wrongWay)
        messages.append(wrongWay)
        for message in messages {
            let client = try RawClient(door)
            try client.send(message)
            #expect(try client.receive() == nil, "\(message.prefix(24))")
        }
        #expect(await outcome.text == Scripted.text(words: 200))
        #expect(try door.server.metric(#"apus_local_link_ends_total{reason="protocol_violation"}"#) == 5)
    }

    @Test func whatAClientMayNotAskIsRefusedAndTheConnectionStays() throws {
        let door = try LocalDoor(worker: Scripted.worker)
        let client = try RawClient(door)
        let load = LoadRequest(source: .descriptors(count: 1), purpose: .generate, displayName: "mine")
        for request in [EngineRequest.load(load), .cancel] {
            try client.send(.localCall(LocalCall(request: request), call: CallID(rawValue: 7)))
            guard case .events(let events)? = try client.receive(),
                case (CallID(rawValue: 7), .failed(.invalidRequest(parameter: "type", _))) = events[0]
            else {
                Issue.record("no refusal")
                return
            }
        }
        try client.send(.ping(3))
        guard case .pong(3)? = try client.receive() else {
            Issue.record("no pong")
            return
        }
    }

    @Test func callsOfAClientThatIsKilledAreCancelled() throws {
        let door = try LocalDoor(worker: Scripted.worker)
        do {
            let client = try RawClient(door)
            for id in 1...20 as ClosedRange<UInt64> { try client.send(generate(id)) }
            #expect(try ServerProcess.eventually { try door.server.metric("apus_calls_in_flight") == 20 })
        }
        #expect(try ServerProcess.eventually { try door.server.metric("apus_calls_in_flight") == 0 })
        #expect(try ServerProcess.eventually { try door.server.metric("apus_local_connections") == 0 })
    }

    @Test func aClientHasAsManyCallsAsItMay() throws {
        let door = try LocalDoor(worker: Scripted.worker)
        let client = try RawClient(door)
        for id in 1...257 as ClosedRange<UInt64> { try client.send(generate(id)) }
        while case .events(let events)? = try client.receive() {
            guard let refusal = events.first(where: { $0.0.rawValue == 257 }) else { continue }
            guard case .failed(.queueFull) = refusal.1 else {
                Issue.record("\(refusal.1)")
                return
            }
            return
        }
    }

    @Test func versionsThatDoNotMeetAreToldInWords() throws {
        let door = try LocalDoor(worker: Scripted.worker)
        var options = Handshake.Options()
        options.versions = 3...9
        do {
            _ = try Handshake.connect(path: door.path, options: options)
            Issue.record("let in")
        } catch {
            #expect(error.description.contains("the server speaks versions 2 to 2"), "\(error)")
        }
        // A newer client that still speaks the old version gets that.
        options.versions = 1...9
        let agreed = try Handshake.connect(path: door.path, options: options)
        #expect(agreed.agreement.version == 2)
    }

    @Test func aFolderThatOthersMayEnterIsNoPlaceForTheDoor() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("apus-open-\(UUID())")
        try FileManager.default.createDirectory(
            at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        defer { try? FileManager.default.removeItem(at: folder) }
        let output = try Programs.run("apus", ["serve", "--port", "0", "--ipc", folder.path + "/door"])
        #expect(output.status == 1)
        #expect(output.standardError.contains("mode 0700"), "\(output.standardError)")
    }

    @Test func theDoorsMetricsMoveAndAreOnTheirPage() throws {
        let door = try LocalDoor(worker: Scripted.worker)
        let stays = try RawClient(door)
        do {
            let client = try RawClient(door)
            try client.send(generate(1, words: 2))
            while case .events(let events)? = try client.receive(), !events.contains(where: { $0.1.isEnd }) {}
        }
        var options = Handshake.Options()
        options.versions = 3...3
        #expect(throws: HandshakeError.self) { _ = try Handshake.connect(path: door.path, options: options) }
        let ok = #"apus_local_calls_total{request="generate",outcome="ok"}"#
        #expect(try ServerProcess.eventually { try door.server.metric(ok) == 1 })
        #expect(try ServerProcess.eventually { try door.server.metric("apus_local_connections") == 1 })
        #expect(try door.server.metric(#"apus_local_link_ends_total{reason="left"}"#) == 1)
        #expect(try door.server.metric(#"apus_local_refusals_total{reason="version"}"#) == 1)
        #expect(try door.server.metric(#"apus_local_connections_total{carrier="shared_memory"}"#) == 2)
        for direction in ["sent", "received"] {
            let records = "apus_local_ring_records_total{direction=\"\(direction)\"}"
            #expect(try ServerProcess.eventually { try door.server.metric(records) ?? 0 > 0 })
        }
        for name in ["apus_time_to_first_token_seconds_count", "apus_request_seconds_count"] {
            #expect(try door.server.metric(name) == 1)
        }
        let served = try HTTPExchange.get(port: door.server.port, "/metrics").text
            .matches(of: #/# TYPE (apus_local_[a-z_]+) (\w+)/#).map { "\($0.1) \($0.2)" }
        let page = Fixtures.packageRoot.appendingPathComponent("docs/reference/metrics.md")
        let listed = try String(contentsOf: page, encoding: .utf8)
            .matches(of: #/\| `(apus_local_[a-z_]+)` \| (\w+)/#).map { "\($0.1) \($0.2)" }
        #expect(Set(served) == Set(listed))
        try stays.send(.ping(1))
        guard case .pong(1)? = try stays.receive() else {
            Issue.record("no pong")
            return
        }
    }

    @Test func threeHundredClientsAreServedAndNothingOfThemStays() throws {
        let door = try LocalDoor(worker: Scripted.worker)
        let descriptors = {
            try FileManager.default.contentsOfDirectory(atPath: "/proc/\(door.server.processID)/fd").count
        }
        let before = try descriptors()
        do {
            var clients: [RawClient] = []
            for _ in 0..<300 { clients.append(try RawClient(door)) }
            for client in clients { try client.send(.ping(1)) }
            for client in clients {
                guard case .pong(1)? = try client.receive() else {
                    Issue.record("no pong")
                    return
                }
            }
            #expect(try door.server.metric("apus_local_connections") == 300)
        }
        #expect(try ServerProcess.eventually { try door.server.metric("apus_local_connections") == 0 })
        #expect(try ServerProcess.eventually { try descriptors() <= before + 2 })
    }
}
