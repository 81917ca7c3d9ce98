import Glibc
import Platform
import RingTestSupport
import SharedMemory
import Testing

/// What a server does with a client that writes anything into its segment and its control socket.
@Suite("Hostile rings", .timeLimit(.minutes(10))) struct HostileRingTests {
    struct BadRecord: Sendable, CustomTestStringConvertible {
        let testDescription: String
        var tail: UInt64 = 64
        var length: UInt32 = 24
        var sequence: UInt32 = 0
        let expected: RingViolation
    }

    static let largest = (16 << 10) / 4 - 8

    static let badRecords: [BadRecord] = [
        BadRecord(
            testDescription: "tail beyond the ring", tail: 16_416,
            expected: .cursorBeyond(.tail, limit: 16_384, value: 16_416)),
        BadRecord(
            testDescription: "the largest tail", tail: .max,
            expected: .cursorBeyond(.tail, limit: 16_384, value: .max)),
        BadRecord(testDescription: "tail between records", tail: 33, expected: .cursorUnaligned(.tail, value: 33)),
        BadRecord(
            testDescription: "length 0, as in a punched hole", length: 0,
            expected: .bodyLength(least: 24, most: largest, value: 0)),
        BadRecord(
            testDescription: "length below a header's", length: 23,
            expected: .bodyLength(least: 24, most: largest, value: 23)),
        BadRecord(
            testDescription: "length over a quarter", length: UInt32(largest) + 1,
            expected: .bodyLength(least: 24, most: largest, value: largest + 1)),
        BadRecord(
            testDescription: "length with the sign bit", length: 1 << 31,
            expected: .bodyLength(least: 24, most: largest, value: 1 << 31)),
        BadRecord(
            testDescription: "length beyond the tail", tail: 32, length: 25,
            expected: .recordBeyondTail(bytes: 64, published: 32)),
        BadRecord(testDescription: "sequence ahead", sequence: 1, expected: .sequence(expected: 0, value: 1)),
        BadRecord(testDescription: "sequence back", sequence: .max, expected: .sequence(expected: 0, value: .max)),
        BadRecord(testDescription: "padding at the start", length: .max, expected: .needlessPadding),
    ]

    @Test("a record that is not in order ends the connection with its fault", arguments: badRecords)
    func badRecord(bad: BadRecord) throws {
        var client = try HostileClient()
        client.segment.putPrefix(at: 0, length: bad.length, sequence: bad.sequence)
        client.segment.tail = bad.tail
        var buffer = BodyBuffer(Self.largest)
        #expect(throws: bad.expected) { _ = try buffer.read(&client.server.consumer) }
        #expect(!bad.expected.description.isEmpty)
        // It stays so: nothing was consumed.
        #expect(throws: RingViolation.self) { _ = try buffer.read(&client.server.consumer) }
    }

    @Test("a tail that goes back, padding alone, padding twice, a record across the end")
    func laterFaults() throws {
        let cases: [(RingViolation, (HostileSegment) -> Void)] = [
            (.cursorBackwards(.tail, from: 64, value: 32), { $0.tail = 32 }),
            (.cursorBackwards(.tail, from: 64, value: 0), { $0.tail = 0 }),
            (
                .paddingWithoutRecord,
                {
                    $0.putPrefix(at: 64, length: .max, sequence: 1)
                    $0.tail = 16_384
                }
            ),
            (
                .paddingWithoutRecord,
                {
                    $0.putPrefix(at: 64, length: .max, sequence: 1)
                    $0.tail = 96
                }
            ),
            (
                .needlessPadding,
                {
                    $0.putPrefix(at: 64, length: .max, sequence: 1)
                    $0.putPrefix(at: 0, length: .max, sequence: 1)
                    $0.tail = 16_384 + 64
                }
            ),
            (
                .sequence(expected: 1, value: 9),
                {
                    $0.putPrefix(at: 64, length: .max, sequence: 9)
                    $0.tail = 16_384 + 64
                }
            ),
        ]
        for (expected, fault) in cases {
            var client = try HostileClient()
            var buffer = BodyBuffer(Self.largest)
            client.segment.putPrefix(at: 0, length: 56, sequence: 0)
            client.segment.tail = 64
            #expect(try buffer.read(&client.server.consumer)?.count == 56)
            client.server.consumer.release()
            fault(client.segment)
            #expect(throws: expected) { _ = try buffer.read(&client.server.consumer) }
        }
    }

    @Test("a record that would continue at the start of the ring is refused")
    func acrossTheEnd() throws {
        var client = try HostileClient()
        var buffer = BodyBuffer(Self.largest)
        // Seven records of 2,304 bytes end at 16,128: 256 bytes are left.
        for number in 0..<7 {
            client.segment.putPrefix(at: number * 2_304, length: 2_296, sequence: UInt32(number))
            client.segment.tail = UInt64(number + 1) * 2_304
            #expect(try buffer.read(&client.server.consumer)?.count == 2_296)
            client.server.consumer.release()
        }
        client.segment.putPrefix(at: 16_128, length: 300, sequence: 7)
        client.segment.tail = 16_128 + 320
        #expect(throws: RingViolation.recordAcrossEnd(position: 16_128, bytes: 320)) {
            _ = try buffer.read(&client.server.consumer)
        }
    }

    @Test("space that was not given back may not be used again")
    func overrun() throws {
        var client = try HostileClient()
        var buffer = BodyBuffer(Self.largest)
        client.segment.putPrefix(at: 0, length: 24, sequence: 0)
        client.segment.tail = 32
        #expect(try buffer.read(&client.server.consumer) != nil)
        client.segment.tail = 16_384 + 32
        #expect(throws: RingViolation.cursorBeyond(.tail, limit: 16_384, value: 16_416)) {
            _ = try buffer.read(&client.server.consumer)
        }
        client.server.consumer.release()
        #expect(throws: RingViolation.sequence(expected: 1, value: 0)) {
            _ = try buffer.read(&client.server.consumer)
        }
    }

    @Test(
        "a head that the server's producer reads is checked like a tail",
        arguments: [
            (UInt64(97), RingViolation.cursorUnaligned(.head, value: 97)),
            (16_160, .cursorBeyond(.head, limit: 16_128, value: 16_160)),
            (.max, .cursorBeyond(.head, limit: 16_128, value: .max)),
            (32, .cursorBackwards(.head, from: 64, value: 32)),
            (0, .cursorBackwards(.head, from: 64, value: 0)),
        ])
    func badHead(head: UInt64, expected: RingViolation) throws {
        var client = try HostileClient()
        let body = [UInt8](repeating: 0, count: 4_000)
        while try client.server.write(body) { client.server.producer.publish() }
        client.segment.head = 64
        #expect(try client.server.producer.armForSpace())
        client.segment.head = head
        #expect(throws: expected) { _ = try client.server.producer.armForSpace() }
        #expect(throws: expected) { _ = try client.server.write(body) }
    }

    @Test("bytes and descriptors in the control socket that mean nothing end the connection")
    func badControl() throws {
        let cases: [(bytes: String, descriptors: Int, RingViolation)] = [
            ("x", 0, .controlByte(UInt8(ascii: "x"))),
            ("WWWx", 0, .controlByte(UInt8(ascii: "x"))),
            ("x", 1, .controlByte(UInt8(ascii: "x"))),
            ("F", 0, .controlDescriptors(announced: 1, value: 0)),
            ("W", 1, .controlDescriptors(announced: 0, value: 1)),
            ("F", 2, .controlDescriptors(announced: 1, value: 2)),
            ("FF", 1, .controlDescriptors(announced: 2, value: 1)),
            ("F", 3, .tooManyFiles(limit: 16)),
            ("F", 200, .tooManyFiles(limit: 16)),
        ]
        for (bytes, count, expected) in cases {
            var client = try HostileClient()
            // More than a message of ours can carry: the kernel cuts them off.
            let descriptors = [Int32](repeating: client.segment.descriptor, count: min(count, 128))
            try RawHandshake.send(client.socket.rawValue, Array(bytes.utf8), descriptors: descriptors)
            #expect(throws: expected) { _ = try client.server.consumer.clearWake() }
        }
    }

    @Test("a seventeenth file, a file that could change and a record without its file end the connection")
    func badFiles() throws {
        var client = try HostileClient()
        #expect(throws: RingViolation.missingFile) { _ = try client.server.consumer.takeFile() }
        try RawHandshake.send(client.socket.rawValue, Array("F".utf8), descriptors: [client.segment.descriptor])
        #expect(throws: RingViolation.unsealedFile) { _ = try client.server.consumer.takeFile() }
        #expect(throws: RingViolation.tooManyFiles(limit: 16)) {
            for _ in 0..<17 {
                try RawHandshake.send(client.socket.rawValue, Array("F".utf8), descriptors: [client.segment.descriptor])
            }
            while try client.server.consumer.clearWake() {}
        }
    }

    @Test("a flood of wake-ups is taken in turns and means nothing")
    func wakeFlood() throws {
        var client = try HostileClient()
        var sent = 0
        while case .bytes(let count) = try [UInt8](repeating: UInt8(ascii: "W"), count: 4_096).withUnsafeBytes({
            bytes in try Socket.write(client.socket.rawValue, bytes)
        }) { sent += count }
        #expect(sent > 4_096)
        // The server's own wake-ups do not wait for a peer that reads nothing either.
        #expect(try client.server.write([UInt8](repeating: 1, count: 24)))
        client.segment.put(UInt32(1), at: 0x180)
        client.server.producer.publish()
        var turns = 0
        while try Socket.waitReadable(client.server.consumer.wakeDescriptor, milliseconds: 0) {
            #expect(try client.server.consumer.clearWake())
            turns += 1
        }
        #expect(turns > 1)
        var buffer = BodyBuffer(Self.largest)
        #expect(try buffer.read(&client.server.consumer) == nil)
    }

    @Test("a peer that reads nothing can neither block this side nor make it send twice for one epoch")
    func wakesPerEpoch() throws {
        var client = try HostileClient()
        for epoch in [UInt32(1), 1, 1, 3, 3, 4, 5] {
            client.segment.put(epoch, at: 0x180)
            #expect(try client.server.write([UInt8](repeating: 1, count: 24)))
            client.server.producer.publish()
        }
        #expect(client.server.meter.counters.dataWakes == 3)
        let (bytes, _) = try RawHandshake.receive(client.socket.rawValue)
        #expect(bytes == Array("WWW".utf8))
    }

    @Test("a body that its sender changes after it was read stays what it was")
    func changedAfterReading() throws {
        var client = try HostileClient()
        client.segment.putPrefix(at: 0, length: 24, sequence: 0)
        client.segment.put(UInt64(0x1111), at: HostileSegment.headerBytes + 8)
        client.segment.tail = 32
        var buffer = BodyBuffer(Self.largest)
        let body = try #require(try buffer.read(&client.server.consumer))
        client.segment.put(UInt64(0x2222), at: HostileSegment.headerBytes + 8)
        #expect(body[0] == 0x11 && body[1] == 0x11)
    }

    @Test("a sender that changes everything while it is read gets a violation and nothing else", arguments: 0..<10)
    func changedWhileReading(round: Int) throws {
        var client = try HostileClient()
        client.segment.putPrefix(at: 0, length: 24, sequence: 0)
        client.segment.tail = 8_192
        let segment = Unchecked(client.segment)
        let mutator = try Thread.start(name: "mutator") {
            var value = UInt32(truncatingIfNeeded: round)
            for turn in 0..<200_000 {
                value = value &* 1_664_525 &+ 1_013_904_223
                segment.value.put(value >> (value & 31), at: HostileSegment.headerBytes + turn % 64 * 4)
            }
        }
        var buffer = BodyBuffer(Self.largest)
        var bytes = 0
        do throws(RingViolation) {
            while let body = try buffer.read(&client.server.consumer) { bytes += body.count }
        } catch {
            #expect(!error.description.isEmpty)
        }
        #expect(bytes <= 8_192)
        mutator.join()
    }
}

struct Unchecked<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}
