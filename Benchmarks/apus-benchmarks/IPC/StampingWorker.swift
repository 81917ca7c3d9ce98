import EngineLink
import EngineProtocol
import ModelFiles
import Models
import Platform
import SharedMemory
import Tensors

/// A worker whose words are the moments at which they were sent, so that whoever gets one knows how old it is.
///
/// It takes a step of so many milliseconds, in which it sleeps, or, with `--model`, a step of that model, and sends the
/// words of all answers in one message, as the engine does. The words are "MOMENT.NUMBER "; the numbers count from 0 in each answer.
///
/// Threading: requests come on the loop; words leave on it too, or on the thread that computes.
final class StampingWorker: @unchecked Sendable {
    private let loop: EventLoop
    private let server: LinkServer
    private let step: UInt64
    private let answers = Monitor<[CallID: (sent: Int, words: Int)]>([:])
    /// On the loop.
    private var isStepping = false
    private let computes: Bool

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
        let model = words.text("model", default: "")
        let worker = StampingWorker(
            loop: loop, server: server, step: UInt64(try words.integer("step-ms", default: 10)),
            computes: !model.isEmpty)
        if !model.isEmpty { try worker.compute(ModelSteps(path: model)) }
        withExtendedLifetime(worker) { loop.run() }
    }

    private init(loop: EventLoop, server: LinkServer, step: UInt64, computes: Bool) {
        self.loop = loop
        self.server = server
        self.step = step * 1_000_000
        self.computes = computes
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
            answers.change { $0[call] = (0, Int(generate.maximumTokens ?? 64)) }
            if !computes && !isStepping { takeStep() }
        case .cancel:
            if answers.withLock({ $0.removeValue(forKey: call) }) != nil { server.send([(call, .failed(.cancelled))]) }
        case .inspect, .score, .tokenize, .detokenize, .renderTemplate, .embed, .credit, .pause, .openSession,
            .changeSession, .closeSession, .loadAdapter, .unloadAdapter:
            server.send([(call, .failed(.unsupported(feature: "anything but answers")))])
        }
    }

    private func takeStep() {
        isStepping = answers.withLock { !$0.isEmpty }
        guard isStepping else { return }
        _ = loop.after(nanoseconds: step) { [self] in
            sendWords()
            takeStep()
        }
    }

    /// Steps on a thread like the engine's, while there are answers.
    private func compute(_ steps: ModelSteps) throws {
        _ = try Thread.start(name: "engine", niceness: 5) { [self] in
            while true {
                answers.wait(until: { !$0.isEmpty }) { _ in }
                do { try steps.take() } catch { fatalError("\(error)") }
                sendWords()
            }
        }
    }

    private func sendWords() {
        var events: [(CallID, EngineEvent)] = []
        var ended: [(CallID, EngineEvent)] = []
        let now = MonotonicClock.now()
        answers.withLock { answers in
            for (call, answer) in answers {
                let text = "\(now).\(answer.sent) "
                events.append((call, .tokens(TokenChunk(choice: 0, ids: [Int32(answer.sent)], text: text))))
                answers[call]?.sent += 1
                guard answer.sent + 1 == answer.words else { continue }
                answers[call] = nil
                ended += Self.end(of: call, words: answer.words)
            }
        }
        server.send(events)
        server.send(ended)
    }

    private static func end(of call: CallID, words: Int) -> [(CallID, EngineEvent)] {
        let usage = Usage(promptTokens: 1, completionTokens: UInt32(words), cachedTokens: 0)
        return [
            (call, .choiceFinished(choice: 0, reason: .length)),
            (call, .finished(usage: usage, timings: Timings(preparation: 1, queue: 1, prefill: 1, decode: 1))),
        ]
    }
}

/// Steps of a model for one sequence: the decoder, its threads and their priorities are the engine's.
private final class ModelSteps: @unchecked Sendable {
    private static let positions = 256
    private let model: any DecoderModel
    private let pool = ComputePool(threads: CPULimits.current().usableCount)
    private let cache: KeyValueCache
    private let workspace: ForwardWorkspace
    private var position = 0

    init(path: String) throws {
        let file = try FileDescriptor.openForReading(path: path)
        model = try ModelRegistry.load(
            GGUFFile(parts: [GGUFBytes(mapping: MappedFile(descriptor: file.rawValue))]))
        cache = try KeyValueCache(
            configuration: model.configuration, blocks: Self.positions / KeyValueCache.blockPositions)
        workspace = try ForwardWorkspace(configuration: model.configuration, maximumRows: 1, maximumLogitRows: 1)
        try model.pack(pool: pool)
    }

    /// Computes the logits after one more token.
    func take() throws {
        let row = ForwardRow(token: 1000, position: Int32(position), sequence: 0, wantsLogits: true)
        let blocks = (0..<Int32(Self.positions / KeyValueCache.blockPositions)).map { $0 }
        try model.forward(
            ForwardStep(rows: [row], blockTables: [blocks]), cache: cache, workspace: workspace, pool: pool)
        position = (position + 1) % Self.positions
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
