import Foundation
import Platform
import RingTestSupport
import SharedMemory
import TestSupport
import Testing

/// A ring's other end in a process of its own.
private struct RingPeer: ~Copyable {
    let process: ChildProcess
    var rings: Rings

    init(_ arguments: String...) throws {
        let program = Programs.path("apus-ring-peer")
        let pair = try Socket.pair()
        let near = pair.first
        let far = pair.second.release()
        defer { close(far) }
        let process = try ChildProcess.spawn(
            executable: program, arguments: [program] + arguments, environment: [],
            descriptors: [(far, 3), (StandardIO.error, StandardIO.error)])
        var options = ServerHandshake.Options(connectionID: 1, generation: 1)
        options.milliseconds = 20_000
        let rings = try ServedSocket.handshake(near, options: options).get().rings()
        self.process = process
        self.rings = rings
    }

    /// Ends the process at once.
    func kill() throws {
        process.signal(SIGKILL)
        _ = try process.wait()
    }
}

@Suite("Rings between two processes", .timeLimit(.minutes(30))) struct TwoProcessTests {
    private static func number(_ name: String, otherwise: Int) -> Int {
        ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? otherwise
    }

    @Test("defect 14: what one process publishes, the other sees, and the reverse")
    func echo() throws {
        var peer = try RingPeer("echo")
        var sent = TestRecords(seed: 3, lengths: 24...peer.rings.producer.largestBody)
        var expected = TestRecords(seed: 3, lengths: 24...peer.rings.producer.largestBody)
        var buffer = BodyBuffer(peer.rings.consumer.largestBody)
        for _ in 0..<3_000 {
            try peer.rings.send(sent.next())
            guard try peer.rings.receive(&buffer) == expected.next() else { throw RingTestError("another body") }
        }
        try peer.kill()
    }

    /// 50 by default; `APUS_TEST_RING_KILLS` for more.
    @Test("defect 5: a writer that is killed in the middle of a record leaves an exact prefix, and its death is seen")
    func killedWriter() throws {
        var random = SeededRandom(seed: 77)
        var total = 0
        for round in 0..<Self.number("APUS_TEST_RING_KILLS", otherwise: 50) {
            var peer = try RingPeer("write", "\(round)")
            var expected = TestRecords(seed: UInt64(round), lengths: 24...peer.rings.consumer.largestBody)
            var buffer = BodyBuffer(peer.rings.consumer.largestBody)
            // The moment differs in each round: after some records, and some steps of the writer more.
            for _ in 0..<(random.next() % 300) {
                guard try peer.rings.receive(&buffer) == expected.next() else { throw RingTestError("another body") }
            }
            for _ in 0..<(random.next() % 2_000) where peer.rings.consumer.hasData {}
            peer.process.signal(SIGKILL)
            while try peer.rings.consumer.wait(milliseconds: 20_000) == .ready {
                guard try peer.rings.receive(&buffer) == expected.next() else { throw RingTestError("another body") }
            }
            // Only the end of the process ends the waiting: everything that was published has been read.
            #expect(try peer.rings.consumer.wait(milliseconds: 0) == .closed)
            #expect(peer.rings.consumer.hasData == false)
            #expect(try peer.process.wait() == .signal(SIGKILL))
            total += Int(expected.count)
        }
        #expect(total > 0)
    }

    @Test("defect 13: what a process published before it ended is still there, and nobody unlinks it")
    func endedWriter() throws {
        var peer = try RingPeer("still", "9")
        #expect(try peer.rings.consumer.wait(milliseconds: 20_000) == .ready)
        try peer.kill()
        #expect(try peer.rings.consumer.wait(milliseconds: 20_000) == .ready)
        var expected = TestRecords(seed: 9, lengths: 24...100)
        var buffer = BodyBuffer(peer.rings.consumer.largestBody)
        #expect(try peer.rings.receive(&buffer) == expected.next())
        #expect(try peer.rings.consumer.wait(milliseconds: 20_000) == .closed)
    }

    @Test("defect 10: a record costs neither an allocation nor a system call")
    func costs() throws {
        let output = try Programs.run("apus-ring-peer", ["costs"])
        #expect(output.status == 0, "\(output.standardError)")
    }

    @Test("defect 6: connections of all kinds leave no descriptor, no mapping and no name behind")
    func leftovers() throws {
        let output = try Programs.run("apus-ring-peer", ["leftovers"])
        #expect(output.status == 0, "\(output.standardError)")
    }

    /// 20,000 cases by default; `APUS_TEST_RING_FUZZ` for more.
    @Test("mutated rings, cursors, control bytes and frames: the same seed gives the same end, and nothing crashes")
    func fuzz() throws {
        let cases = Self.number("APUS_TEST_RING_FUZZ", otherwise: 20_000)
        let first = try RingFuzz.run(seed: 5, cases: cases)
        #expect(first.cases == cases && first.records > 1_000 && first.violations > 100 && first.frameFaults > 100)
        #expect(try RingFuzz.run(seed: 6, cases: 500) == RingFuzz.run(seed: 6, cases: 500))
    }
}
