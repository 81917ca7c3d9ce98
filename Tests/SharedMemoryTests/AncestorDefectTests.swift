import CPlatform
import Foundation
import Platform
import RingTestSupport
import SharedMemory
import TestSupport
import Testing

/// One test for each defect of an earlier transport that belongs to rings, segments or the handshake.
///
/// Defects 1, 5, 6, 8, 10, 13 and 14 are tested beside their kin, under the same names.
@Suite("Defects of the ancestor", .timeLimit(.minutes(10))) struct AncestorDefectTests {
    private func rings(capacity: Int = 16 << 10) throws -> (RingsBox, RingsBox) {
        var options = Handshake.Options()
        options.sendCapacity = capacity
        let pair = try ConnectedPair(client: options)
        return (RingsBox(try pair.client.rings()), RingsBox(try pair.server.rings()))
    }

    @Test("defect 2: records that are published together all arrive, also those above 64 KiB")
    func pipelined() throws {
        let (sender, receiver) = try rings(capacity: 1 << 20)
        let sizes = [24, 100_000, 50, 262_136, 65_536, 65_537] + [Int](repeating: 40, count: 1_000)
        for size in sizes { #expect(try sender.rings.write([UInt8](repeating: UInt8(size & 0xFF), count: size))) }
        sender.rings.producer.publish()
        var buffer = BodyBuffer(receiver.rings.consumer.largestBody)
        for size in sizes {
            #expect(try buffer.read(&receiver.rings.consumer) == [UInt8](repeating: UInt8(size & 0xFF), count: size))
        }
        #expect(try buffer.read(&receiver.rings.consumer) == nil)
    }

    @Test("defect 3: nothing travels without a header: shorter bodies are refused where they are written and read")
    func headless() throws {
        let (sender, _) = try rings()
        #expect(throws: RingViolation.self) { _ = try sender.rings.write([UInt8](repeating: 0, count: 23)) }
        var client = try HostileClient()
        client.segment.putPrefix(at: 0, length: 23, sequence: 0)
        client.segment.tail = 32
        var buffer = BodyBuffer(4_088)
        #expect(throws: RingViolation.self) { _ = try buffer.read(&client.server.consumer) }
    }

    @Test("defect 4: a hundred idle connections need no thread, and one loop hears each of them")
    func idleConnections() throws {
        let loop = try EventLoop()
        var clients: [RingsBox] = []
        var servers: [RingsBox] = []
        var heard = Set<Int>()
        let threads = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count
        for index in 0..<100 {
            let (client, server) = try rings()
            clients.append(client)
            servers.append(server)
            _ = try loop.watch(server.rings.consumer.wakeDescriptor, .readable) { _ in
                heard.insert(index)
                _ = try? server.rings.consumer.clearWake()
                if heard.count == 100 { loop.stop() }
            }
            #expect(server.rings.consumer.arm() == true)
        }
        // Other tests run beside this one: what counts is that no connection has a thread.
        let later = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count
        #expect(later < threads + 100)
        for client in clients.reversed() { try client.rings.send([UInt8](repeating: 1, count: 24)) }
        loop.run()
        #expect(heard.count == 100)
    }

    @Test("defect 6: a segment of an earlier connection is not taken for one of the next")
    func crossTalk() throws {
        var options = ServerHandshake.Options(connectionID: 1, generation: 1)
        let first = try ConnectedPair(server: options)
        options.generation = 2
        let second = try ConnectedPair(server: options)
        #expect(first.client.agreement.generation == 1 && second.client.agreement.generation == 2)
        let old = RingsBox(try first.client.rings())
        let new = RingsBox(try second.server.rings())
        try old.rings.send([UInt8](repeating: 1, count: 24))
        var buffer = BodyBuffer(new.rings.consumer.largestBody)
        #expect(try buffer.read(&new.rings.consumer) == nil)
    }

    @Test("defect 7: this side's words cannot be written by the other side, in any way")
    func ownership() throws {
        let (socket, descriptors) = try serversSegment()
        let server = try #require(descriptors.first)
        defer { for descriptor in descriptors { close(descriptor) } }
        var words: UnsafeMutablePointer<UInt64>?
        let size = 1_024 + (16 << 10)
        #expect(apus_map_shared(server, size, true, &words) == -EPERM)
        #expect(apus_write(server, "x", 1) == Int64(-EPERM))
        #expect(ftruncate(server, 0) == -1 && errno == EPERM)
        #expect(ftruncate(server, 1 << 20) == -1 && errno == EPERM)
        #expect(apus_seal(server, Seals.write.rawValue) == -EPERM)
        // Also not through a mapping for reading that is made writable, nor through a new descriptor.
        #expect(apus_map_shared(server, size, false, &words) == 0)
        let mapped = try #require(words)
        #expect(mprotect(mapped, size, PROT_READ | PROT_WRITE) == -1 && errno == EACCES)
        #expect(madvise(mapped, size, MADV_REMOVE) == -1 && errno == EACCES)
        #expect(mapped[0] & 0xFFFF_FFFF == 0x4D53_5041)
        munmap(mapped, size)
        let again = open("/proc/self/fd/\(server)", O_RDWR)
        #expect(apus_map_shared(again, size, true, &words) == -EPERM)
        close(again)
        close(socket)
    }

    /// The server's segment as a client gets it, with the socket that keeps the connection.
    private func serversSegment() throws -> (Int32, [Int32]) {
        let segment = try HostileSegment()
        let pair = try Socket.pair()
        let hello = HandshakeFrame.Hello(
            versions: 1...1, features: .sharedMemory, clientCapacity: 16 << 10, serverCapacity: 16 << 10,
            messageBytes: 1 << 20)
        try RawHandshake.send(
            pair.first.rawValue, HandshakeFrame.hello(hello).encoded(), descriptors: [segment.descriptor])
        try RawHandshake.send(pair.first.rawValue, HandshakeFrame.ready(connectionID: 7).encoded())
        _ = try ServedSocket.handshake(pair.second).get()
        let (bytes, descriptors) = try RawHandshake.receive(pair.first.rawValue)
        #expect(bytes.count == 64 && descriptors.count == 1)
        return (pair.first.release(), descriptors)
    }

    @Test("defect 7: what a peer writes over its frozen fields later changes nothing")
    func frozenFields() throws {
        var client = try HostileClient()
        for offset in stride(from: 0, to: 0x28, by: 4) { client.segment.put(UInt32.max, at: offset) }
        client.segment.putPrefix(at: 0, length: 24, sequence: 0)
        client.segment.tail = 32
        var buffer = BodyBuffer(4_088)
        #expect(try buffer.read(&client.server.consumer)?.count == 24)
        #expect(client.server.consumer.largestBody == 4_088)
    }

    @Test("defect 8: holes that a peer punches into its segment later are zeros, and a violation")
    func punchedHoles() throws {
        var client = try HostileClient()
        var buffer = BodyBuffer(4_088)
        for number in 0..<4 { client.segment.putPrefix(at: number * 32, length: 24, sequence: UInt32(number)) }
        client.segment.tail = 64
        #expect(try buffer.read(&client.server.consumer) != nil)
        #expect(client.segment.punchHole(at: 0, byteCount: 17 << 10))
        #expect(throws: RingViolation.sequence(expected: 1, value: 0)) {
            _ = try buffer.read(&client.server.consumer)
        }
        var other = try HostileClient()
        #expect(other.segment.punchHole(at: 0, byteCount: 17 << 10))
        other.segment.tail = 32
        #expect(throws: RingViolation.bodyLength(least: 24, most: 4_088, value: 0)) {
            _ = try buffer.read(&other.server.consumer)
        }
    }

    @Test("defect 9: a full ring is full and not empty; no record and no length crosses the end")
    func fullRing() throws {
        // 16,384 bytes are 512 records of 32: the last one fills the ring to the last byte.
        let (sender, receiver) = try rings()
        var count = 0
        while try sender.rings.write([UInt8](repeating: UInt8(count & 0xFF), count: 24)) { count += 1 }
        sender.rings.producer.publish()
        #expect(count == 512)
        var buffer = BodyBuffer(4_088)
        for number in 0..<512 {
            #expect(try buffer.read(&receiver.rings.consumer)?.first == UInt8(number & 0xFF))
        }
        #expect(try buffer.read(&receiver.rings.consumer) == nil)
        receiver.rings.consumer.release()
        // Every distance between a record and the end of the ring.
        for size in [24, 25, 56, 57, 1_000, 2_047, 4_088, 3_000] {
            for _ in 0..<40 {
                try sender.rings.send([UInt8](repeating: 3, count: size))
                #expect(try buffer.read(&receiver.rings.consumer)?.count == size)
                receiver.rings.consumer.release()
            }
        }
    }

    @Test("defect 11: a segment's head is laid out as its page says, byte for byte")
    func layout() throws {
        let (socket, descriptors) = try serversSegment()
        let server = FileDescriptor(owning: try #require(descriptors.first))
        defer { close(socket) }
        let size = try server.fileSize()
        #expect(size == 1_024 + 16_384)
        let mapped = try MappedFile(descriptor: server.rawValue)
        let golden = try HandshakeFrameTests.golden("server-segment")
        let head = mapped.withBytes { Array($0[..<32]) }
        #expect(head == golden + [UInt8](repeating: 0, count: 32 - golden.count))
        let (process, rest) = mapped.withBytes {
            ($0.loadUnaligned(fromByteOffset: 0x20, as: Int32.self), Array($0[0x24..<0x400]))
        }
        #expect(process == getpid())
        #expect(rest.allSatisfy { $0 == 0 })
    }

    @Test("defect 12: nothing has an age: a connection that was idle is as good as a new one")
    func idle() throws {
        let (sender, receiver) = try rings()
        var buffer = BodyBuffer(4_088)
        // There is no clock in a ring; all that could age is the handshake's timer, which is gone.
        #expect(try receiver.rings.consumer.wait(milliseconds: 1_100) == .timedOut)
        try sender.rings.send([UInt8](repeating: 1, count: 24))
        #expect(try receiver.rings.receive(&buffer).count == 24)
    }
}

/// Rings in an object, for collections and closures.
final class RingsBox: @unchecked Sendable {
    var rings: Rings
    init(_ rings: consuming Rings) { self.rings = rings }
}
