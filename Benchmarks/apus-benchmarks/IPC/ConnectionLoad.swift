import EngineLink
import EngineProtocol
import Platform
import SharedMemory

/// One of several client processes: some connections, each with one request under way.
///
/// It connects, waits for a line, asks for some seconds, reports, waits for a line, and leaves.
final class ConnectionLoad {
    private final class Client {
        let link: LocalLink
        var turn: UInt64 = 0
        var sentAt: UInt64 = 0
        var answers = 0

        init(link: LocalLink) { self.link = link }
    }

    private let loop: EventLoop
    private let text: String
    private let pings: Bool
    private var clients: [Client] = []
    private var samples: [UInt64] = []
    private var connectTimes: [UInt64] = []
    private var refusals = 0
    private var lost = 0
    private var isRunning = false

    static func run(_ words: Words) throws {
        let load = ConnectionLoad(
            loop: try EventLoop(), text: EchoMessages.text(bytes: try words.integer("bytes", default: 1024)),
            pings: words.flag("pings"))
        let carrier: Carrier = try words.choice("carrier", default: .rings)
        try load.connect(
            try words.integer("connections"), path: try words.text("path"), carrier: carrier)
        guard Output.waitForWord() else { return }
        try load.ask(seconds: try words.integer("seconds", default: 5), samples: try words.text("samples"))
        _ = Output.waitForWord()
    }

    private init(loop: EventLoop, text: String, pings: Bool) {
        self.loop = loop
        self.text = text
        self.pings = pings
    }

    private func connect(_ count: Int, path: String, carrier: Carrier) throws {
        let scratch = LinkScratch()
        let began = MonotonicClock.now()
        for _ in 0..<count {
            let start = MonotonicClock.now()
            do {
                add(Client(link: try Meeting.link(loop: loop, path: path, carrier: carrier, scratch: scratch)))
                connectTimes.append(MonotonicClock.now() - start)
            } catch HandshakeError.refused(let refusal) where refusal.reason == .tooManyConnections {
                refusals += 1
            }
        }
        Output.report([
            "connected": clients.count, "refused": refusals, "began": began, "ended": MonotonicClock.now(),
            "connect_ns": connectTimes,
        ])
    }

    private func add(_ client: Client) {
        clients.append(client)
        client.link.onMessage = { [unowned self, unowned client] in receive($0, client) }
        client.link.onClose = { [unowned self] _ in lost += 1 }
    }

    private func send(_ client: Client) {
        client.turn += 1
        client.sentAt = MonotonicClock.now()
        try? client.link.send(pings ? .ping(client.turn) : EchoMessages.request(client.turn, text))
    }

    private func receive(_ message: Message, _ client: Client) {
        do { try check(message, client) } catch { fatalError("\(error)") }
        samples.append(MonotonicClock.now() - client.sentAt)
        client.answers += 1
        if isRunning { send(client) }
    }

    private func check(_ message: Message, _ client: Client) throws {
        guard pings else { return try EchoMessages.verify(message, client.turn, text) }
        guard case .pong(client.turn) = message else { throw BenchmarkError("no pong \(client.turn)") }
    }

    private func ask(seconds: Int, samples path: String) throws {
        isRunning = true
        _ = loop.after(nanoseconds: 0) { [unowned self] in for client in clients { send(client) } }
        _ = loop.after(nanoseconds: UInt64(seconds) * 1_000_000_000) { [unowned self] in
            isRunning = false
            // What is under way comes back.
            _ = loop.after(nanoseconds: 300_000_000) { [loop] in loop.stop() }
        }
        loop.run()
        try Output.write(samples, to: path)
        Output.report(["answers": clients.map(\.answers), "lost": lost, "seconds": seconds])
    }
}
