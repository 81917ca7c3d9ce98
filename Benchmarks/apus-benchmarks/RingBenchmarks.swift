import Foundation
import Platform
import SharedMemory

/// Round trips and one-way traffic through rings between two processes, without any codec.
///
/// This process serves and measures; a second one, of the same program, sends back what it gets, or takes it away. Each
/// is bound to a processor of its own.
enum RingBenchmarks {
    /// How both sides wait for the next record.
    enum Waiting: String, CaseIterable {
        case spinning
        case blocked
    }

    static func run(report: (RingFigure) -> Void) throws {
        bind(getpid(), to: 0)
        for bytes in [64, 1_024] {
            report(try roundTrips(bytes: bytes, waiting: .spinning, count: 400_000))
            report(try roundTrips(bytes: bytes, waiting: .blocked, count: 50_000))
            report(try oneWay(bytes: bytes, count: 4_000_000))
        }
    }

    private static func roundTrips(bytes: Int, waiting: Waiting, count: Int) throws -> RingFigure {
        var peer = try RingBenchmarkPeer("echo", bytes: bytes, waiting: waiting)
        let body = [UInt8](repeating: 1, count: bytes)
        var buffer = [UInt8](repeating: 0, count: bytes)
        var samples: [Double] = []
        samples.reserveCapacity(count)
        // The first tenth warms up.
        for turn in 0..<count + count / 10 {
            let start = MonotonicClock.now()
            try peer.rings.send(body)
            guard try peer.rings.receive(into: &buffer, waiting) else { throw RingPeerEnded() }
            if turn >= count / 10 { samples.append(Double(MonotonicClock.now() - start)) }
        }
        return RingFigure(name: "round trip", bytes: bytes, waiting: waiting, samples: samples.sorted())
    }

    private static func oneWay(bytes: Int, count: Int) throws -> RingFigure {
        var peer = try RingBenchmarkPeer("sink", bytes: bytes, waiting: .spinning, count: count)
        let body = [UInt8](repeating: 1, count: bytes)
        var buffer = [UInt8](repeating: 0, count: bytes)
        let start = MonotonicClock.now()
        for number in 1...count {
            while try !body.withUnsafeBytes({ try peer.rings.producer.write($0) }) { peer.rings.producer.publish() }
            if number % 32 == 0 || number == count { peer.rings.producer.publish() }
        }
        // The peer answers when it has read the last one.
        guard try peer.rings.receive(into: &buffer, .spinning) else { throw RingPeerEnded() }
        let elapsed = Double(MonotonicClock.now() - start) / Double(count)
        return RingFigure(name: "one way", bytes: bytes, waiting: .spinning, samples: [elapsed])
    }

    /// What the second process does, with descriptor 3 as its connection.
    static func servePeer(_ words: [String]) throws {
        guard words.count == 4, let bytes = Int(words[1]), let waiting = Waiting(rawValue: words[2]),
            let count = Int(words[3])
        else { throw RingPeerEnded() }
        var options = Handshake.Options()
        options.milliseconds = 10_000
        var rings = try Handshake.connect(over: FileDescriptor(owning: 3), options: options).benchmarkRings()
        var buffer = [UInt8](repeating: 0, count: bytes)
        if words[0] == "sink" {
            for number in 1...max(1, count) {
                // Space is given back in batches, as it is taken.
                guard try rings.receive(into: &buffer, waiting, releases: number % 32 == 0) else { return }
            }
            try rings.send(buffer)
            while try rings.consumer.wait(milliseconds: 1_000) != .closed {}
        } else {
            while try rings.receive(into: &buffer, waiting) { try rings.send(buffer) }
        }
    }

    /// Binds a process of one thread to a processor; where the tool is missing, the system chooses.
    static func bind(_ process: Int32, to processor: Int) {
        _ = try? ChildProcess.output(
            executable: "/usr/bin/taskset", arguments: ["taskset", "-pc", "\(processor)", "\(process)"], limit: 4_096)
    }
}

struct RingFigure {
    let name: String
    let bytes: Int
    let waiting: RingBenchmarks.Waiting
    /// Nanoseconds of each round trip, ascending; of one record on the average when they went one way.
    let samples: [Double]

    private func percentile(_ part: Double) -> Double {
        samples[min(samples.count - 1, Int(Double(samples.count) * part))]
    }

    var text: String {
        let title = "\(name), \(bytes) bytes, \(waiting.rawValue)"
        if samples.count == 1 {
            return String(format: "%@: %.1f ns each, %.2f M/s", title, samples[0], 1_000 / samples[0])
        }
        return String(
            format: "%@: median %.2f µs, p99 %.2f µs, p99.9 %.2f µs", title, percentile(0.5) / 1e3,
            percentile(0.99) / 1e3, percentile(0.999) / 1e3)
    }

    var json: String {
        String(
            format: #"{"benchmark":"ring","entry":"%@","bytes":%d,"waiting":"%@","samples":%d,"#
                + #""p50_ns":%.1f,"p99_ns":%.1f,"p999_ns":%.1f}"#,
            name, bytes, waiting.rawValue, samples.count, percentile(0.5), percentile(0.99), percentile(0.999))
    }
}

struct RingPeerEnded: Error, CustomStringConvertible {
    var description: String { "the other process of the benchmark ended" }
}

/// The second process, and this side's end of the rings to it.
private struct RingBenchmarkPeer: ~Copyable {
    private let process: ChildProcess
    var rings: Rings

    init(_ task: String, bytes: Int, waiting: RingBenchmarks.Waiting, count: Int = 0) throws {
        let pair = try Socket.pair()
        let near = pair.first
        let far = pair.second.release()
        defer { close(far) }
        let process = try ChildProcess.spawn(
            executable: "/proc/self/exe",
            arguments: ["apus-benchmarks", "ring-peer", task, "\(bytes)", waiting.rawValue, "\(count)"],
            environment: [], descriptors: [(far, 3), (StandardIO.error, StandardIO.error)])
        RingBenchmarks.bind(process.processID, to: 1)
        let rings = try Self.serve(near)
        self.process = process
        self.rings = rings
    }

    private static func serve(_ socket: consuming FileDescriptor) throws -> Rings {
        let loop = try EventLoop()
        var options = ServerHandshake.Options(connectionID: 1, generation: 1)
        options.milliseconds = 10_000
        let slot = ConnectionSlot()
        try ServerHandshake(
            loop: loop, socket: socket, options: options, authenticate: { _ in nil },
            completion: {
                slot.outcome = consume $0
                loop.stop()
            })
        loop.run()
        guard let outcome = slot.outcome.take() else { throw RingPeerEnded() }
        return try outcome.get().benchmarkRings()
    }

    deinit {
        process.signal(SIGKILL)
        _ = try? process.wait()
    }
}

private final class ConnectionSlot {
    var outcome: Result<Connection, HandshakeError>?
}

extension Connection {
    fileprivate consuming func benchmarkRings() throws -> Rings {
        let transport = self.transport
        switch consume transport {
        case .rings(let rings): return rings
        case .stream: throw RingPeerEnded()
        }
    }
}

extension Rings {
    fileprivate mutating func send(_ body: [UInt8]) throws {
        while try !body.withUnsafeBytes({ try producer.write($0) }) {
            guard try waitForSpace(milliseconds: 10_000) == .ready else { throw RingPeerEnded() }
        }
        producer.publish()
    }

    /// Waits for the next record; false when the peer has gone.
    ///
    /// - Parameter releases: whether the space is given back now, or at the latest when there is nothing more to read.
    fileprivate mutating func receive(
        into buffer: inout [UInt8], _ waiting: RingBenchmarks.Waiting, releases: Bool = true
    ) throws -> Bool {
        while true {
            if case .record = try buffer.withUnsafeMutableBytes({ try consumer.read(into: $0) }) {
                if releases { consumer.release() }
                return true
            }
            consumer.release()
            if waiting == .spinning, consumer.spin(nanoseconds: 1_000_000) { continue }
            switch try consumer.wait(milliseconds: 10_000) {
            case .ready: continue
            case .closed: return false
            case .timedOut: throw RingPeerEnded()
            }
        }
    }
}
