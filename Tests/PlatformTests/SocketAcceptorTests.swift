import Foundation
import Platform
import Testing

/// What a door on the loop is made of.
@Suite(.timeLimit(.minutes(1))) struct SocketAcceptorTests {
    private let loop: EventLoop
    private let path = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID())").path

    init() throws { loop = try EventLoop() }

    private static func take(_ pair: consuming SocketPair) -> (Int32, Int32) {
        (pair.first.release(), pair.second.release())
    }

    /// Handles what is there, and what that brings about.
    private func turn() {
        _ = loop.after(nanoseconds: 5_000_000) { [loop] in loop.stop() }
        loop.run()
    }

    @Test func everyConnectionIsHandedOverAndTheSocketGoesAwayWithTheListening() throws {
        var accepted = 0
        let acceptor = try SocketAcceptor(
            loop: loop, socket: try Socket.listenUnix(path: path), unixPath: path, connectionsPerTurn: 2
        ) { socket in
            #expect(socket.rawValue >= 0)
            accepted += 1
        }
        var clients: [Int32] = []
        defer { for client in clients { close(client) } }
        for _ in 0..<5 { clients.append(try Socket.connectUnix(path: path).release()) }
        turn()
        #expect(accepted == 5)
        acceptor.close()
        #expect(!FileManager.default.fileExists(atPath: path))
        #expect(throws: SystemError.self) { _ = try Socket.connectUnix(path: path) }
        acceptor.close()
    }

    @Test func whoeverGetsAConnectionMayEndTheAccepting() throws {
        var accepted = 0
        var acceptor: SocketAcceptor?
        acceptor = try SocketAcceptor(
            loop: loop, socket: try Socket.listenUnix(path: path), unixPath: path, connectionsPerTurn: 8
        ) { _ in
            accepted += 1
            acceptor?.close()
            acceptor = nil
        }
        var clients: [Int32] = []
        defer { for client in clients { close(client) } }
        for _ in 0..<3 { clients.append(try Socket.connectUnix(path: path).release()) }
        turn()
        #expect(accepted == 1 && acceptor == nil)
    }

    @Test func aConnectionWaitsForWhatItIsToldAndNoticesItsEnd() throws {
        let (near, peer) = Self.take(try Socket.pair())
        defer { close(peer) }
        var connection = ConnectionSocket(loop: loop, descriptor: FileDescriptor(owning: near))
        var buffer = [UInt8](repeating: 0, count: 16)
        func read(_ connection: borrowing ConnectionSocket) -> Socket.IO {
            buffer.withUnsafeMutableBytes { connection.read(into: $0) }
        }
        var told: [EventLoop.Readiness] = []
        try connection.begin { told.append($0) }
        turn()
        #expect(told.isEmpty)
        _ = try Array("hello".utf8).withUnsafeBytes { try Socket.write(peer, $0) }
        turn()
        #expect(told.contains { $0.contains(.readable) && !$0.isGone })
        let first = read(connection), second = read(connection)
        #expect(first == .bytes(5) && second == .wouldBlock)
        connection.wait(for: .writable)
        told = []
        turn()
        #expect(told.contains { $0.contains(.writable) })
        let written = Array("a".utf8).withUnsafeBytes { first in
            Array("bc".utf8).withUnsafeBytes { second in connection.write(first, second) }
        }
        #expect(written == .bytes(3))
        connection.wait(for: [])
        told = []
        shutdown(peer, Int32(SHUT_RDWR))
        turn()
        #expect(told.contains { $0.isGone })
        connection.close()
        let last = read(connection)
        #expect(last == .endOfStream)
        told = []
        turn()
        #expect(told.isEmpty)
    }
}
