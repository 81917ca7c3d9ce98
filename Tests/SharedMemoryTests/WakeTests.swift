import Foundation
import Platform
import RingTestSupport
import SharedMemory
import TestSupport
import Testing

@Suite("Wake-ups", .timeLimit(.minutes(600))) struct WakeTests {
    /// 200,000 by default; `APUS_TEST_RING_HANDOFFS` for more.
    private static let handoffs =
        ProcessInfo.processInfo.environment["APUS_TEST_RING_HANDOFFS"].flatMap { Int($0) } ?? 200_000

    /// A pause of random length, so that arming and publishing meet at every distance.
    private static func pause(_ random: inout SeededRandom) {
        for _ in 0..<(random.next() % 64) { _ = random.next() }
    }

    @Test("no wake-up is lost in 200,000 hand-offs between two threads that sleep")
    func handoffs() throws {
        let pair = try ConnectedPair()
        let client = Handover<Rings>()
        client.put(try pair.client.rings())
        var server = try pair.server.rings()
        let echo = try Thread.start(name: "echo") {
            guard var rings = client.take() else { return }
            var random = SeededRandom(seed: 1)
            do { try Self.bounce(&rings, &random, begins: false) } catch { Issue.record(error) }
        }
        var random = SeededRandom(seed: 2)
        try Self.bounce(&server, &random, begins: true)
        echo.join()
    }

    private static func bounce(_ rings: inout Rings, _ random: inout SeededRandom, begins: Bool) throws {
        let body = [UInt8](repeating: 0, count: 24)
        var buffer = BodyBuffer(24)
        for turn in 0..<handoffs {
            if begins || turn > 0 {
                pause(&random)
                try rings.send(body)
            }
            pause(&random)
            // A lost wake-up lets this wait until its limit, and fails.
            _ = try rings.receive(&buffer)
        }
        if !begins { try rings.send(body) }
    }

    @Test("no wake-up for space is lost while a writer is faster than its reader")
    func handoffsOfSpace() throws {
        var options = Handshake.Options()
        options.sendCapacity = 16 << 10
        let pair = try ConnectedPair(client: options)
        let client = Handover<Rings>()
        client.put(try pair.client.rings())
        var server = try pair.server.rings()
        let count = Self.handoffs / 4
        let writer = try Thread.start(name: "writer") {
            guard var rings = client.take() else { return }
            var random = SeededRandom(seed: 3)
            do {
                for _ in 0..<count { try rings.send([UInt8](repeating: 1, count: 24 + Int(random.next() % 4_000))) }
            } catch { Issue.record(error) }
        }
        var random = SeededRandom(seed: 4)
        var buffer = BodyBuffer(server.consumer.largestBody)
        for _ in 0..<count {
            if random.next() % 8 == 0 { Self.pause(&random) }
            _ = try server.receive(&buffer)
        }
        writer.join()
        #expect(server.meter.counters.spaceWakes > 0)
    }

    @Test("a peer that does not sleep is not woken")
    func noNeedlessWakes() throws {
        let pair = try ConnectedPair()
        var sender = try pair.client.rings()
        var receiver = try pair.server.rings()
        var buffer = BodyBuffer(100)
        for _ in 0..<100 {
            try sender.send([UInt8](repeating: 1, count: 24))
            #expect(try buffer.read(&receiver.consumer) != nil)
            receiver.consumer.release()
        }
        #expect(sender.meter.counters.dataWakes == 0 && receiver.meter.counters.spaceWakes == 0)
        #expect(receiver.consumer.arm() == true)
        for _ in 0..<3 { try sender.send([UInt8](repeating: 1, count: 24)) }
        #expect(sender.meter.counters.dataWakes == 1)
        #expect(try Socket.waitReadable(receiver.consumer.wakeDescriptor, milliseconds: 0))
        #expect(receiver.consumer.arm() == false)
    }

    @Test("waiting ends when its time is over, and when the peer has gone")
    func ends() throws {
        let pair = try ConnectedPair()
        var receiver = try pair.server.rings()
        #expect(try receiver.consumer.wait(milliseconds: 1) == .timedOut)
        let sender = try pair.client.rings()
        _ = consume sender
        #expect(try receiver.consumer.wait(milliseconds: 20_000) == .closed)
        var isFull = false
        while !isFull { isFull = try !receiver.write([UInt8](repeating: 1, count: 24)) }
        #expect(try receiver.waitForSpace(milliseconds: 20_000) == .closed)
    }

    @Test("spinning finds a record, gives up in time, and is counted")
    func spinning() throws {
        let pair = try ConnectedPair()
        var sender = try pair.client.rings()
        var receiver = try pair.server.rings()
        #expect(receiver.consumer.spin(nanoseconds: 50_000) == false)
        #expect(receiver.meter.counters.spunNanoseconds >= 50_000)
        try sender.send([UInt8](repeating: 1, count: 24))
        #expect(receiver.consumer.spin(nanoseconds: 0) == true)
    }
}

@Suite("Spin budget") struct SpinBudgetTests {
    @Test(
        "nobody spins where two processors or all are busy, or before it is earned",
        arguments: [(2, 1), (1, 0), (8, 8)])
    func off(processors: Int, computeThreads: Int) {
        var budget = SpinBudget(processors: processors, computeThreads: computeThreads)
        for _ in 0..<100 { budget.arrived(afterNanoseconds: 500) }
        #expect(budget.next() == 0)
        var fresh = SpinBudget(processors: 8, computeThreads: 2)
        #expect(fresh.next() == 0)
    }

    @Test("fast arrivals earn twice their gap, at most 8 µs; slow ones nothing")
    func earning() {
        var budget = SpinBudget(processors: 8, computeThreads: 4)
        budget.arrived(afterNanoseconds: 1_000)
        #expect(budget.next() == 2_000)
        for _ in 0..<100 { budget.arrived(afterNanoseconds: 7_000) }
        #expect(budget.next() == 8_000)
        for _ in 0..<100 { budget.arrived(afterNanoseconds: 9_000) }
        #expect(budget.next() == 0)
    }

    @Test("four waits in vain lead to 64 waits without spinning; a hit in between starts the count again")
    func rest() {
        var budget = SpinBudget(processors: 8, computeThreads: 4)
        budget.arrived(afterNanoseconds: 1_000)
        for found in [false, false, false, true, false, false, false] { budget.spun(found: found) }
        #expect(budget.next() > 0)
        budget.spun(found: false)
        for _ in 0..<64 { #expect(budget.next() == 0) }
        #expect(budget.next() > 0)
    }

    @Test("an idle hour is forgotten after a few fast arrivals")
    func idle() {
        var budget = SpinBudget(processors: 8, computeThreads: 4)
        budget.arrived(afterNanoseconds: 3_600_000_000_000)
        for _ in 0..<40 { budget.arrived(afterNanoseconds: 500) }
        #expect(budget.next() > 0)
    }
}
