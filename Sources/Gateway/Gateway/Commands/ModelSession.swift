import Configuration
import EngineProtocol
import Observability
import Platform
import Supervision

/// A worker for one verb, with its failures in the words of the command line.
final class ModelSession {
    private let session: WorkerSession

    /// `apus-worker` lies beside `apus`.
    static var workerPath: String {
        let own = ExecutablePath.current()
        return String(own[..<(own.lastIndex(of: "/") ?? own.startIndex)]) + "/apus-worker"
    }

    /// The word that stands for the bundled model wherever a MODEL is wanted.
    static let demoName = "demo"

    private init(_ session: WorkerSession) { self.session = session }

    /// What a MODEL of the command line or the configuration stands for.
    static func source(_ word: String) -> ModelSource { word == demoName ? .bundledDemo : .file(path: word) }

    static func open(
        model: String, draftModel: String? = nil, purpose: LoadRequest.Purpose, console: Console,
        contextLength: UInt32? = nil, parallel: UInt32 = 1, threads: UInt32 = 0,
        cacheType: LoadRequest.CacheType = .f16, measuresMachine: Bool = false
    ) throws(CommandFailure) -> ModelSession {
        let sources = ModelSources(source(model), draft: draftModel.map(source))
        let settings = try Verb.loadSettings(ParsedArguments())
        let load = LoadRequest(
            source: .bundledDemo, purpose: purpose, displayName: sources.model.displayName,
            contextLength: contextLength, parallel: parallel, threads: threads, cacheType: cacheType,
            measuresMachine: measuresMachine,
            runtime: sources.model.isForRuntime ? RuntimeOptions(settings.rkllm) : nil)
        let options = WorkerOptions(
            confinement: settings.confinement, runtime: WorkerOptions.Runtime(for: sources.model, settings))
        let logger = Logger(component: "apus", sink: Unheard())
        let begun = MonotonicClock.now()
        do throws(WorkerSession.Failure) {
            let session = try WorkerSession(
                workerPath: workerPath, options: options, sources: sources, load: load, logger: logger
            ) {
                let seconds = (MonotonicClock.now() - begun) / 1_000_000_000
                if seconds > 0 { console.progress("loading \(sources.model.displayName) … \(seconds) s") }
            }
            console.progress("")
            return ModelSession(session)
        } catch {
            console.progress("")
            throw failure(error, model: model)
        }
    }

    var description: ModelDescription { session.description }

    /// Readable when Ctrl-C was pressed.
    var interrupts: Int32 { session.interruptDescriptor }

    func call(_ request: EngineRequest) throws(CommandFailure) -> EngineResult {
        do throws(WorkerSession.Failure) {
            return try session.call(request)
        } catch {
            throw Self.failure(error, model: "")
        }
    }

    /// - Parameter isEnough: asked after events came; true ends what still runs.
    func generate(
        _ requests: [GenerateRequest], isEnough: () -> Bool = { false }, onEvent: (Int, EngineEvent) -> Void
    ) throws(CommandFailure) {
        do throws(WorkerSession.Failure) {
            try session.run(requests.map { .generate($0) }, isEnough: isEnough, onEvent: onEvent)
        } catch {
            throw Self.failure(error, model: "")
        }
    }

    private static func failure(_ failure: WorkerSession.Failure, model: String) -> CommandFailure {
        let place = model.isEmpty ? "" : "\(model): "
        switch failure {
        case .engine(let error): return .failed(place + error.text)
        case .workerEnded(let how): return .failed("\(place)the model's process \(how)")
        case .couldNotStart(let why): return .failed(why)
        case .interrupted: return .interrupted
        }
    }
}

/// A verb tells its user what went wrong in one sentence; the worker's log would say it twice.
private struct Unheard: LogSink {
    func write(line: [UInt8]) {}
}
