import CRingPeer
import Foundation
import Platform
import RingTestSupport
import SharedMemory

// The other process of tests with rings: it connects over descriptor 3 as a client, and does what its first argument says.
//
//   write SEED    writes records until somebody ends it, as fast as there is space
//   echo          sends back what it gets, until the other side has gone
//   still SEED    writes one record and then nothing, and lives until the other side has gone
//   costs         needs no descriptor: 0 when records cost neither an allocation nor a system call
//   leftovers     needs no descriptor: 0 when connections of all kinds leave no descriptor, mapping or name behind
//   fuzz SEED N   needs no descriptor: N cases from a seed

let arguments = CommandLine.arguments

func number(_ place: Int) throws -> UInt64 {
    guard place < arguments.count, let value = UInt64(arguments[place]) else {
        throw RingTestError("argument \(place) is no number")
    }
    return value
}

func connect() throws -> Rings {
    var options = Handshake.Options()
    options.milliseconds = 20_000
    return try Handshake.connect(over: FileDescriptor(owning: 3), options: options).rings()
}

do {
    switch arguments.dropFirst().first {
    case "write": try writeForEver(seed: try number(2))
    case "echo": try echo()
    case "still": try writeOnce(seed: try number(2))
    case "costs": try measureCosts()
    case "leftovers": try lookForLeftovers()
    case "fuzz": try fuzz(seed: try number(2), cases: Int(try number(3)))
    default: throw RingTestError("write, echo, still, costs, leftovers or fuzz?")
    }
} catch {
    try? StandardIO.writeAll(StandardIO.error, "apus-ring-peer: \(error)\n")
    exit(1)
}

func writeForEver(seed: UInt64) throws {
    var rings = try connect()
    var records = TestRecords(seed: seed, lengths: 24...rings.producer.largestBody)
    // Several records are published at once now and then.
    while true { try rings.send(records.next(), publishes: records.count % 3 != 0) }
}

func writeOnce(seed: UInt64) throws {
    var rings = try connect()
    var records = TestRecords(seed: seed, lengths: 24...100)
    try rings.send(records.next())
    while try rings.consumer.wait(milliseconds: 1_000) != .closed {}
}

func echo() throws {
    var rings = try connect()
    var buffer = BodyBuffer(rings.consumer.largestBody)
    while try rings.consumer.wait(milliseconds: 60_000) == .ready {
        while let body = try buffer.read(&rings.consumer) {
            rings.consumer.release()
            try rings.send(body)
        }
    }
}

/// What this process has open and mapped, and what has a name in the system's shared memory.
func possessions() throws -> [String] {
    let files = FileManager.default
    let descriptors = try files.contentsOfDirectory(atPath: "/proc/self/fd").filter {
        (try? files.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")) != nil
    }
    let maps = try String(contentsOfFile: "/proc/self/maps", encoding: .utf8).split(separator: "\n")
    let names = (try? files.contentsOfDirectory(atPath: "/dev/shm")) ?? []
    return descriptors.sorted() + maps.filter { $0.contains("memfd") }.map(String.init)
        + names.filter { $0.contains("apus") }
}

func lookForLeftovers() throws {
    _ = try RingFuzz.run(seed: 1, cases: 100)
    let before = try possessions()
    _ = try RingFuzz.run(seed: 2, cases: 5_000)
    for _ in 0..<100 {
        let pair = try ConnectedPair()
        var sender = try pair.client.rings()
        var receiver = try pair.server.rings()
        try sender.send([UInt8](repeating: 1, count: 100))
        var buffer = BodyBuffer(receiver.consumer.largestBody)
        _ = try receiver.receive(&buffer)
    }
    let after = try possessions()
    guard before == after else { throw RingTestError("before \(before), after \(after)") }
}

func fuzz(seed: UInt64, cases: Int) throws {
    let summary = try RingFuzz.run(seed: seed, cases: cases)
    try StandardIO.writeAll(StandardIO.output, "\(summary)\n")
}

/// A client and a server in this process, on one thread: each record is written, published, read and released.
func measureCosts() throws {
    let pair = try ConnectedPair()
    var sender = try pair.client.rings()
    var receiver = try pair.server.rings()
    let body = [UInt8](repeating: 7, count: 100)
    var target = [UInt8](repeating: 0, count: 1_000)
    let before = try pass(body, &target, count: 1_000, &sender, &receiver)
    guard before == 1_000 else { throw RingTestError("\(before) records of 1,000") }
    let allocations = ring_peer_allocations()
    guard ring_peer_refuse_system_calls() == 0 else { throw RingTestError("system calls cannot be refused") }
    let passed = try pass(body, &target, count: 100_000, &sender, &receiver)
    ring_peer_exit(ring_peer_allocations() == allocations && passed == 100_000 ? 0 : 3)
}

func pass(
    _ body: [UInt8], _ target: inout [UInt8], count: Int, _ sender: inout Rings, _ receiver: inout Rings
) throws -> Int {
    var passed = 0
    for _ in 0..<count {
        guard try body.withUnsafeBytes({ try sender.producer.write($0) }) else { return passed }
        sender.producer.publish()
        guard try target.withUnsafeMutableBytes({ try receiver.consumer.read(into: $0) }) == .record(bytes: body.count)
        else { return passed }
        receiver.consumer.release()
        passed += 1
    }
    return passed
}
