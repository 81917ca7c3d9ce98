import EngineLink
import EngineProtocol
import NativeEngine
import Observability
import Platform

/// Does the part of each request that needs no engine loop.
///
/// Belongs to the preparation thread.
final class RequestProcessor {
    private let limits: WorkerLimits
    private let machine: Machine
    private let runtime: VendorRuntime?
    private let logger: Logger
    private let progress: ProgressPage
    private let emit: WorkerHost.Emit
    private var engine: (any HostedEngine)?

    init(
        limits: WorkerLimits, machine: Machine, runtime: VendorRuntime?, logger: Logger, progress: ProgressPage,
        emit: @escaping WorkerHost.Emit
    ) {
        self.limits = limits
        self.machine = machine
        self.runtime = runtime
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
            default:
                try checkDeadline(of: request)
                let prepared = try requireEngine().prepare(request, descriptors: descriptors, since: startedAt)
                try checkDeadline(of: request)
                return prepared
            }
        } catch {
            if case .load(let request) = request { logFailure(error, of: request) }
            return .answer(.failed(error))
        }
    }

    private func requireEngine() throws(EngineError) -> any HostedEngine {
        guard let engine else {
            throw .modelNotReady(
                reason: "no model is loaded", retryAfterMilliseconds: limits.retryAfterMilliseconds)
        }
        return engine
    }

    private func checkDeadline(of request: EngineRequest) throws(EngineError) {
        let deadline: UInt64
        switch request {
        case .generate(let request): deadline = request.deadline
        case .embed(let request): deadline = request.deadline
        default: return
        }
        if deadline != 0, MonotonicClock.now() >= deadline { throw .deadlineExceeded }
    }

    // MARK: Load

    private func logFailure(_ error: EngineError, of request: LoadRequest) {
        logger.error(
            "model_load_failed", .string("model", request.displayName), .string("error", String(describing: error)))
    }

    private func log(_ model: ModelDescription, draftParameters: UInt64) {
        logger.info(
            "model_loaded", .string("architecture", model.architecture), .int("parameters", model.parameterCount),
            .int("weight_bytes", model.weightBytes), .int("cache_bytes", model.keyValueCacheBytes),
            .int("context", model.contextLength), .int("trained_context", model.trainedContextLength),
            .int("parallel", model.parallel), .int("threads", model.threads),
            .string("instruction_set", model.compute.instructionSet), .string("kv_cache", model.compute.cacheType.name),
            .int("draft_parameters", draftParameters),
            .double("milliseconds", Double(model.loadNanoseconds) / 1e6))
    }

    private func load(_ request: LoadRequest, descriptors: [LinkDescriptor]) throws(EngineError) -> Preparation {
        guard engine == nil else {
            throw .invalidRequest(parameter: "model", message: "this worker has loaded its model already")
        }
        let loaded: any HostedEngine
        if let runtime {
            loaded = try load(request, descriptors: descriptors, into: runtime)
        } else {
            loaded = try loadNative(request, descriptors: descriptors)
        }
        engine = loaded
        return .loaded(loaded)
    }

    private func load(
        _ request: LoadRequest, descriptors: [LinkDescriptor], into runtime: VendorRuntime
    ) throws(EngineError) -> any HostedEngine {
        let loaded = try HostedRKLLMEngine(
            request, descriptors: descriptors, runtime: runtime, machine: machine, progress: progress, emit: emit)
        log(loaded.description, draftParameters: 0)
        return loaded
    }

    private func loadNative(
        _ request: LoadRequest, descriptors: [LinkDescriptor]
    ) throws(EngineError) -> any HostedEngine {
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
        log(loaded.description, draftParameters: loaded.draftParameterCount)
        return HostedNativeEngine(model: loaded, engine: engine)
    }
}
