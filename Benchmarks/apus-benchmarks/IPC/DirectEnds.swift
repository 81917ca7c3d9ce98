import EngineProtocol
import Foundation
import Platform
import SharedMemory

/// How an end waits for the next message.
enum Waiting: String {
    /// Looks again and again.
    case spin
    /// Looks for as long as `SpinBudget` allows, as if there were processors to spare, and then sleeps.
    case adaptive
    /// Sleeps at once.
    case blocked
}

/// One message as it was received: valid until the next is.
struct ReceivedMessage {
    let header: UnsafeRawBufferPointer
    let payload: UnsafeRawBufferPointer

    /// The message's number, read without a look at the rest.
    var number: UInt64 { UInt64(littleEndian: header.loadUnaligned(fromByteOffset: 12, as: UInt64.self)) }
}

/// One end of a connection, used without an event loop.
protocol DirectEnd: ~Copyable {
    /// Sends an encoded message, or keeps it until `flush`.
    mutating func send(_ message: UnsafeRawBufferPointer, flushes: Bool) throws
    mutating func flush() throws
    /// The next message; nil when the other end has gone.
    mutating func receive() throws -> ReceivedMessage?
}

/// Both ends' part of the adaptive mode.
private struct AdaptiveSpin {
    private var budget = SpinBudget(processors: 1024, computeThreads: 0)
    private var lastArrival = MonotonicClock.now()

    mutating func arrived() {
        let now = MonotonicClock.now()
        budget.arrived(afterNanoseconds: now - lastArrival)
        lastArrival = now
    }

    mutating func spin(_ look: (UInt64) throws -> Bool) rethrows -> Bool {
        let nanoseconds = budget.next()
        guard nanoseconds > 0 else { return false }
        let found = try look(nanoseconds)
        budget.spun(found: found)
        return found
    }
}

// MARK: - Rings

/// Rings of shared memory; what is too long for a record goes as a sealed memory file.
struct RingEnd: DirectEnd, ~Copyable {
    private var rings: Rings
    private let waiting: Waiting
    private var adaptive = AdaptiveSpin()
    private let memory: UnsafeMutableRawBufferPointer
    /// Begins where `LinkScratch` does.
    private let buffer: UnsafeMutableRawBufferPointer
    /// The last payload that came as a file.
    private var file = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    /// Bytes that were read since the last release.
    private var unreleased = 0

    init(rings: consuming Rings, waiting: Waiting) {
        self.waiting = waiting
        memory = .allocate(byteCount: 8 + rings.consumer.largestBody, alignment: 32)
        buffer = UnsafeMutableRawBufferPointer(rebasing: memory[8...])
        self.rings = rings
    }

    deinit {
        memory.deallocate()
        file.deallocate()
    }

    mutating func send(_ message: UnsafeRawBufferPointer, flushes: Bool) throws {
        if message.count > rings.producer.largestBody {
            try sendFile(message)
        } else {
            while try !rings.producer.write(message) { try waitForSpace() }
        }
        if flushes { rings.producer.publish() }
    }

    private mutating func sendFile(_ message: UnsafeRawBufferPointer) throws {
        let header = try MessageCodec.externalHeader(for: message)
        let payload = UnsafeRawBufferPointer(rebasing: message[MessageHeader.size...])
        let descriptor = try FileDescriptor.memory(name: "benchmark", bytes: payload, sealed: true).release()
        defer { close(descriptor) }
        while try !header.withUnsafeBytes({ try rings.producer.write($0, file: descriptor) }) { try waitForSpace() }
    }

    private mutating func waitForSpace() throws {
        rings.producer.publish()
        guard waiting == .blocked else { return }
        if try rings.waitForSpace(milliseconds: 1000) == .closed { throw BenchmarkError("the other end has gone") }
    }

    mutating func flush() { rings.producer.publish() }

    mutating func receive() throws -> ReceivedMessage? {
        while true {
            switch try rings.consumer.read(into: buffer) {
            case .record(let bytes):
                if waiting == .adaptive { adaptive.arrived() }
                giveBack(bytes)
                return try message(bytes)
            case .tooSmall(let needed): throw BenchmarkError("a record of \(needed) bytes")
            case .empty:
                rings.consumer.release()
                guard try wait() else { return nil }
            }
        }
    }

    /// Gives a producer its room back before all of it is used up: then both sides work at the same time.
    private mutating func giveBack(_ bytes: Int) {
        unreleased += bytes
        guard unreleased >= rings.consumer.largestBody / 2 else { return }
        rings.consumer.release()
        unreleased = 0
    }

    /// Takes and drops what has come, without waiting.
    mutating func dropArrived() throws {
        while case .record = try rings.consumer.read(into: buffer) {}
        rings.consumer.release()
    }

    private mutating func message(_ bytes: Int) throws -> ReceivedMessage {
        let record = UnsafeRawBufferPointer(rebasing: buffer[..<bytes])
        let header = UnsafeRawBufferPointer(rebasing: record[..<MessageHeader.size])
        guard header[5] & MessageFlags.externalPayload.rawValue != 0 else {
            return ReceivedMessage(
                header: header, payload: UnsafeRawBufferPointer(rebasing: record[MessageHeader.size...]))
        }
        try read(try rings.consumer.takeFile())
        return ReceivedMessage(header: header, payload: UnsafeRawBufferPointer(rebasing: file[...]))
    }

    /// Copies the payload out of its file, as a link does.
    private mutating func read(_ descriptor: consuming FileDescriptor) throws {
        let count = Int(try descriptor.fileSize())
        file.deallocate()
        file = .allocate(byteCount: count, alignment: 32)
        var done = 0
        while done < count {
            let read = pread(descriptor.rawValue, file.baseAddress.map { $0 + done }, count - done, off_t(done))
            guard read > 0 else { throw BenchmarkError("a payload that is shorter than it should be") }
            done += read
        }
    }

    /// Without a look at the clock: `RingConsumer.spin` is for those who give up after a while.
    private mutating func spin() throws -> Bool {
        while true {
            for _ in 0..<1 << 22 where rings.consumer.hasData { return true }
            if try !rings.consumer.clearWake() { return rings.consumer.hasData }
        }
    }

    private mutating func wait() throws -> Bool {
        switch waiting {
        case .spin: return try spin()
        case .adaptive:
            if adaptive.spin({ rings.consumer.spin(nanoseconds: $0) }) { return true }
        case .blocked: break
        }
        while true {
            switch try rings.consumer.wait(milliseconds: 1000) {
            case .ready: return true
            case .closed: return false
            case .timedOut: continue
            }
        }
    }
}

// MARK: - Socket

/// The same over the Unix socket itself, everything inline.
struct SocketEnd: DirectEnd, ~Copyable {
    private let socket: FileDescriptor
    private let waiting: Waiting
    private var adaptive = AdaptiveSpin()
    private var pending: [UInt8] = []
    private var buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    private var start = 0
    private var end = 0

    init(socket: consuming FileDescriptor, waiting: Waiting) {
        self.socket = socket
        self.waiting = waiting
        // A blocking read is the shortest way to sleep: one system call.
        if waiting == .blocked { _ = fcntl(self.socket.rawValue, F_SETFL, 0) }
    }

    deinit { buffer.deallocate() }

    mutating func send(_ message: UnsafeRawBufferPointer, flushes: Bool) throws {
        guard flushes, pending.isEmpty else {
            pending += message
            return flushes ? try flush() : ()
        }
        try write(message)
    }

    mutating func flush() throws {
        try pending.withUnsafeBytes { try write($0) }
        pending.removeAll(keepingCapacity: true)
    }

    private func write(_ bytes: UnsafeRawBufferPointer) throws {
        var sent = 0
        while sent < bytes.count {
            switch try Socket.write(socket.rawValue, UnsafeRawBufferPointer(rebasing: bytes[sent...])) {
            case .bytes(let count): sent += count
            case .wouldBlock: _ = try Socket.waitWritable(socket.rawValue, milliseconds: 1000)
            case .endOfStream: throw BenchmarkError("the other end has gone")
            }
        }
    }

    mutating func receive() throws -> ReceivedMessage? {
        while true {
            if let message = nextMessage() {
                if waiting == .adaptive { adaptive.arrived() }
                return message
            }
            guard try fill() else { return nil }
        }
    }

    private mutating func nextMessage() -> ReceivedMessage? {
        let size = MessageHeader.size
        guard end - start >= size else { return nil }
        let here = UnsafeRawBufferPointer(rebasing: buffer[start..<end])
        let length = Int(UInt32(littleEndian: here.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
        guard here.count >= size + length else {
            makeRoom(for: size + length)
            return nil
        }
        start += size + length
        return ReceivedMessage(
            header: UnsafeRawBufferPointer(rebasing: here[..<size]),
            payload: UnsafeRawBufferPointer(rebasing: here[size..<size + length]))
    }

    private mutating func makeRoom(for count: Int) {
        guard count > buffer.count else { return }
        let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
        larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[start..<end]))
        (start, end) = (0, end - start)
        buffer.deallocate()
        buffer = larger
    }

    private mutating func fill() throws -> Bool {
        if start > 0 {
            UnsafeMutableRawBufferPointer(rebasing: buffer[..<(end - start)])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[start..<end]))
            (start, end) = (0, end - start)
        }
        while true {
            switch try read() {
            case .bytes(let count):
                end += count
                return true
            case .endOfStream: return false
            case .wouldBlock: break
            }
            if waiting == .adaptive, try spinForBytes() { continue }
            if waiting != .spin { _ = try Socket.waitReadable(socket.rawValue, milliseconds: 1000) }
        }
    }

    private func read() throws -> Socket.IO {
        try Socket.read(socket.rawValue, into: UnsafeMutableRawBufferPointer(rebasing: buffer[end...]))
    }

    private mutating func spinForBytes() throws -> Bool {
        let descriptor = socket.rawValue
        return try adaptive.spin { nanoseconds in
            let start = MonotonicClock.now()
            repeat {
                if try Socket.waitReadable(descriptor, milliseconds: 0) { return true }
            } while MonotonicClock.now() - start < nanoseconds
            return false
        }
    }
}

// MARK: - Meeting

/// What carries the messages of a measurement.
enum Carrier: String {
    case rings
    case socket
}

enum Meeting {
    private final class Outcome {
        var connection: Connection?
        var failure: HandshakeError?
    }

    /// Waits for one client at a path, and agrees with it.
    static func accept(path: String, ringBytes: Int) throws -> Connection {
        let loop = try EventLoop()
        Socket.removeStaleUnixSocket(path: path)
        let listener = try Socket.listenUnix(path: path)
        Output.report(["listening": true])
        while try !Socket.waitReadable(listener.rawValue, milliseconds: 1000) {}
        guard let socket = try Socket.accept(listener.rawValue) else { throw BenchmarkError("nobody came") }
        Socket.removeUnixSocket(path: path)
        var options = ServerHandshake.Options(connectionID: 1, generation: 1)
        options.sendCapacity = ringBytes
        let outcome = Outcome()
        _ = try ServerHandshake(loop: loop, socket: socket, options: options, authenticate: { _ in nil }) { result in
            switch consume result {
            case .success(let connection): outcome.connection = consume connection
            case .failure(let error): outcome.failure = error
            }
            loop.stop()
        }
        loop.run()
        guard let connection = outcome.connection.take() else {
            throw outcome.failure ?? BenchmarkError("no connection")
        }
        return connection
    }

    static func connect(
        path: String, carrier: Carrier, ringBytes: Int, checksPayloads: Bool = false
    ) throws -> Connection {
        var options = Handshake.Options()
        options.usesSharedMemory = carrier == .rings
        options.checksPayloads = checksPayloads
        options.sendCapacity = ringBytes
        options.receiveCapacity = ringBytes
        return try Handshake.connect(path: path, options: options)
    }
}
