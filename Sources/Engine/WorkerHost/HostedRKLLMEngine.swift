import EngineLink
import EngineProtocol
import Platform
public import RKLLMEngine

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
            makeText: { TextAssembler(stopStrings: $0) }, emit: emit)
    }

    var description: ModelDescription { engine.description }
    var statistics: WorkerStatistics? { engine.statistics }

    func prepare(
        _ request: EngineRequest, descriptors: [LinkDescriptor], since startedAt: UInt64
    ) throws(EngineError) -> Preparation {
        var prepared: PreparedRuns
        switch request {
        case .generate(let request): prepared = try engine.prepare(request)
        case .embed(let request): prepared = try engine.prepare(request)
        case .score: throw Self.absent("scoring of a text")
        case .inspect: throw Self.absent("looking into a model")
        case .tokenize, .detokenize: throw Self.absent("tokenizing: the tokenizer is the runtime's own")
        case .renderTemplate: throw Self.absent("rendering: the template is the runtime's own")
        case .openSession, .changeSession, .closeSession: throw Self.absent("sessions")
        case .loadAdapter, .unloadAdapter: throw Self.absent("adapters (LoRA)")
        case .load, .cancel, .credit, .pause:
            throw .invalidRequest(parameter: "", message: "there is nothing to prepare")
        }
        prepared.preparationNanoseconds = MonotonicClock.now() - startedAt
        return .submission { [prepared] call throws(EngineError) in try engine.submit(prepared, call: call) }
    }

    private static func absent(_ what: String) -> EngineError {
        .unsupported(feature: "\(what), with the Rockchip runtime")
    }

    func cancel(_ call: CallID) { engine.cancel(call) }
    func pause(_ call: CallID) {}
    func credit(_ bytes: UInt32, call: CallID) { engine.credit(bytes, call: call) }
    func stop() { engine.stop() }
}

extension TextAssembler: AnswerText {}
