import Platform
import RingTestSupport
import SharedMemory
import TestSupport
import Testing

@Suite("Rings", .timeLimit(.minutes(10))) struct RingTests {
    @Test("records of all sizes arrive whole and in order, in both directions, between two threads")
    func bothWays() throws {
        let pair = try ConnectedPair()
        let client = Handover<Rings>()
        client.put(try pair.client.rings())
        var server = try pair.server.rings()
        let count = 20_000
        let echo = try Thread.start(name: "echo") {
            guard var rings = client.take() else { return }
            var buffer = BodyBuffer(rings.consumer.largestBody)
            do { for _ in 0..<count { try rings.send(try rings.receive(&buffer)) } } catch { Issue.record(error) }
        }
        var sent = TestRecords(seed: 1, lengths: 24...server.producer.largestBody)
        var expected = TestRecords(seed: 1, lengths: 24...server.producer.largestBody)
        var buffer = BodyBuffer(server.consumer.largestBody)
        for _ in 0..<count {
            try server.send(sent.next())
            guard try server.receive(&buffer) == expected.next() else {
                throw RingTestError("another body than was sent")
            }
        }
        echo.join()
        let counters = server.meter.counters
        #expect(counters.recordsSent == UInt64(count) && counters.recordsReceived == UInt64(count))
        #expect(counters.bytesSent == counters.bytesReceived)
    }

    @Test(
        "random sizes, batches and readers: what is received is what was sent",
        arguments: [16 << 10, 64 << 10, 1 << 20], UInt64(1)...2)
    func randomTraffic(capacity: Int, seed: UInt64) throws {
        var options = Handshake.Options()
        options.sendCapacity = capacity
        let pair = try ConnectedPair(client: options)
        var sender = try pair.client.rings()
        var receiver = try pair.server.rings()
        var random = SeededRandom(seed: seed)
        var sent = TestRecords(seed: seed, lengths: 24...sender.producer.largestBody)
        var expected = TestRecords(seed: seed, lengths: 24...sender.producer.largestBody)
        var buffer = BodyBuffer(receiver.consumer.largestBody)
        var waiting: [UInt8]?
        while expected.count < 10_000 {
            for _ in 0..<(random.next() % 20) {
                let body = waiting ?? sent.next()
                waiting = try sender.write(body) ? nil : body
                if waiting != nil { break }
                if random.next() % 3 == 0 { sender.producer.publish() }
            }
            if random.next() % 4 != 0 { sender.producer.publish() }
            for _ in 0..<(random.next() % 24) {
                guard let body = try buffer.read(&receiver.consumer) else { break }
                guard body == expected.next() else {
                    throw RingTestError("record \(expected.count) is not what was sent")
                }
                if random.next() % 3 == 0 { receiver.consumer.release() }
            }
            if random.next() % 2 == 0 { receiver.consumer.release() }
        }
        #expect(sender.meter.counters.ringFullEvents > 0)
    }

    @Test("what is written is not seen before it is published")
    func publication() throws {
        let pair = try ConnectedPair()
        var sender = try pair.client.rings()
        var receiver = try pair.server.rings()
        var buffer = BodyBuffer(receiver.consumer.largestBody)
        #expect(try sender.write([UInt8](repeating: 1, count: 50)))
        #expect(try buffer.read(&receiver.consumer) == nil)
        #expect(sender.producer.hasUnpublished == true)
        sender.producer.publish()
        #expect(sender.producer.hasUnpublished == false)
        #expect(try buffer.read(&receiver.consumer) == [UInt8](repeating: 1, count: 50))
    }

    @Test("a buffer that is too small is told the size and loses nothing")
    func tooSmallBuffer() throws {
        let pair = try ConnectedPair()
        var sender = try pair.client.rings()
        var receiver = try pair.server.rings()
        try sender.send([UInt8](repeating: 5, count: 100))
        var small = [UInt8](repeating: 0, count: 99)
        let first = try small.withUnsafeMutableBytes { try receiver.consumer.read(into: $0) }
        #expect(first == .tooSmall(needed: 100))
        var buffer = BodyBuffer(100)
        #expect(try buffer.read(&receiver.consumer) == [UInt8](repeating: 5, count: 100))
    }

    @Test("bodies shorter than a message's header or longer than a quarter of the ring are the writer's error")
    func bodyLimits() throws {
        let pair = try ConnectedPair()
        var sender = try pair.client.rings()
        let largest = sender.producer.largestBody
        #expect(largest == (256 << 10) / 4 - 8)
        for count in [0, 23, largest + 1] {
            #expect(throws: RingViolation.bodyLength(least: 24, most: largest, value: count)) {
                _ = try sender.write([UInt8](repeating: 0, count: count))
            }
        }
        for count in [24, largest] { #expect(try sender.write([UInt8](repeating: 0, count: count))) }
    }

    @Test("payload files arrive with their records, and at most 16 wait")
    func payloadFiles() throws {
        let pair = try ConnectedPair()
        var sender = try pair.client.rings()
        var receiver = try pair.server.rings()
        var sent = 0
        while try sender.write(file: sent) { sent += 1 }
        #expect(sent == SharedMemoryLimits.waitingFiles)
        #expect(try sender.producer.armForSpace())
        var buffer = BodyBuffer(receiver.consumer.largestBody)
        for number in 0..<sent {
            #expect(try buffer.read(&receiver.consumer) == [UInt8](repeating: UInt8(number), count: 30))
            let file = try receiver.consumer.takeFile()
            let mapped = try MappedFile(descriptor: file.rawValue)
            #expect(mapped.withBytes { Array($0) } == Array("payload \(number)".utf8))
        }
        // The place is free again when the record has been given back, and the sender is woken for it.
        #expect(try sender.producer.armForSpace())
        receiver.consumer.release()
        #expect(try Socket.waitReadable(sender.consumer.wakeDescriptor, milliseconds: 20_000))
        #expect(try sender.consumer.clearWake())
        #expect(try sender.write(file: 99))
    }

    @Test("a ring that is drained again and again touches a page or two, whatever its capacity")
    func rewind() throws {
        var options = Handshake.Options()
        options.sendCapacity = 1 << 20
        let pair = try ConnectedPair(client: options)
        var sender = try pair.client.rings()
        var receiver = try pair.server.rings()
        var buffer = BodyBuffer(receiver.consumer.largestBody)
        var random = SeededRandom(seed: 4)
        for _ in 0..<5_000 {
            for _ in 0...(random.next() % 3) {
                let body = [UInt8](repeating: 1, count: 24 + Int(random.next() % 500))
                guard try sender.write(body) else { throw RingTestError("an empty ring has no space") }
            }
            sender.producer.publish()
            while try buffer.read(&receiver.consumer) != nil {}
            receiver.consumer.release()
        }
        // The header and the first data are in one page, of 257; three records at once go a little beyond it.
        #expect(sender.meter.residentPages <= 2)
        #expect(sender.meter.counters.recordsSent >= 5_000)
        // Without draining, a ring does fill.
        while try sender.write([UInt8](repeating: 1, count: 4_000)) { sender.producer.publish() }
        #expect(sender.meter.residentPages > 200)
    }
}

extension Rings {
    /// Writes a short record with a payload file that says its number.
    fileprivate mutating func write(file number: Int) throws -> Bool {
        let file = try Array("payload \(number)".utf8).withUnsafeBytes { bytes in
            try FileDescriptor.memory(name: "payload", bytes: bytes, sealed: true).release()
        }
        let owned = FileDescriptor(owning: file)
        let isWritten = try [UInt8](repeating: UInt8(number), count: 30).withUnsafeBytes {
            try producer.write($0, file: owned.rawValue)
        }
        producer.publish()
        return isWritten
    }
}
