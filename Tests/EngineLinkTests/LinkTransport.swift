import EngineLink
import EngineProtocol
import Glibc
import Platform
import SharedMemory
import Synchronization
import Testing

/// What carries a link.
///
/// The bodies of `LinkTests` are written against this, so that they run unchanged over every transport there is.
protocol LinkTransport: Sendable {
    var name: String { get }
    func connect() throws -> LinkEnds
}

struct LinkEnds {
    var gateway: TransportBox
    var worker: TransportBox
}

/// Carries one end to the thread that takes it.
final class TransportBox: @unchecked Sendable {
    private var transport: Transport?

    init(_ transport: consuming Transport) { self.transport = consume transport }

    func take() throws -> Transport {
        guard let taken = transport.take() else { throw TimedOut() }
        return taken
    }
}

struct SocketPairTransport: LinkTransport, CustomTestStringConvertible {
    let name = "socket pair"
    var testDescription: String { name }

    func connect() throws -> LinkEnds {
        let pair = try Socket.pair()
        return LinkEnds(gateway: TransportBox(.stream(pair.first)), worker: TransportBox(.stream(pair.second)))
    }
}

/// Rings of shared memory, agreed on as a client and a server do.
struct RingPairTransport: LinkTransport, CustomTestStringConvertible {
    var name: String { "rings of \(capacity >> 10) KiB" }
    var testDescription: String { name }
    let capacity: Int

    func connect() throws -> LinkEnds {
        let pair = try Socket.pair()
        let (client, server) = (pair.first.release(), pair.second.release())
        let loop = try LoopThread(name: "handshake")
        defer { loop.stop() }
        let served = Slot<Result<TransportBox, HandshakeError>>()
        try loop.run {
            var options = ServerHandshake.Options(connectionID: 1, generation: 1)
            options.sendCapacity = capacity
            try ServerHandshake(
                loop: loop.loop, socket: FileDescriptor(owning: server), options: options, authenticate: { _ in nil },
                completion: { result in
                    switch consume result {
                    case .success(let connection): served.put(.success(TransportBox(connection.transport)))
                    case .failure(let error): served.put(.failure(error))
                    }
                })
        }
        var options = Handshake.Options()
        options.sendCapacity = capacity
        options.receiveCapacity = capacity
        let connection = try Handshake.connect(over: FileDescriptor(owning: client), options: options)
        return LinkEnds(gateway: TransportBox(connection.transport), worker: try served.take().get())
    }
}

/// An event loop on a thread of its own.
final class LoopThread: @unchecked Sendable {
    let loop: EventLoop
    private var thread: Thread?

    init(name: String = "loop") throws {
        let loop = try EventLoop()
        self.loop = loop
        thread = try Thread.start(name: name) { loop.run() }
    }

    /// Runs `work` on the loop and waits for it.
    func run<Value>(_ work: @escaping () throws -> Value) throws -> Value {
        let slot = Slot<Result<Value, any Error>>()
        let box = Unchecked(work)
        loop.post { slot.put(Result { try box.value() }) }
        return try slot.take().get()
    }

    func stop() {
        loop.stop()
        thread?.join()
        thread = nil
    }
}

/// Hands a value to a test from the thread that it is used on.
struct Unchecked<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}

/// Waits for one value of another thread.
final class Slot<Value>: @unchecked Sendable {
    private let value = Mutex<Value?>(nil)

    func put(_ new: sending Value) {
        let box = Unchecked(new)
        value.withLock { $0 = box.value }
    }

    func take() throws -> Value {
        let deadline = MonotonicClock.now() + 20_000_000_000
        while MonotonicClock.now() < deadline {
            let taken = value.withLock { value in Unchecked(value) }
            if let value = taken.value { return value }
            Pause.brief()
        }
        throw TimedOut()
    }
}

/// Collects what arrives on a loop, for a test that waits on another thread.
final class Collector<Element>: @unchecked Sendable {
    private let elements = Mutex<[Element]>([])

    func add(_ element: Element) {
        let box = Unchecked(element)
        elements.withLock { $0.append(box.value) }
    }

    var all: [Element] { elements.withLock { elements in Unchecked(elements) }.value }

    /// Waits until `count` elements are there.
    func wait(for count: Int) throws -> [Element] {
        let deadline = MonotonicClock.now() + 20_000_000_000
        while MonotonicClock.now() < deadline {
            let all = all
            if all.count >= count { return all }
            Pause.brief()
        }
        throw TimedOut()
    }
}

struct TimedOut: Error {}

enum Pause {
    static func brief() { usleep(200) }
}
