import EngineProtocol
import Foundation
import Platform
import SharedMemory

/// What both processes of a pair have to know.
struct DirectPlan {
    let path: String
    let carrier: Carrier
    let waiting: Waiting
    let checksPayloads: Bool
    /// Messages are made once and not looked into: what the carrier alone costs.
    let isRaw: Bool
    let bytes: Int
    let count: Int
    let warmUp: Int
    /// No round trip begins later, once there are a few samples.
    let mostMilliseconds: Int
    let ringBytes: Int
    /// Messages of a one-way run; 0 for round trips.
    let oneWay: Int

    init(_ words: Words) throws {
        path = try words.text("path")
        carrier = try words.choice("carrier", default: .rings)
        waiting = try words.choice("waiting", default: .blocked)
        checksPayloads = words.flag("checksum")
        isRaw = words.flag("raw")
        bytes = try words.integer("bytes", default: 1024)
        count = try words.integer("count", default: 1000)
        warmUp = try words.integer("warm-up", default: 100)
        mostMilliseconds = try words.integer("most-ms", default: 60_000)
        ringBytes = try words.integer("ring-bytes", default: 1 << 20)
        oneWay = try words.integer("one-way", default: 0)
    }

    func encode(_ message: Message, into buffer: MessageBuffer) throws {
        buffer.truncate()
        try MessageCodec.encode(message, payloadChecksum: checksPayloads, into: buffer)
    }
}

/// A measurement, whatever carries the messages.
protocol DirectWork {
    func run<End: DirectEnd & ~Copyable>(_ end: inout End) throws
}

extension DirectWork {
    func run(on connection: consuming Connection, _ waiting: Waiting) throws {
        switch consume connection.transport {
        case .rings(let rings):
            var end = RingEnd(rings: rings, waiting: waiting)
            try run(&end)
        case .stream(let socket):
            var end = SocketEnd(socket: socket, waiting: waiting)
            try run(&end)
        }
    }
}

/// Gives a message a number without a look at the rest.
private func number(_ message: MessageBuffer, _ number: UInt64) {
    message.mutableBytes.storeBytes(of: number.littleEndian, toByteOffset: 12, as: UInt64.self)
}

// MARK: - The side that answers

struct DirectEcho: DirectWork {
    let plan: DirectPlan

    static func run(_ words: Words) throws {
        let plan = try DirectPlan(words)
        try DirectEcho(plan: plan).run(on: Meeting.accept(path: plan.path, ringBytes: plan.ringBytes), plan.waiting)
    }

    func run<End: DirectEnd & ~Copyable>(_ end: inout End) throws {
        if plan.oneWay > 0 { return try sink(&end) }
        let reply = MessageBuffer()
        while let received = try end.receive() {
            if plan.isRaw {
                if reply.count == 0 {
                    reply.append(received.header)
                    reply.append(received.payload)
                }
                number(reply, received.number)
            } else {
                let request = try MessageCodec.decode(header: received.header, payload: received.payload)
                try plan.encode(EchoMessages.reply(to: request), into: reply)
            }
            try end.send(reply.bytes, flushes: true)
        }
    }

    private func sink<End: DirectEnd & ~Copyable>(_ end: inout End) throws {
        let text = EchoMessages.text(bytes: plan.bytes)
        var expected: UInt64 = 1
        while let received = try end.receive() {
            if plan.isRaw {
                guard received.number == expected else { throw BenchmarkError("\(received.number), not \(expected)") }
            } else {
                let message = try MessageCodec.decode(header: received.header, payload: received.payload)
                try EchoMessages.verify(message, expected, text)
            }
            if expected.isMultiple(of: UInt64(plan.oneWay)) {
                let done = MessageBuffer()
                try plan.encode(.pong(expected), into: done)
                try end.send(done.bytes, flushes: true)
            }
            expected += 1
        }
    }
}

// MARK: - The side that asks

struct RoundTrips: DirectWork {
    let plan: DirectPlan
    let samples: String
    private static let fewestSamples = 5

    static func run(_ words: Words) throws {
        let plan = try DirectPlan(words)
        let connection = try Meeting.connect(
            path: plan.path, carrier: plan.carrier, ringBytes: plan.ringBytes, checksPayloads: plan.checksPayloads)
        try RoundTrips(plan: plan, samples: try words.text("samples")).run(on: connection, plan.waiting)
    }

    func run<End: DirectEnd & ~Copyable>(_ end: inout End) throws {
        let text = EchoMessages.text(bytes: plan.bytes)
        let message = MessageBuffer()
        try plan.encode(EchoMessages.request(0, text), into: message)
        let size = message.count
        var times: [UInt64] = []
        times.reserveCapacity(plan.count)
        let deadline = MonotonicClock.now() + UInt64(plan.mostMilliseconds) * 1_000_000
        for turn in 1...UInt64(plan.warmUp + plan.count) {
            let start = MonotonicClock.now()
            if start > deadline, times.count >= Self.fewestSamples { break }
            if plan.isRaw {
                number(message, turn)
            } else {
                try plan.encode(EchoMessages.request(turn, text), into: message)
            }
            try end.send(message.bytes, flushes: true)
            guard let received = try end.receive() else { throw BenchmarkError("the echo has gone") }
            if plan.isRaw {
                guard received.number == turn, received.payload.count == size - MessageHeader.size else {
                    throw BenchmarkError("answer \(received.number) to \(turn)")
                }
            } else {
                let reply = try MessageCodec.decode(header: received.header, payload: received.payload)
                try EchoMessages.verify(reply, turn, text)
            }
            if turn > UInt64(plan.warmUp) { times.append(MonotonicClock.now() - start) }
        }
        try Output.write(times, to: samples)
        Output.report(["message_bytes": size, "count": times.count])
    }
}

/// Messages in one direction; the other side answers after the last one.
struct OneWay: DirectWork {
    let plan: DirectPlan
    let samples: String
    private static let batch = 32

    static func run(_ words: Words) throws {
        let plan = try DirectPlan(words)
        let connection = try Meeting.connect(
            path: plan.path, carrier: plan.carrier, ringBytes: plan.ringBytes, checksPayloads: plan.checksPayloads)
        try OneWay(plan: plan, samples: try words.text("samples")).run(on: connection, plan.waiting)
    }

    func run<End: DirectEnd & ~Copyable>(_ end: inout End) throws {
        let text = EchoMessages.text(bytes: plan.bytes)
        let message = MessageBuffer()
        try plan.encode(EchoMessages.streamed(0, text), into: message)
        var times: [UInt64] = []
        var turn: UInt64 = 0
        for _ in 0..<plan.count {
            let start = MonotonicClock.now()
            for index in 1...plan.oneWay {
                turn += 1
                if plan.isRaw {
                    number(message, turn)
                } else {
                    try plan.encode(EchoMessages.streamed(turn, text), into: message)
                }
                try end.send(message.bytes, flushes: index.isMultiple(of: Self.batch) || index == plan.oneWay)
            }
            guard let received = try end.receive(), received.number == turn else {
                throw BenchmarkError("no word from the other side")
            }
            times.append(MonotonicClock.now() - start)
        }
        try Output.write(times, to: samples)
        Output.report(["message_bytes": message.count, "count": times.count])
    }
}
