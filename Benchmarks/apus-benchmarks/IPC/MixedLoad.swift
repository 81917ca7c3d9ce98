import EngineLink
import EngineProtocol
import Foundation
import Platform
import SharedMemory

/// One connection that asks many things at once and checks every answer.
class MultiplexedLoad {
    struct Asked {
        let kind: Int
        let at: UInt64
        let text: String
        let columns: Int32
    }

    let loop: EventLoop
    let link: LocalLink
    private var asked: [UInt64: Asked] = [:]
    private var lastNumber: UInt64 = 0
    /// Pairs: the kind, and nanoseconds.
    private(set) var samples: [UInt64] = []
    var onAnswer: (() -> Void)?

    init(_ words: Words) throws {
        loop = try EventLoop()
        link = try Meeting.link(
            loop: loop, path: try words.text("path"), carrier: try words.choice("carrier", default: .rings),
            scratch: LinkScratch())
        link.onMessage = { [unowned self] in receive($0) }
        link.onClose = { fatalError("the link has ended: \($0)") }
    }

    var waiting: Int { asked.count }

    func ask(kind: Int, _ request: EngineRequest?, text: String = "", columns: Int32 = 0) {
        lastNumber += 1
        asked[lastNumber] = Asked(kind: kind, at: MonotonicClock.now(), text: text, columns: columns)
        do {
            try link.send(request.map { EchoMessages.call(lastNumber, $0) } ?? .ping(lastNumber))
        } catch {
            fatalError("\(error)")
        }
    }

    private func receive(_ message: Message) {
        let now = MonotonicClock.now()
        let number: UInt64
        let isRight: Bool
        switch message {
        case .pong(let pong):
            number = pong
            isRight = asked[number]?.kind == 4
        case .events(let events):
            number = events.first?.0.rawValue ?? 0
            isRight = events.count == 1 && asked[number].map { Self.answers(events[0].1, $0) } ?? false
        default: (number, isRight) = (0, false)
        }
        guard isRight, let one = asked.removeValue(forKey: number) else { fatalError("a wrong answer to \(number)") }
        samples += [UInt64(one.kind), now - one.at]
        onAnswer?()
    }

    private static func answers(_ event: EngineEvent, _ asked: Asked) -> Bool {
        switch event {
        case .tokens(let chunk): chunk.text == asked.text && chunk.ids == [Int32(asked.text.utf8.count)]
        case .result(.embedded(let vector, promptTokens: 1)): vector == EchoMessages.vector(seed: asked.columns)
        case .result(.rendered(let text)): text == asked.text
        default: false
        }
    }
}

/// The realistic mix: mostly text of streams, some prompts and tensors, now and then something large.
final class MixedLoad: MultiplexedLoad {
    private var random = Randomness(seed: 7)
    private let long = EchoMessages.text(bytes: 4 << 20)
    private let perSecond: Double
    private var next: Double = 0

    static func run(_ words: Words) throws {
        let load = try MixedLoad(words)
        try load.measure(seconds: try words.integer("seconds", default: 10), samples: try words.text("samples"))
    }

    override init(_ words: Words) throws {
        perSecond = Double(try words.integer("per-second", default: 1000))
        try super.init(words)
    }

    private func measure(seconds: Int, samples path: String) throws {
        let end = Double(seconds)
        let began = MonotonicClock.now()
        func turn() {
            let now = Double(MonotonicClock.now() - began) / 1e9
            // Poisson: the gaps are exponential.
            while next <= now, next < end {
                askOne()
                next += -log(Double.random(in: .ulpOfOne..<1, using: &random)) / perSecond
            }
            if next >= end, waiting == 0 { return loop.stop() }
            _ = loop.after(nanoseconds: 1_000_000, turn)
        }
        _ = loop.after(nanoseconds: 0) { turn() }
        loop.run()
        try Output.write(samples, to: path)
        Output.report(["count": samples.count / 2])
    }

    private func text(_ bytes: ClosedRange<Int>) -> String {
        String(long.utf8.prefix(Int.random(in: bytes, using: &random))) ?? ""
    }

    private func askOne() {
        switch Int.random(in: 0..<100, using: &random) {
        case ..<70: tokenize(0, text(50...200))
        case ..<85:
            let text = text(512...8192)
            ask(kind: 1, .generate(GenerateRequest(inputs: [.text(text)])), text: text)
        case ..<90:
            let columns = Int32.random(in: 1024...16_384, using: &random)
            ask(kind: 2, .embed(EmbedRequest(inputs: [.ids([columns])])), columns: columns)
        case ..<95:
            let text = text(200...4096)
            ask(kind: 3, .renderTemplate(ChatInput(messagesJSON: text)), text: text)
        case ..<99: ask(kind: 4, nil)
        default: tokenize(5, text((256 << 10)...(4 << 20)))
        }
    }

    private func tokenize(_ kind: Int, _ text: String) {
        ask(kind: kind, .tokenize(TokenizeRequest(text: text)), text: text)
    }
}

/// The first message after a rest, and a thousand at once.
final class BurstLoad: MultiplexedLoad {
    private let text = EchoMessages.text(bytes: 1024)
    private static let burst = 1000

    static func run(_ words: Words) throws {
        let load = try BurstLoad(words)
        var plan: [(kind: Int, milliseconds: Int, messages: Int)] = []
        let scale = try words.integer("scale", default: 1)
        plan += [(kind: Int, milliseconds: Int, messages: Int)](repeating: (0, 1, 1), count: 300 / scale)
        plan += [(kind: Int, milliseconds: Int, messages: Int)](repeating: (1, 100, 1), count: 50 / scale)
        plan += [(kind: Int, milliseconds: Int, messages: Int)](repeating: (2, 10_000, 1), count: max(1, 3 / scale))
        plan += (0..<max(2, 20 / scale)).map { (3, $0 * 5000 / 20, burst) }
        try load.measure(plan, samples: try words.text("samples"))
    }

    private func measure(_ plan: [(kind: Int, milliseconds: Int, messages: Int)], samples path: String) throws {
        var rest = plan[...]
        var drains: [UInt64] = []
        var began: UInt64 = 0
        func step() {
            guard let next = rest.popFirst() else { return loop.stop() }
            _ = loop.after(nanoseconds: UInt64(next.milliseconds) * 1_000_000) { [self] in
                began = MonotonicClock.now()
                for _ in 0..<next.messages {
                    ask(kind: next.kind, .tokenize(TokenizeRequest(text: text)), text: text)
                }
            }
        }
        onAnswer = { [unowned self] in
            guard waiting == 0 else { return }
            if samples[samples.count - 2] == 3 { drains.append(MonotonicClock.now() - began) }
            step()
        }
        _ = loop.after(nanoseconds: 0) { step() }
        loop.run()
        try Output.write(samples, to: path)
        Output.report(["drain_ns": drains])
    }
}
