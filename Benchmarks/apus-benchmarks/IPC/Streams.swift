import ApusClient
import EngineLink
import EngineProtocol
import Foundation
import JSON
import Platform
import SharedMemory
import Synchronization

/// What all measurements of streams ask for.
private struct StreamPlan {
    let streams: Int
    let words: Int
    let samples: String
    let prompt: String

    init(_ words: Words) throws {
        streams = try words.integer("streams")
        self.words = try words.integer("words")
        samples = try words.text("samples")
        prompt = words.text("prompt", default: "stamps")
    }

    var request: GenerateRequest {
        var request = GenerateRequest(
            inputs: [.text(prompt)], maximumTokens: UInt32(words), sampling: SamplingParameters(temperature: 0),
            ignoreEndOfSequence: true)
        request.speculation = .off
        return request
    }
}

/// Processor time of this process, in nanoseconds.
private func processorTime() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

// MARK: - The link alone

/// The gateway's end of a worker's link, and nothing behind it: what a call inside the gateway sees.
enum LinkStreams {
    private final class Load {
        var client: LinkClient?
        var texts: [CallID: StampedText] = [:]
        var samples: [UInt64] = []
        var running = 0
    }

    static func run(_ words: Words) throws {
        let plan = try StreamPlan(words)
        let loop = try EventLoop()
        let load = Load()
        var start: UInt64 = 0
        let doorkeeper = try Doorkeeper(loop: loop, path: try words.text("path")) { connection in
            guard let client = try? LinkClient(loop: loop, transport: connection.transport) else { return }
            load.client = client
            start = processorTime()
            client.onEvents = { for (call, event) in $0 { receive(event, call, load, loop) } }
            client.onClose = { fatalError("the link has ended: \($0)") }
            for number in 1...plan.streams {
                let call = CallID(rawValue: UInt64(number))
                load.texts[call] = StampedText()
                load.running += 1
                try? client.send(.generate(plan.request), call: call)
            }
        }
        withExtendedLifetime(doorkeeper) { loop.run() }
        let wrong = load.texts.values.reduce(0) { $0 + $1.wrong + plan.words - $1.words }
        try Output.write(load.samples, to: plan.samples)
        Output.report(["words": load.samples.count, "wrong": wrong, "processor_ns": processorTime() - start])
    }

    private static func receive(_ event: EngineEvent, _ call: CallID, _ load: Load, _ loop: EventLoop) {
        let now = MonotonicClock.now()
        if case .tokens(let chunk) = event, let moment = load.texts[call]?.take(chunk.text) {
            load.samples.append(now - moment)
        }
        guard event.isEnd else { return }
        load.running -= 1
        if load.running == 0 { loop.stop() }
    }
}

// MARK: - The local door

/// Streams of one `ApusClient`; with `--seconds` each begins again when it has ended, however it has.
final class LocalStreams: Sendable {
    private struct State {
        var samples: [UInt64] = []
        /// Pairs: a moment, and what was then: 0 a call failed, 1 one was whole, 2 its first word came.
        var ends: [UInt64] = []
        var outcomes: [String: Int] = [:]
        var tokens = 0
        var wrong = 0
        var firstToken: UInt64 = 0
        var lastToken: UInt64 = 0
        var running = 0
    }

    private struct Stream {
        var text = StampedText()
        var tokens = 0
    }

    private let client: ApusClient
    private let plan: StreamPlan
    private let isStamped: Bool
    private let until: UInt64
    private let state = Mutex(State())
    private let done = DispatchSemaphore(value: 0)

    static func run(_ words: Words) throws {
        var options = ClientOptions()
        options.usesSharedMemory = try words.choice("carrier", default: Carrier.rings) == .rings
        let client = try ApusClient(path: try words.text("path"), options: options)
        let seconds = try words.integer("seconds", default: 0)
        let load = LocalStreams(
            client: client, plan: try StreamPlan(words), isStamped: !words.flag("plain"),
            until: seconds == 0 ? 0 : MonotonicClock.now() + UInt64(seconds) * 1_000_000_000)
        try load.measure(ends: words.text("ends", default: ""))
    }

    private init(client: ApusClient, plan: StreamPlan, isStamped: Bool, until: UInt64) {
        self.client = client
        self.plan = plan
        self.isStamped = isStamped
        self.until = until
    }

    private func measure(ends: String) throws {
        let start = processorTime()
        state.withLock { $0.running = plan.streams }
        for _ in 0..<plan.streams { begin() }
        done.wait()
        let used = processorTime() - start
        let state = state.withLock { $0 }
        try Output.write(state.samples, to: plan.samples)
        if !ends.isEmpty { try Output.write(state.ends, to: ends) }
        let outcomes = state.outcomes.map { "\"\($0.key)\": \($0.value)" }.joined(separator: ", ")
        Output.report([
            "tokens": state.tokens, "wrong": state.wrong, "outcomes": "{\(outcomes)}",
            "seconds": Double(state.lastToken &- state.firstToken) / 1e9, "processor_ns": used,
        ])
    }

    private func begin() {
        let stream = Mutex(Stream())
        _ = client.generate(plan.request) { [self] result in
            let now = MonotonicClock.now()
            switch result {
            case .success(.tokens(let chunk)):
                let (moment, isFirst) = stream.withLock { stream in
                    defer { stream.tokens += chunk.ids.count }
                    return (isStamped ? stream.text.take(chunk.text) : nil, stream.tokens == 0)
                }
                note(chunk, moment, now, isFirst: isFirst)
            case .success(.failed(let error)): end(error.code, stream.withLock { $0 }, now)
            case .success(let event): if event.isEnd { end("whole", stream.withLock { $0 }, now) }
            case .failure(.connectionLost): end("connection_lost", stream.withLock { $0 }, now)
            case .failure(.engine(let error)): end(error.code, stream.withLock { $0 }, now)
            case .failure: end("not_connected", stream.withLock { $0 }, now)
            }
        }
    }

    private func note(_ chunk: TokenChunk, _ moment: UInt64?, _ now: UInt64, isFirst: Bool) {
        state.withLock { state in
            if isFirst { state.ends += [now, 2] }
            if let moment { state.samples.append(now - moment) }
            if state.firstToken == 0 { state.firstToken = now }
            state.lastToken = now
            state.tokens += chunk.ids.count
        }
    }

    private func end(_ outcome: String, _ stream: Stream, _ now: UInt64) {
        let isWhole = outcome == "whole"
        let goesOn = MonotonicClock.now() < until
        let isLast = state.withLock { state in
            state.outcomes[outcome, default: 0] += 1
            state.ends += [now, isWhole ? 1 : 0]
            state.wrong += stream.text.wrong
            let words = isStamped ? stream.text.words : stream.tokens
            if isWhole, words != plan.words { state.wrong += 1 }
            if !goesOn { state.running -= 1 }
            return state.running == 0
        }
        if goesOn {
            // A server that says no is not asked a thousand times a second.
            DispatchQueue.global().asyncAfter(deadline: .now() + (isWhole ? 0 : 0.01)) { self.begin() }
        } else if isLast {
            done.signal()
        }
    }
}

// MARK: - HTTP

/// The same streams over HTTP and server-sent events, one TCP connection each.
final class HTTPStreams {
    private final class Stream {
        let socket: FileDescriptor
        var received: [UInt8] = []
        var text = StampedText()
        var tokens = 0

        init(socket: consuming FileDescriptor) { self.socket = socket }
    }

    private let loop: EventLoop
    private let plan: StreamPlan
    private let isStamped: Bool
    private var samples: [UInt64] = []
    private var streams: [Stream] = []
    private var running = 0
    private var firstToken: UInt64 = 0
    private var lastToken: UInt64 = 0
    private var buffer = [UInt8](repeating: 0, count: 64 << 10)

    static func run(_ words: Words) throws {
        let load = HTTPStreams(
            loop: try EventLoop(), plan: try StreamPlan(words), isStamped: !words.flag("plain"))
        try load.measure(port: UInt16(try words.integer("port")))
    }

    private init(loop: EventLoop, plan: StreamPlan, isStamped: Bool) {
        self.loop = loop
        self.plan = plan
        self.isStamped = isStamped
    }

    private func measure(port: UInt16) throws {
        let start = processorTime()
        for _ in 0..<plan.streams { try begin(port) }
        running = streams.count
        loop.run()
        let used = processorTime() - start
        let wrong = streams.reduce(0) { sum, stream in
            sum + stream.text.wrong + abs(plan.words - (isStamped ? stream.text.words : stream.tokens))
        }
        try Output.write(samples, to: plan.samples)
        Output.report([
            "tokens": streams.reduce(0) { $0 + $1.tokens }, "wrong": wrong,
            "seconds": Double(lastToken &- firstToken) / 1e9, "processor_ns": used,
        ])
    }

    private func begin(_ port: UInt16) throws {
        let stream = Stream(socket: try Socket.connectTCP(host: "127.0.0.1", port: port))
        streams.append(stream)
        var watch: EventLoop.WatchID?
        watch = try loop.watch(stream.socket.rawValue, .writable) { [unowned self] _ in
            if let watch { loop.unwatch(watch) }
            do { try ask(stream) } catch { fatalError("\(error)") }
        }
    }

    private func ask(_ stream: Stream) throws {
        let body =
            #"{"prompt": "\#(plan.prompt)", "max_tokens": \#(plan.words), "stream": true, "temperature": 0, "#
            + #""ignore_eos": true}"#
        let request =
            "POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
        let written = try Array(request.utf8).withUnsafeBytes { try Socket.write(stream.socket.rawValue, $0) }
        guard written == .bytes(request.utf8.count) else { throw BenchmarkError("a request that does not fit") }
        _ = try loop.watch(stream.socket.rawValue, .readable) { [unowned self] _ in
            do { try read(stream) } catch { fatalError("\(error)") }
        }
    }

    private func read(_ stream: Stream) throws {
        let io = try buffer.withUnsafeMutableBytes { try Socket.read(stream.socket.rawValue, into: $0) }
        guard case .bytes(let count) = io else {
            if io == .endOfStream { throw BenchmarkError("the server has hung up") }
            return
        }
        stream.received += buffer[..<count]
        while let end = stream.received.firstIndex(of: UInt8(ascii: "\n")) {
            try take(stream.received[..<end], stream)
            stream.received.removeSubrange(...end)
        }
    }

    private func take(_ line: ArraySlice<UInt8>, _ stream: Stream) throws {
        guard line.starts(with: "data: ".utf8) else {
            if line.starts(with: "HTTP/1.1 ".utf8), !line.starts(with: "HTTP/1.1 200".utf8) {
                throw BenchmarkError(String(decoding: line, as: UTF8.self))
            }
            return
        }
        let data = line.dropFirst(6).filter { $0 != UInt8(ascii: "\r") }
        guard data != Array("[DONE]".utf8) else {
            running -= 1
            return running == 0 ? loop.stop() : ()
        }
        let choice = try JSONValue.parse(data)["choices"]?.arrayValue?.first
        guard let text = choice?["text"]?.stringValue, !text.isEmpty else { return }
        let now = MonotonicClock.now()
        if isStamped, let moment = stream.text.take(text) { samples.append(now - moment) }
        stream.tokens = isStamped ? stream.text.words : stream.tokens + 1
        if firstToken == 0 { firstToken = now }
        lastToken = now
    }
}
