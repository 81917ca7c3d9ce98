import Configuration
import EngineProtocol
import Observability
import Platform
import Serving
import Supervision

/// Turns settings into models that `Serving` can load.
struct ModelFactory {
    let loop: EventLoop
    let logger: Logger

    func model(_ model: GatewayServer.Model, _ settings: Settings) -> ServedModel {
        let options = model.options
        let load = LoadRequest(
            source: .bundledDemo, purpose: .generate, displayName: model.name,
            contextLength: (options.context ?? settings.context).map { UInt32($0) },
            parallel: UInt32(options.parallel ?? settings.parallel ?? 0),
            threads: UInt32(options.threads ?? settings.threads ?? 0),
            cacheType: LoadRequest.CacheType(named: options.kvCache ?? settings.kvCache),
            runtime: model.sources.model.isForRuntime
                ? RuntimeOptions(options.rkllm.filled(from: settings.rkllm)) : nil)
        let idleSeconds = options.idleUnloadSeconds ?? settings.idleUnloadSeconds
        let served = ServedModel.Settings(
            sources: model.sources, load: load, loadsAtStart: (options.load ?? settings.load) == "start",
            idleNanoseconds: idleSeconds == 0 ? nil : UInt64(idleSeconds) * 1_000_000_000,
            memoryBytes: options.memoryMebibytes.map { UInt64($0) << 20 })
        return ServedModel(name: model.name, settings: served) { [loop, logger] served in
            let worker = WorkerSupervisor.Settings(
                workerPath: ModelSession.workerPath,
                options: WorkerOptions(
                    confinement: settings.confinement, committedCache: settings.committedCache,
                    runtime: WorkerOptions.Runtime(for: served.sources.model, settings)),
                sources: served.sources, load: served.load,
                loadNanosecondsLimit: UInt64(settings.loadSeconds) * 1_000_000_000,
                stallNanosecondsLimit: UInt64(settings.stallSeconds) * 1_000_000_000)
            return WorkerSupervisor(loop: loop, settings: worker, logger: logger.named("supervision"))
        }
    }

    /// A model whose path came over HTTP: its file must lie below an allowed folder.
    func model(name: String, path: String, _ settings: Settings) throws(EngineError) -> ServedModel {
        guard ModelName.isValid(name) else {
            throw .invalidRequest(
                parameter: "model", message: "'model' is \(ModelName.allowed), not '\(name.prefix(256))'")
        }
        let sources = ModelSources(.file(path: path), within: AllowedRoots(folders: settings.modelRoots))
        _ = try sources.open()
        var served = model(GatewayServer.Model(name: name, sources: sources), settings)
        served.settings.loadsAtStart = false
        return served
    }

    /// What all models may take together: as configured, else what the machine or its control group has, less a reserve
    /// for everything else.
    static func memoryBudget(_ settings: Settings, machine: MemoryLimits = .current()) -> UInt64 {
        if let mebibytes = settings.memoryBudgetMebibytes { return UInt64(mebibytes) << 20 }
        let all = min(machine.limitBytes ?? .max, machine.totalBytes)
        let reserve = all / 16 + 64 << 20
        return all > reserve ? all - reserve : all
    }
}

extension RuntimeOptions {
    init(_ options: RKLLMOptions) {
        self.init(
            baseDomain: options.baseDomain.map { UInt32($0) }, readsEmbeddingsFromStorage: options.embedFlash == "on",
            processors: UInt8(options.cpus ?? 0), batch: UInt8(options.batch ?? 0),
            usesCrossAttention: options.crossAttention == "on", processorMask: UInt32(options.cpuMask ?? 0))
    }
}

extension WorkerOptions.Runtime {
    /// The runtime of a model that needs one.
    init?(for model: ModelSource, _ settings: Settings) {
        guard model.isForRuntime else { return nil }
        self.init(release: settings.rkllmRelease)
        if let path = settings.rkllmRuntime { library = path }
    }
}
