import EngineProtocol
import Foundation
import Platform
import Serving
import TestSupport
import Testing

@testable import RPCServer

/// The door over real sockets, with everything on this thread.
@Suite("Connections") struct ConnectionTests {
    @Test("requests of any split or pipelining are answered in their order")
    func pipelining() throws {
        let bench = try DoorBench()
        let client = try bench.connect()
        let one = #"{"jsonrpc":"2.0","id":%,"method":"server.health"}"#
        let all = (0..<50).map { one.replacingOccurrences(of: "%", with: "\($0)") + "\n" }.joined()
        for start in stride(from: 0, to: all.utf8.count, by: 333) {
            client.send(Array(Array(all.utf8)[start..<min(start + 333, all.utf8.count)]))
            _ = bench.turn { true }
        }
        #expect(bench.turn { client.lines.count == 50 })
        #expect(try client.lines.map { try TestClient.object($0)["id"] as? Int } == (0..<50).map { $0 })
    }

    @Test("a message over the limit is refused, and the connection closed with the reason delivered")
    func oversized() throws {
        let bench = try DoorBench { $0.messageBytes = 1000 }
        let client = try bench.connect()
        client.send(Array(String(repeating: "a", count: 5000).utf8))
        #expect(bench.turn { client.isClosed })
        #expect(client.lines.count == 1 && client.lines[0].contains("1000 bytes"))
    }

    @Test("a client that leaves in the middle of a run has it cancelled")
    func disconnect() throws {
        let bench = try DoorBench()
        let client = try bench.connect()
        client.send(#"{"jsonrpc":"2.0","id":1,"method":"rkllm.run","params":{"prompt":"Hi"}}"# + "\n")
        #expect(bench.turn { bench.rpc.worker.generations.count == 1 })
        client.leave()
        #expect(bench.turn { bench.rpc.worker.cancels == 1 })
        #expect(bench.door.connectionCount == 0 && bench.rpc.service.connectionCount == 0)
    }

    @Test("a client that does not read holds up only itself, and gets everything when it does")
    func slowReader() throws {
        let bench = try DoorBench { $0.requestsPerSecond = 100_000 }
        let (slow, quick) = (try bench.connect(), try bench.connect())
        slow.reads = false
        let request = #"{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}"# + "\n"
        let all = Array(String(repeating: request, count: 300).utf8)
        slow.send(all)
        quick.send(request)
        #expect(bench.turn { quick.lines.count == 1 })
        slow.reads = true
        #expect(bench.turn { slow.lines.count == 300 })
        #expect(Set(slow.lines).count == 1)
    }

    @Test("connections above the limit are told so")
    func tooMany() throws {
        let bench = try DoorBench { $0.connections = 2 }
        let (first, second) = (try bench.connect(), try bench.connect())
        #expect(bench.turn { bench.door.connectionCount == 2 })
        let third = try bench.connect()
        #expect(bench.turn { third.isClosed })
        #expect(third.lines.first?.contains("-32009") == true)
        first.leave()
        #expect(bench.turn { bench.door.connectionCount == 1 })
        let fourth = try bench.connect()
        fourth.send(#"{"jsonrpc":"2.0","id":1,"method":"server.health"}"# + "\n")
        #expect(bench.turn { fourth.lines.count == 1 })
        second.leave()
    }

    @Test("the socket is its user's alone, or also a group's, and goes away with the door")
    func permissions() throws {
        let bench = try DoorBench()
        let files = FileManager.default
        let mode = { try files.attributesOfItem(atPath: bench.path)[.posixPermissions] as? Int }
        #expect(try mode() == 0o600)
        bench.door.stopListening()
        #expect(!files.fileExists(atPath: bench.path))
        let group = try #require(getgrgid(getgid()).map { String(cString: $0.pointee.gr_name) })
        try bench.door.listen(unixPath: bench.path, group: group)
        #expect(try mode() == 0o660)
        #expect(throws: SystemError.self) { try bench.door.listen(unixPath: bench.path + "2", group: "no-such-group") }
        #expect(!files.fileExists(atPath: bench.path + "2"))
    }

    @Test("drained, the door waits for the last run and then closes")
    func drain() throws {
        let bench = try DoorBench()
        let client = try bench.connect()
        client.send(#"{"jsonrpc":"2.0","id":1,"method":"rkllm.run","params":{"prompt":"Hi"}}"# + "\n")
        #expect(bench.turn { bench.rpc.worker.generations.count == 1 })
        var (isDrained, isClosed) = (false, false)
        bench.rpc.service.drain { isDrained = true }
        client.send(#"{"jsonrpc":"2.0","id":2,"method":"server.health"}"# + "\n")
        #expect(bench.turn { client.lines.count == 1 })
        #expect(client.lines[0].contains("the server is stopping") && !isDrained)
        bench.rpc.worker.tell(accepted, started, tokens("a"), .choiceFinished(choice: 0, reason: .stop), finished())
        #expect(bench.turn { isDrained })
        bench.door.close { isClosed = true }
        #expect(bench.turn { client.isClosed && isClosed })
        #expect(client.lines.last?.contains(#""finish_reason":"stop""#) == true)
    }
}

/// A door on a Unix socket in front of a scripted worker.
final class DoorBench {
    let rpc: RPCBench
    let door: RPCDoor
    let path: String
    private var clients: [SocketClient] = []

    init(limits change: (inout RPCLimits) -> Void = { _ in }) throws {
        rpc = try RPCBench(limits: change)
        door = RPCDoor(service: rpc.service)
        path = FileManager.default.temporaryDirectory.appendingPathComponent("apus-rpc-\(UUID()).sock").path
        try door.listen(unixPath: path)
    }

    deinit {
        door.closeAll()
        door.stopListening()
    }

    func connect() throws -> SocketClient {
        let client = SocketClient(try Socket.connectUnix(path: path))
        clients.append(client)
        return client
    }

    /// Turns the loop, and lets the clients read and write, until the condition holds; false if it never does.
    func turn(until condition: () -> Bool) -> Bool {
        for _ in 0..<5000 {
            for client in clients { client.work() }
            if condition() { return true }
            _ = rpc.loop.after(nanoseconds: 500_000) { [loop = rpc.loop] in loop.stop() }
            rpc.loop.run()
        }
        return false
    }
}

/// A client's end of one connection that never waits.
final class SocketClient {
    private var socket: FileDescriptor?
    private var unsent: [UInt8] = []
    private var received: [UInt8] = []
    var reads = true
    private(set) var lines: [String] = []
    private(set) var isClosed = false

    init(_ socket: consuming FileDescriptor) { self.socket = consume socket }

    func send(_ text: String) { send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) {
        unsent += bytes
        work()
    }

    func leave() { socket = nil }

    func work() {
        guard let descriptor = socket?.rawValue, !isClosed else { return }
        if !unsent.isEmpty, case .bytes(let count)? = try? unsent.withUnsafeBytes({ try Socket.write(descriptor, $0) })
        {
            unsent.removeFirst(count)
        }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while reads, !isClosed {
            guard let io = try? buffer.withUnsafeMutableBytes({ try Socket.read(descriptor, into: $0) }) else { break }
            switch io {
            case .bytes(let count): received += buffer[..<count]
            case .endOfStream: isClosed = true
            case .wouldBlock:
                takeLines()
                return
            }
        }
        takeLines()
    }

    private func takeLines() {
        var parts = received.split(separator: 0x0A, omittingEmptySubsequences: false)
        received = parts.popLast().map { Array($0) } ?? []
        lines += parts.map { String(decoding: $0, as: UTF8.self) }
    }
}
