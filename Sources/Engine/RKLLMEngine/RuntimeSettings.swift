import CRKLLM
import EngineProtocol

/// How a model is loaded, checked against what the family has.
struct RuntimeSettings: Sendable {
    let context: Int32
    let batch: Int
    let usesCrossAttention: Bool
    private let processors: Int32
    private let processorMask: UInt32
    private let baseDomain: Int32
    private let readsEmbeddingsFromStorage: Bool

    init(_ request: LoadRequest, family: RuntimeFamily, limits: RKLLMLimits) throws(EngineError) {
        let options = request.runtime ?? RuntimeOptions()
        let asked = request.contextLength ?? 0
        guard asked <= limits.contextLength else {
            throw .invalidRequest(
                parameter: "context", message: "the context is \(asked), the runtime's limit is \(limits.contextLength)"
            )
        }
        context = Int32(asked)
        guard options.batch <= limits.batch else {
            throw .invalidRequest(
                parameter: "rkllm_batch",
                message: "the batch is \(options.batch), the runtime's limit is \(limits.batch)")
        }
        if options.batch > 1 { try family.require(\.hasBatches, "batches (rkllm_batch)") }
        if options.usesCrossAttention { try family.require(\.hasCrossAttention, "cross-attention") }
        if options.readsEmbeddingsFromStorage {
            try family.require(\.choosesProcessors, "embeddings in storage (rkllm_embed_flash)")
        }
        batch = max(1, Int(options.batch))
        usesCrossAttention = options.usesCrossAttention
        readsEmbeddingsFromStorage = options.readsEmbeddingsFromStorage
        guard let domain = Int32(exactly: options.baseDomain ?? 0) else {
            throw .invalidRequest(
                parameter: "rkllm_base_domain",
                message: "the base domain is \(options.baseDomain ?? 0), the limit is \(Int32.max)")
        }
        baseDomain = options.baseDomain == nil ? -1 : domain
        (processors, processorMask) = try Self.processors(options, threads: request.threads, family: family)
    }

    private static func processors(
        _ options: RuntimeOptions, threads: UInt32, family: RuntimeFamily
    ) throws(EngineError) -> (Int32, UInt32) {
        let count = options.processors, mask = options.processorMask
        if count > 0 || mask > 0 { try family.require(\.choosesProcessors, "a choice of processors (rkllm_cpus)") }
        guard count <= 8, mask <= 0xFF else {
            throw .invalidRequest(
                parameter: "rkllm_cpus",
                message: "there are processors 0 to 7, so \(count) of the mask \(mask) are none")
        }
        guard count == 0 || mask == 0 || mask.nonzeroBitCount == Int(count) else {
            throw .invalidRequest(
                parameter: "rkllm_cpus",
                message: "rkllm_cpus is \(count), but rkllm_cpu_mask has \(mask.nonzeroBitCount) processors")
        }
        if mask > 0 { return (Int32(mask.nonzeroBitCount), mask) }
        let wanted = count > 0 ? Int(count) : min(8, Int(clamping: threads))
        // The highest of eight: the fast ones, where there are two kinds.
        return (Int32(wanted), wanted > 0 ? UInt32(0xFF << (8 - wanted) & 0xFF) : 0)
    }

    /// - Parameter memory: keeps the strings.
    func arguments(
        path: String, context: Int, setup: RuntimeSetup, memory: RunMemory
    ) -> apus_rkllm_settings {
        var settings = apus_rkllm_settings()
        settings.model_path = UnsafePointer(memory.text(path))
        settings.context = Int32(context)
        (settings.processors, settings.processor_mask) = (processors, processorMask)
        settings.base_domain = baseDomain
        (settings.embeddings_in_storage, settings.cross_attention) = (readsEmbeddingsFromStorage, usesCrossAttention)
        settings.batch = UInt8(batch)
        if setup.tags != ImageTags() {
            settings.image_start = UnsafePointer(memory.text(setup.tags.start))
            settings.image_end = UnsafePointer(memory.text(setup.tags.end))
            settings.image_content = UnsafePointer(memory.text(setup.tags.content))
        }
        settings.sampling = setup.sampling
        return settings
    }
}

/// What a model was loaded with although it belongs to requests: older families take it in no other way.
struct RuntimeSetup {
    var sampling = apus_rkllm_sampling.unchanged
    var tags = ImageTags()

    /// Whether a run gets what it asks for.
    func serves(_ run: PreparedRun) -> Bool {
        let samples = run.mode == apus_rkllm_generate
        return (!samples || sampling.isEqual(to: run.sampling)) && (run.tags == nil || run.tags == tags)
    }
}
