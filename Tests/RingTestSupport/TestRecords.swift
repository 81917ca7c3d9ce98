public import SharedMemory
import TestSupport

/// Bodies that tell their number and length, so that any loss, doubling, mixing or damage shows.
public struct TestRecords {
    private var random: SeededRandom
    private let lengths: ClosedRange<Int>
    public private(set) var count: UInt64 = 0

    public init(seed: UInt64, lengths: ClosedRange<Int>) {
        random = SeededRandom(seed: seed)
        self.lengths = lengths
    }

    /// The next body: mostly short ones, but all lengths of the range.
    public mutating func next() -> [UInt8] {
        let word = random.next()
        let span = UInt64(lengths.upperBound - lengths.lowerBound + 1)
        let choice = (word >> 3) % (word & 7 == 0 ? span : min(span, 200))
        let length = lengths.lowerBound + Int(choice)
        let start = Int(word >> 40 & 0xFFF)
        var body = Array(Self.noise[start..<start + length])
        for index in 0..<8 { body[index] = UInt8(truncatingIfNeeded: count >> UInt64(8 * index)) }
        count += 1
        return body
    }

    /// Bodies are taken from here, each from another place.
    private static let noise: [UInt8] = {
        var random = SeededRandom(seed: 0)
        let words = (0..<(64 << 10)).map { _ in random.next() }
        return words.withUnsafeBytes { Array($0) }
    }()
}

/// A buffer for bodies.
public struct BodyBuffer {
    private var bytes: [UInt8]

    public init(_ count: Int) { bytes = [UInt8](repeating: 0, count: count) }

    /// The next body; nil when the ring is empty.
    public mutating func read(_ consumer: inout RingConsumer) throws(RingViolation) -> [UInt8]? {
        let outcome = bytes.withUnsafeMutableBytes { bytes in
            Result { () throws(RingViolation) in try consumer.read(into: bytes) }
        }
        switch try outcome.get() {
        case .record(let count): return Array(bytes[..<count])
        case .empty: return nil
        case .tooSmall(let needed): preconditionFailure("a body of \(needed) bytes, more than the ring's longest")
        }
    }
}

public struct RingTestError: Error, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

extension Rings {
    /// Writes a record and waits for space where there is none.
    public mutating func send(_ body: [UInt8], publishes: Bool = true) throws {
        while try !write(body) {
            guard try waitForSpace(milliseconds: 30_000) == .ready else {
                throw RingTestError("no space for \(body.count) bytes")
            }
        }
        if publishes { producer.publish() }
    }

    /// Writes a record; false when there is no space.
    public mutating func write(_ body: [UInt8]) throws(RingViolation) -> Bool {
        let outcome = body.withUnsafeBytes { bytes in
            Result { () throws(RingViolation) in try producer.write(bytes) }
        }
        return try outcome.get()
    }

    /// The next body, for which it waits.
    public mutating func receive(_ buffer: inout BodyBuffer) throws -> [UInt8] {
        while true {
            if let body = try buffer.read(&consumer) {
                consumer.release()
                return body
            }
            guard try consumer.wait(milliseconds: 30_000) == .ready else { throw RingTestError("no record came") }
        }
    }
}
