import EngineLink
import EngineProtocol
import NativeEngine
import Observability
import Platform

/// What becomes of a request once it is prepared.
enum Preparation {
    /// Everything is said: a result or an error.
    case answer(EngineEvent)
    /// The engine goes on with it.
    case generation(PreparedGeneration)
    case scoring(PreparedScore)
    case embedding(PreparedEmbedding)
    /// The model is loaded, with an engine if it is to generate.
    case loaded(LoadedModel, NativeEngine?)
}

/// Does the part of each request that needs no engine loop.
///
/// Belongs to the preparation thread.
final class RequestProcessor {
    private let limits: WorkerLimits
    private let machine: Machine
    private let logger: Logger
    private let progress: ProgressPage
    private let emit: NativeEngine.Emit
    private var model: LoadedModel?

    init(
        limits: WorkerLimits, machine: Machine, logger: Logger, progress: ProgressPage,
        emit: @escaping NativeEngine.Emit
    ) {
        self.limits = limits
        self.machine = machine
        self.logger = logger
        self.progress = progress
        self.emit = emit
    }

    func prepare(_ request: EngineRequest, descriptors: [LinkDescriptor]) -> Preparation {
        let startedAt = MonotonicClock.now()
        do {
            switch request {
            case .load(let request):
                return try load(request, descriptors: descriptors)
            case .generate(let request):
                try checkDeadline(request.deadline)
                var prepared = try requireModel().prepare(request)
                try checkDeadline(request.deadline)
                prepared.preparationNanoseconds = MonotonicClock.now() - startedAt
                return .generation(prepared)
            case .score(let request):
                var prepared = try requireModel().prepare(request)
                prepared.preparationNanoseconds = MonotonicClock.now() - startedAt
                return .scoring(prepared)
            case .inspect:
                return .answer(.result(.inspected(json: try requireModel().inspect())))
            case .tokenize(let request):
                return .answer(.result(.tokenized(ids: try requireModel().tokenize(request))))
            case .detokenize(let ids):
                return .answer(.result(.detokenized(bytes: try requireModel().detokenize(ids))))
            case .renderTemplate(let chat):
                return .answer(.result(.rendered(text: try requireModel().renderTemplate(chat))))
            case .embed(let request):
                try checkDeadline(request.deadline)
                var prepared = try requireModel().prepare(request)
                prepared.preparationNanoseconds = MonotonicClock.now() - startedAt
                return .embedding(prepared)
            case .cancel, .credit:
                // They go past this thread.
                return .answer(.failed(.invalidRequest(parameter: "", message: "there is nothing to prepare")))
            }
        } catch {
            if case .load(let request) = request { logFailure(error, of: request) }
            return .answer(.failed(error))
        }
    }

    private func requireModel() throws(EngineError) -> LoadedModel {
        guard let model else {
            throw .modelNotReady(
                reason: "no model is loaded", retryAfterMilliseconds: limits.retryAfterMilliseconds)
        }
        return model
    }

    private func checkDeadline(_ deadline: UInt64) throws(EngineError) {
        if deadline != 0, MonotonicClock.now() >= deadline { throw .deadlineExceeded }
    }

    // MARK: Load

    private func logFailure(_ error: EngineError, of request: LoadRequest) {
        logger.error(
            "model_load_failed", .string("model", request.displayName), .string("error", String(describing: error)))
    }

    private func log(_ loaded: LoadedModel) {
        let model = loaded.description
        logger.info(
            "model_loaded", .string("architecture", model.architecture), .int("parameters", model.parameterCount),
            .int("weight_bytes", model.weightBytes), .int("cache_bytes", model.keyValueCacheBytes),
            .int("context", model.contextLength), .int("trained_context", model.trainedContextLength),
            .int("parallel", model.parallel), .int("threads", model.threads),
            .string("instruction_set", model.compute.instructionSet), .string("kv_cache", model.compute.cacheType.name),
            .int("draft_parameters", loaded.draftParameterCount),
            .double("milliseconds", Double(model.loadNanoseconds) / 1e6))
    }

    private func load(_ request: LoadRequest, descriptors: [LinkDescriptor]) throws(EngineError) -> Preparation {
        guard model == nil else {
            throw .invalidRequest(parameter: "model", message: "this worker has loaded its model already")
        }
        let modelFiles = min(request.source.descriptorCount, descriptors.count)
        let loaded = try LoadedModel(
            parts: try ModelSource.parts(
                of: request.source, descriptors: descriptors[..<modelFiles], parameter: "model", limits: limits),
            draftParts: try request.draftSource.map { source throws(EngineError) in
                try ModelSource.parts(
                    of: source, descriptors: descriptors[modelFiles...], parameter: "draft_model", limits: limits)
            }, request: request, memory: machine.memory, usableThreads: machine.usableThreads,
            instructionSet: Environment.value("APUS_ISA"))
        let engine =
            request.purpose == .generate
            ? try NativeEngine(
                model: loaded, commitsWholeCache: machine.commitsWholeCache, progress: progress,
                makeText: { [limits] in AssembledText($0, limits: limits) }, emit: emit) : nil
        model = loaded
        log(loaded)
        return .loaded(loaded, engine)
    }
}
