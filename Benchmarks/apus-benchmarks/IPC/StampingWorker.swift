import EngineLink
import EngineProtocol
import Platform
import SharedMemory

/// A worker whose words are the moments at which they were sent, so that whoever gets one knows how old it is.
///
/// It takes a step of so many milliseconds, and sends the words of all answers in one message, as the engine does. The
/// words are "MOMENT.NUMBER "; the numbers count from 0 in each answer.
final class StampingWorker {
    private let loop: EventLoop
    private let server: LinkServer
    private let step: UInt64
    private var answers: [CallID: (sent: Int, words: Int)] = [:]
    private var isStepping = false

    /// With `--link-descriptor` in place of `apus-worker`; with `--path` it connects to `link-streams`.
    static func run(_ words: Words) throws {
        let loop = try EventLoop()
        let server: LinkServer
        if let descriptor = Int32(words.text("link-descriptor", default: "")) {
            guard let parent = Int32(try words.text("parent")),
                ParentDeath.killSelfWhenParentDies(expectedParent: parent)
            else { throw BenchmarkError("no parent") }
            server = try LinkServer(loop: loop, descriptor: FileDescriptor(owning: descriptor))
        } else {
            let connection = try Meeting.connect(
                path: try words.text("path"), carrier: try words.choice("carrier", default: .socket),
                ringBytes: SharedMemoryLimits.defaultCapacity)
            server = try LinkServer(loop: loop, transport: connection.transport)
        }
        let worker = StampingWorker(loop: loop, server: server, step: UInt64(try words.integer("step-ms", default: 10)))
        withExtendedLifetime(worker) { loop.run() }
    }

    private init(loop: EventLoop, server: LinkServer, step: UInt64) {
        self.loop = loop
        self.server = server
        self.step = step * 1_000_000
        server.onRequest = { [unowned self] call, request, _ in handle(request, call) }
        server.onClose = { _ in loop.stop() }
    }

    private func handle(_ request: EngineRequest, _ call: CallID) {
        switch request {
        case .load:
            let description = ModelDescription(
                architecture: "stamps", name: "stamps", parameterCount: 1, vocabularySize: 1, contextLength: 1 << 20,
                trainedContextLength: 1 << 20, parallel: 128, threads: 1, weightBytes: 1, keyValueCacheBytes: 1,
                hasChatTemplate: true, loadNanoseconds: 1)
            server.send([(call, .result(.loaded(description)))])
        case .generate(let generate):
            server.send([(call, .accepted(promptTokens: 1, queuePosition: 0)), (call, .started(cachedTokens: 0))])
            answers[call] = (0, Int(generate.maximumTokens ?? 64))
            if !isStepping { takeStep() }
        case .cancel:
            if answers.removeValue(forKey: call) != nil { server.send([(call, .failed(.cancelled))]) }
        case .inspect, .score, .tokenize, .detokenize, .renderTemplate, .embed, .credit, .pause, .openSession,
            .changeSession, .closeSession, .loadAdapter, .unloadAdapter:
            server.send([(call, .failed(.unsupported(feature: "anything but answers")))])
        }
    }

    private func takeStep() {
        isStepping = !answers.isEmpty
        guard isStepping else { return }
        _ = loop.after(nanoseconds: step) { [self] in
            sendWords()
            takeStep()
        }
    }

    private func sendWords() {
        var events: [(CallID, EngineEvent)] = []
        var ended: [(CallID, EngineEvent)] = []
        let now = MonotonicClock.now()
        for (call, answer) in answers {
            let text = "\(now).\(answer.sent) "
            events.append((call, .tokens(TokenChunk(choice: 0, ids: [Int32(answer.sent)], text: text))))
            answers[call]?.sent += 1
            if answer.sent + 1 == answer.words { ended += end(call, words: answer.words) }
        }
        server.send(events)
        server.send(ended)
    }

    private func end(_ call: CallID, words: Int) -> [(CallID, EngineEvent)] {
        answers[call] = nil
        let usage = Usage(promptTokens: 1, completionTokens: UInt32(words), cachedTokens: 0)
        return [
            (call, .choiceFinished(choice: 0, reason: .length)),
            (call, .finished(usage: usage, timings: Timings(preparation: 1, queue: 1, prefill: 1, decode: 1))),
        ]
    }
}

/// Checks a stream of stamped words, and takes their ages.
struct StampedText {
    private(set) var words = 0
    /// Words that were missing, came twice, or were no words.
    private(set) var wrong = 0

    /// - Returns: the moment of the last word of the text; nil where there is none.
    mutating func take(_ text: String) -> UInt64? {
        var last: UInt64?
        for word in text.split(separator: " ") {
            let parts = word.split(separator: ".")
            guard parts.count == 2, let moment = UInt64(parts[0]), Int(parts[1]) == words else {
                wrong += 1
                continue
            }
            words += 1
            last = moment
        }
        return last
    }
}
