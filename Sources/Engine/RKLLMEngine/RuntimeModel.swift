import CRKLLM
import EngineProtocol
import Platform

/// Which library to load.
public struct RuntimeChoice: Sendable, Equatable {
    /// A path, or a name that the loader searches.
    public var path: String
    /// What the operator says about it; nil: the library shows it itself.
    public var family: RuntimeFamily?

    public static let defaultName = "librkllmrt.so"

    public init(path: String = RuntimeChoice.defaultName, family: RuntimeFamily? = nil) {
        self.path = path
        self.family = family
    }
}

/// The vendor's library with one model in it, and what stays in the model's handle between runs.
///
/// Everything is called on one thread, one after the other, but for `abort`, which comes from another one while a run goes
/// on.
final class RuntimeModel: @unchecked Sendable {
    let library: RuntimeLibrary
    let settings: RuntimeSettings
    /// Positions as the runtime has them.
    let contextLength: Int
    let identity: ModelIdentity
    /// How long the model took to load.
    let loadNanoseconds: UInt64
    private let path: String
    private var loaded: LoadedModel?
    private var setup = RuntimeSetup()
    private var template = PromptTemplate.ofModel
    private var adapters: [String: Adapter] = [:]
    /// Names that the runtime still has although they were unloaded.
    private var staleAdapters: Set<String> = []
    private(set) var promptCache: PromptCache?
    /// The encoder's output, which the runtime reads.
    private var crossAttention: RunMemory?

    private struct Adapter {
        let file: RuntimeFile
        let scale: Float
    }

    /// - Parameter path: of the model's file.
    init(path: String, library: RuntimeLibrary, settings: RuntimeSettings) throws(EngineError) {
        let begunAt = MonotonicClock.now()
        (self.path, self.library, self.settings) = (path, library, settings)
        identity = try ModelIdentity(path: path, family: library.family)
        let memory = RunMemory()
        var arguments = settings.arguments(path: path, context: Int(settings.context), setup: setup, memory: memory)
        loaded = try LoadedModel(library, &arguments, memory)
        contextLength = Int(arguments.context)
        loadNanoseconds = MonotonicClock.now() - begunAt
    }

    var family: RuntimeFamily { library.family }

    /// Gives everything back; nothing may be called afterwards.
    ///
    /// The library stays: threads of its own may still run in it.
    func unload() {
        loaded?.unload()
        loaded = nil
        (promptCache, crossAttention) = (nil, nil)
    }

    private func handle() throws(EngineError) -> UnsafeMutableRawPointer {
        guard let loaded else { throw library.failure("has no model: it was not loaded again") }
        return loaded.handle
    }

    // MARK: What runs need of the handle

    /// Whether a run needs a model that is loaded anew, because what is in the handle cannot be taken out of it.
    func mustReload(for run: PreparedRun) -> Bool {
        guard loaded != nil, !mustReload else { return true }
        if !family.choosesPerRun, !setup.serves(run) { return true }
        switch run.template {
        case nil, .raw: return false
        case .ofModel: return template != .ofModel
        // The model's own template has to be there still.
        case .tools: return template == .raw
        }
    }

    /// Something could not be taken out of the handle.
    private var mustReload = false

    /// Loads the model as a run needs it, or anew as it was; nothing of before is left in it but the adapters.
    func reload(for run: PreparedRun?) throws(EngineError) {
        loaded?.unload()
        loaded = nil
        (template, promptCache, crossAttention, mustReload) = (.ofModel, nil, nil, false)
        staleAdapters = []
        if let run, !family.choosesPerRun {
            setup.sampling = run.sampling
            if let tags = run.tags { setup.tags = tags }
        }
        let memory = RunMemory()
        var arguments = settings.arguments(path: path, context: contextLength, setup: setup, memory: memory)
        loaded = try LoadedModel(library, &arguments, memory)
        for (name, adapter) in adapters { try loadIntoHandle(adapter, name: name) }
    }

    /// Puts the prompts of runs into what they want, from now on; true if that is a change.
    ///
    /// Only `raw` is known to empty the cache.
    func setTemplate(_ wanted: PromptTemplate?) throws(EngineError) -> Bool {
        guard let wanted, wanted != template else { return false }
        let handle = try handle()
        switch wanted {
        case .ofModel: return false
        case .raw:
            try library.check(apus_rkllm_set_template(library.library, handle, "", "", ""), "rkllm_set_chat_template")
        case .tools(let system, let definitions):
            try library.check(
                apus_rkllm_set_tools(library.library, handle, system, definitions, "tool_response"),
                "rkllm_set_function_tools")
        }
        template = wanted
        return true
    }

    // MARK: Runs

    /// Runs until the end or a pause, and hands each result over before the runtime takes it back.
    ///
    /// - Parameter runs: as many as the batch has.
    /// - Returns: what the runtime returned.
    func run(_ runs: [PreparedRun], of call: RunningCall, adapter: String?, saves: PromptCache?, keepsHistory: Bool)
        -> Int32
    {
        guard let first = runs.first, let loaded else { return -1 }
        let memory = RunMemory()
        var sampling = first.sampling
        let inputs = memory.numbers(runs.map { memory.input($0, family: family) })
        defer { withExtendedLifetime((call, memory)) {} }
        return withUnsafePointer(to: &sampling) { sampling in
            var arguments = apus_rkllm_run()
            (arguments.mode, arguments.inputs, arguments.count) = (first.mode, UnsafePointer(inputs), runs.count)
            arguments.adapter = adapter.map { UnsafePointer(memory.text($0)) }
            arguments.saved_cache = saves.map { UnsafePointer(memory.text($0.path)) }
            arguments.keeps_history = keepsHistory
            arguments.sampling = family.choosesPerRun ? sampling : nil
            arguments.max_new_tokens = Int32(clamping: max(1, first.maximumTokens))
            arguments.context = Unmanaged.passUnretained(call).toOpaque()
            arguments.callback = { context, results, count, state in
                guard let context else { return apus_rkllm_go_on }
                let call = Unmanaged<RunningCall>.fromOpaque(context).takeUnretainedValue()
                return call.take(UnsafeBufferPointer(start: results, count: count), state: state)
            }
            return apus_rkllm_run(library.library, loaded.handle, &arguments)
        }
    }

    /// Asks the run to end; what it returns is the runtime's business.
    func abort() {
        if let loaded { _ = apus_rkllm_abort(library.library, loaded.handle) }
    }

    // MARK: Cache

    /// - Parameters:
    ///   - keepsSystemPrompt: the positions of the template's beginning stay.
    ///   - mustSucceed: something is in the cache that has to go.
    func clearCache(keepsSystemPrompt: Bool, mustSucceed: Bool) throws(EngineError) {
        guard family.keepsHistory else { return }
        let code = apus_rkllm_clear_cache(library.library, try handle(), keepsSystemPrompt)
        guard mustSucceed, code != 0 else { return }
        mustReload = true
        try library.check(code, "rkllm_clear_kv_cache")
    }

    /// Of a paused run, in every input of the batch.
    func clearRange(first: Int32, end: Int32) throws(EngineError) {
        var starts = [Int32](repeating: first, count: settings.batch)
        var ends = [Int32](repeating: end, count: settings.batch)
        let handle = try handle()
        try library.check(
            apus_rkllm_clear_ranges(library.library, handle, &starts, &ends), "rkllm_clear_kv_cache")
    }

    /// Positions that the cache has; nil of a family that does not tell.
    func cachedPositions() throws(EngineError) -> UInt32? {
        guard family.tellsCacheSizes else { return nil }
        var sizes = [Int32](repeating: 0, count: Int(apus_rkllm_batch_limit))
        let handle = try handle()
        try library.check(apus_rkllm_cache_sizes(library.library, handle, &sizes), "rkllm_get_kv_cache_size")
        guard (0...Int32(clamping: contextLength)).contains(sizes[0]) else {
            throw library.failure("told of \(sizes[0]) positions in a cache of \(contextLength)")
        }
        return UInt32(sizes[0])
    }

    /// Has one prompt cache loaded, or none.
    func use(_ cache: PromptCache?) throws(EngineError) {
        guard cache !== promptCache else { return }
        let handle = try handle()
        if promptCache != nil {
            // Whatever comes of it, it is not what a run may count on.
            promptCache = nil
            mustReload = true
            try library.check(apus_rkllm_release_cache(library.library, handle), "rkllm_release_prompt_cache")
            mustReload = false
        }
        guard let cache else { return }
        try library.check(apus_rkllm_load_cache(library.library, handle, cache.path), "rkllm_load_prompt_cache")
        promptCache = cache
    }

    // MARK: Adapters

    func hasAdapter(_ name: String) -> Bool { adapters[name] != nil }
    var adapterCount: Int { adapters.count }
    /// The runtime has another adapter under the name, and cannot let go of it.
    func isStale(_ name: String) -> Bool { staleAdapters.contains(name) }

    func loadAdapter(_ file: RuntimeFile, name: String, scale: Float) throws(EngineError) {
        let adapter = Adapter(file: file, scale: scale)
        try loadIntoHandle(adapter, name: name)
        adapters[name] = adapter
    }

    private func loadIntoHandle(_ adapter: Adapter, name: String) throws(EngineError) {
        let code = apus_rkllm_load_adapter(library.library, try handle(), adapter.file.path, name, adapter.scale)
        guard code != 0, code != apus_rkllm_absent else {
            return try library.check(code, "rkllm_load_lora")
        }
        throw .invalidRequest(
            parameter: "adapter",
            message: "the Rockchip runtime refused the adapter (rkllm_load_lora: \(code))\(library.lastWords())")
    }

    /// Its memory stays until the model is loaded again.
    func forgetAdapter(_ name: String) {
        adapters[name] = nil
        staleAdapters.insert(name)
    }

    // MARK: Cross-attention

    /// Gives the runtime an encoder's output, which it reads until it is taken away.
    func set(_ input: CrossAttention) throws(EngineError) {
        let memory = RunMemory()
        var arguments = apus_rkllm_cross_attention(
            keys: memory.numbers(input.keys.values), values: memory.numbers(input.values.values),
            mask: memory.numbers(input.mask.values), positions: memory.numbers(input.positions),
            tokens: Int32(clamping: input.positions.count))
        let handle = try handle()
        // What is not wanted by the runtime may yet be read by it.
        let before = crossAttention
        crossAttention = memory
        let code = apus_rkllm_set_cross_attention(library.library, handle, &arguments)
        withExtendedLifetime(before) {}
        if code != 0 { mustReload = true }
        try library.check(code, "rkllm_set_cross_attn_params")
    }

    /// Takes the encoder's output away; where the runtime does not let go of it, the next run has the model loaded again.
    func unsetCrossAttention() {
        guard crossAttention != nil, let loaded else { return }
        guard apus_rkllm_set_cross_attention(library.library, loaded.handle, nil) == 0 else {
            mustReload = true
            return
        }
        crossAttention = nil
    }
}

/// A model in the library, with the strings that the runtime may keep.
private final class LoadedModel {
    let handle: UnsafeMutableRawPointer
    private let library: RuntimeLibrary
    private let memory: RunMemory

    init(
        _ library: RuntimeLibrary, _ settings: inout apus_rkllm_settings, _ memory: RunMemory
    ) throws(EngineError) {
        var handle: UnsafeMutableRawPointer?
        let code = apus_rkllm_load(library.library, &settings, &handle)
        guard code == 0, let handle else {
            guard code != 0 else {
                throw .resourceExhausted(
                    message: "the Rockchip runtime made no model and gave no reason; the NPU's memory may be full"
                        + library.lastWords(), permanent: false)
            }
            throw .invalidRequest(
                parameter: "model",
                message: "the Rockchip runtime refused the model (rkllm_init: \(code))\(library.lastWords())")
        }
        (self.handle, self.library, self.memory) = (handle, library, memory)
    }

    func unload() {
        _ = apus_rkllm_unload(library.library, handle)
        withExtendedLifetime(memory) {}
    }
}
