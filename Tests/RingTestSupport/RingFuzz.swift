import Glibc
import Platform
import SharedMemory
import TestSupport

/// Hostile input for everything of the transport that reads what a peer wrote, the same for the same seed.
///
/// A case is a ring full of mutated records read by a live consumer, a mutated cursor read by a live producer, random
/// bytes in the control socket, or a mutated frame of the handshake. Nothing may crash, hang, or be read outside the
/// ring; a record that is delivered must lie inside what was published.
public enum RingFuzz {
    public struct Summary: Equatable, Sendable, CustomStringConvertible {
        public var cases = 0
        public var records = 0
        public var violations = 0
        public var connections = 0
        public var frames = 0
        public var frameFaults = 0

        public var description: String {
            "\(cases) cases: \(connections) connections, \(records) records, \(violations) violations, "
                + "\(frames) frames, \(frameFaults) frame faults"
        }
    }

    public static func run(seed: UInt64, cases: Int) throws -> Summary {
        var fuzzer = RingFuzzer(random: SeededRandom(seed: seed))
        for _ in 0..<cases { try fuzzer.next() }
        return fuzzer.summary
    }
}

private struct RingFuzzer: ~Copyable {
    var random: SeededRandom
    var summary = RingFuzz.Summary()
    private var client: HostileClient?
    private var buffer = [UInt8](repeating: 0, count: 4096)
    /// Where an honest client's next record would be.
    private var position: UInt64 = 0
    private var sequence: UInt32 = 0

    init(random: SeededRandom) { self.random = random }

    mutating func next() throws {
        summary.cases += 1
        switch random.next() % 16 {
        case 0..<6: fuzzFrame()
        case 6..<14: try withClient { try $0.fuzzRecords(&$1) }
        case 14: try withClient { try $0.fuzzHead(&$1) }
        default: try withClient { try $0.fuzzControl(&$1) }
        }
    }

    /// Runs a case on the present connection, and ends that when the case was a violation.
    private mutating func withClient(
        _ body: (inout RingFuzzer, inout HostileClient) throws -> Bool
    ) throws {
        var present: HostileClient
        if let old = client.take() {
            present = old
        } else {
            present = try HostileClient()
            summary.connections += 1
            (position, sequence) = (0, 0)
        }
        let isAlive = try body(&self, &present)
        if isAlive { client = consume present } else { summary.violations += 1 }
    }

    private func isViolation(_ error: any Error) throws -> Bool {
        guard error is RingViolation else { throw error }
        return true
    }

    // MARK: Records

    private mutating func fuzzRecords(_ client: inout HostileClient) throws -> Bool {
        let segment = client.segment
        let capacity = UInt64(segment.capacity)
        var tail = position
        var number = sequence
        for _ in 0..<(1 + random.next() % 8) {
            let length = UInt32(24 + random.next() % 300)
            let size = UInt64(length + 8 + 31) & ~31
            let place = tail % capacity
            guard place + size <= capacity else {
                segment.putPrefix(at: Int(place), length: .max, sequence: number)
                tail += capacity - place
                continue
            }
            segment.putPrefix(at: Int(place), length: length, sequence: number)
            number &+= 1
            tail += size
        }
        // Half of the cases stay correct, so that the connection gets on.
        if random.next() & 1 == 0 { mutate(segment, from: position, to: &tail) }
        segment.tail = tail
        return try readAll(&client.server, published: tail)
    }

    private mutating func mutate(_ segment: HostileSegment, from: UInt64, to tail: inout UInt64) {
        let capacity = UInt64(segment.capacity)
        switch random.next() % 4 {
        case 0: tail = random.interesting(near: tail)
        case 1:
            // A word of a prefix becomes something that is nearly right.
            let place = Int((from + random.next() % 64 / 32 * 32) % capacity)
            let offset = HostileSegment.headerBytes + place + Int(random.next() % 2) * 4
            segment.put(
                UInt32(truncatingIfNeeded: random.interesting(near: UInt64(segment.get(UInt32.self, at: offset)))),
                at: offset)
        default:
            for _ in 0..<(1 + random.next() % 16) {
                let place = Int((from + random.next() % max(1, tail &- from)) % capacity)
                segment.put(UInt8(truncatingIfNeeded: random.next()), at: HostileSegment.headerBytes + place)
            }
        }
    }

    private mutating func readAll(_ server: inout Rings, published: UInt64) throws -> Bool {
        var bytes = 0
        do {
            while true {
                let received = try buffer.withUnsafeMutableBytes { try server.consumer.read(into: $0) }
                guard case .record(let count) = received else {
                    guard received == .empty else { throw RingTestError("\(received)") }
                    break
                }
                bytes += count
                summary.records += 1
                sequence &+= 1
                guard count <= 4088, bytes <= 16 << 10 else { throw RingTestError("\(bytes) bytes from one ring") }
            }
        } catch { return try !isViolation(error) }
        server.consumer.release()
        position = published
        return true
    }

    // MARK: The other words, the control socket, the handshake

    private mutating func fuzzHead(_ client: inout HostileClient) throws -> Bool {
        let head = client.segment.head
        let body = [UInt8](repeating: 1, count: 24 + Int(random.next() % 4_000))
        do {
            if random.next() & 3 == 0 { client.segment.head = random.interesting(near: head) }
            var written = 0
            while written < 8, try client.server.write(body) {
                client.server.producer.publish()
                written += 1
            }
            if try client.server.producer.armForSpace() {}
        } catch { return try !isViolation(error) }
        return true
    }

    private mutating func fuzzControl(_ client: inout HostileClient) throws -> Bool {
        var bytes = (0..<(1 + random.next() % 70)).map { _ in UInt8(ascii: "W") }
        var descriptors: [Int32] = []
        if random.next() & 1 == 0 {
            let byte = random.next() & 1 == 0 ? UInt8(ascii: "F") : UInt8(truncatingIfNeeded: random.next())
            bytes[Int(random.next() % UInt64(bytes.count))] = byte
        }
        if random.next() & 3 == 0 { descriptors = [client.segment.descriptor] }
        try RawHandshake.send(client.socket.rawValue, bytes, descriptors: descriptors)
        do {
            guard try client.server.consumer.clearWake() else { return false }
            if random.next() & 7 == 0 { _ = try client.server.consumer.takeFile() }
        } catch { return try !isViolation(error) }
        return true
    }

    private mutating func fuzzFrame() {
        var bytes = correctFrame().encoded()
        for _ in 0..<(random.next() % 4) {
            bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
        }
        summary.frames += 1
        do throws(FrameFault) {
            let frame = try HandshakeFrame(decoding: bytes)
            // What is accepted means the same after another round.
            let again = try HandshakeFrame(decoding: frame.encoded())
            precondition(again == frame, "a frame means two things: \(bytes)")
        } catch {
            summary.frameFaults += 1
        }
    }

    private mutating func correctFrame() -> HandshakeFrame {
        switch random.next() % 4 {
        case 0: return .hello(correctHello())
        case 1:
            let welcome = HandshakeFrame.Welcome(
                version: 1, features: .payloadChecksums, messageBytes: 1 << 20, calls: 3, connectionID: random.next(),
                generation: random.next())
            return .welcome(welcome)
        case 2: return .ready(connectionID: random.next())
        default:
            let length = UInt32(random.next() % 256)
            return .refusal(HandshakeFrame.RefusalHead(versions: 1...2, reason: .tokenMissing, textBytes: length))
        }
    }

    private mutating func correctHello() -> HandshakeFrame.Hello {
        let highest = UInt16(1 + random.next() % 3)
        return HandshakeFrame.Hello(
            versions: 1...highest, features: [.sharedMemory, .payloadChecksums], clientCapacity: 1 << 16,
            serverCapacity: 1 << 17, messageBytes: 1 << 20, tokenBytes: UInt32(random.next() % 4_097))
    }
}

extension SeededRandom {
    /// A number that a careless reader would take, or stumble over.
    fileprivate mutating func interesting(near value: UInt64) -> UInt64 {
        switch next() % 10 {
        case 0: 0
        case 1: .max
        case 2: 1 << 63
        case 3: value &+ 1
        case 4: value &- 32
        case 5: value &+ 32
        case 6: value &+ 16_384
        case 7: value &- 16_384
        case 8: value ^ (1 << (next() % 64))
        default: next()
        }
    }
}
