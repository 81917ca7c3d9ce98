import EngineLink
import EngineProtocol
import NativeEngine
import Platform
import RKLLMEngine

/// The library that this worker's command line names.
struct VendorRuntime: Sendable {
    let choice: RuntimeChoice
    let log: RuntimeLog
}

/// The engine around the Rockchip runtime.
struct HostedRKLLMEngine: HostedEngine {
    private let engine: RKLLMEngine
    /// The runtime knows the file by a path that leads through it.
    private let file: LinkDescriptor

    init(
        _ request: LoadRequest, descriptors: [LinkDescriptor], runtime: VendorRuntime, machine: Machine,
        progress: ProgressPage, emit: @escaping RKLLMEngine.Emit
    ) throws(EngineError) {
        guard request.source == .descriptors(count: 1), let file = descriptors.first else {
            throw .invalidRequest(parameter: "model", message: "the Rockchip runtime takes a model of one file")
        }
        let byteCount = (try? MappedFile(descriptor: file.rawValue))?.withBytes { UInt64($0.count) } ?? 0
        self.file = file
        engine = try RKLLMEngine(
            path: "/proc/self/fd/\(file.rawValue)", byteCount: byteCount, request: request, runtime: runtime.choice,
            usableThreads: machine.usableThreads, progress: progress, lastWords: { runtime.log.lastWords() },
            makeText: { RuntimeText($0) }, emit: emit)
    }

    var description: ModelDescription { engine.description }
    var statistics: WorkerStatistics? { engine.statistics }

    func prepare(
        _ request: EngineRequest, descriptors: [LinkDescriptor], since startedAt: UInt64
    ) throws(EngineError) -> Preparation {
        let file = descriptors.first.map { RuntimeFile(descriptor: $0.rawValue, owner: $0) }
        switch request {
        case .generate(let request): return submission(of: try engine.prepare(request, file: file), since: startedAt)
        case .embed(let request): return submission(of: try engine.prepare(request), since: startedAt)
        case .openSession(let id): return .answer(.result(.session(try engine.openSession(id))))
        case .closeSession(let id): return .answer(.result(.session(try engine.closeSession(id))))
        case .changeSession(let id, let change):
            return submission(of: try engine.prepare(change, of: id, file: file))
        case .loadAdapter(let adapter): return submission(of: try engine.prepare(adapter, file: file))
        case .unloadAdapter(let name): return submission(of: try engine.prepare(unloading: name))
        case .score: throw Self.absent("scoring of a text")
        case .inspect: throw Self.absent("looking into a model")
        case .tokenize, .detokenize: throw Self.absent("tokenizing: the tokenizer is the runtime's own")
        case .renderTemplate: throw Self.absent("rendering: the template is the runtime's own")
        case .load, .cancel, .credit, .pause:
            throw .invalidRequest(parameter: "", message: "there is nothing to prepare")
        }
    }

    private func submission(of prepared: PreparedRuns, since startedAt: UInt64) -> Preparation {
        var prepared = prepared
        prepared.preparationNanoseconds = MonotonicClock.now() - startedAt
        return .submission { [prepared] call throws(EngineError) in try engine.submit(prepared, call: call) }
    }

    private func submission(of task: RuntimeTask) -> Preparation {
        .submission { call throws(EngineError) in try engine.submit(task, call: call) }
    }

    private static func absent(_ what: String) -> EngineError {
        .unsupported(feature: "\(what), with the Rockchip runtime")
    }

    func cancel(_ call: CallID) { engine.cancel(call) }
    func pause(_ call: CallID) { engine.pause(call) }
    func credit(_ bytes: UInt32, call: CallID) { engine.credit(bytes, call: call) }
    func stop() { engine.stop() }
}

/// The runtime's text, made as the native engine's is.
struct RuntimeText: AnswerText {
    private var text: AssembledText

    init(_ options: AnswerOptions) {
        text = AssembledText(
            TextOptions(stopStrings: options.stopStrings, findsToolCalls: options.findsToolCalls))
    }

    var withheldBytes: Int { text.withheldBytes }

    mutating func append(_ bytes: [UInt8], to answer: inout AnswerParts) -> Bool {
        var output = ChoiceOutput()
        let isStopped = text.append(bytes, to: &output)
        answer.add(output)
        return isStopped
    }

    mutating func flush(to answer: inout AnswerParts) {
        var output = ChoiceOutput()
        text.flush(to: &output)
        answer.add(output)
    }
}

extension AnswerParts {
    fileprivate mutating func add(_ output: ChoiceOutput) {
        add(output.content)
        for part in output.rest { add(part.text, kind: part.kind) }
    }
}
