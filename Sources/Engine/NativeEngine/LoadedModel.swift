import ChatTemplates
public import EngineProtocol
public import ModelFiles
import Models
public import Platform
import Scheduling
import Synchronization
import Tensors
import Tokenizers

/// A model as far as a purpose needs it: file, tokenizer, template, decoder.
///
/// Immutable, so the preparation thread and the engine loop use it side by side.
public final class LoadedModel: Sendable {
    enum TemplateState: Sendable {
        case absent
        case unusable(reason: String)
        case usable(ChatTemplate)
    }

    public let file: GGUFFile
    public let description: ModelDescription
    public let limits: EngineLimits
    let tokenizer: Tokenizer?
    let chatTemplate: TemplateState
    let decoder: (any DecoderModel)?
    /// Guesses what the decoder says next; nil: there is none.
    let draft: LoadedDraft?
    /// The threads that compute with the model.
    let pool: ComputePool
    let purpose: LoadRequest.Purpose
    /// Positions per sequence; 0 where no decoder is loaded.
    let contextLength: Int
    /// Blocks of the KV cache.
    let cacheBlocks: Int
    let cacheType: CacheType
    /// Nil until somebody asks for it.
    let knownFingerprint = Mutex<UInt64?>(nil)

    /// Reads the model, and one that drafts for it, from their files, in the order of their split numbers.
    ///
    /// Weights are packed for the kernels, their pages in the file given back. `instructionSet` names what the kernels
    /// are chosen by; nil is the best that the processor has. A file that is no good model is an `invalidRequest`, one
    /// that needs what is not there is `unsupported`, and one that cannot fit is `resourceExhausted`.
    public init(
        parts: [GGUFBytes], draftParts: [GGUFBytes]? = nil, request: LoadRequest, memory: MemoryLimits,
        usableThreads: Int,
        instructionSet: String? = nil,
        limits: EngineLimits = EngineLimits()
    ) throws(EngineError) {
        let started = MonotonicClock.now()
        self.limits = limits
        purpose = request.purpose
        file = try Self.readFile(parts)
        let wantsTokenizer = request.purpose != .inspect
        tokenizer = wantsTokenizer ? try Self.readTokenizer(file) : nil
        chatTemplate = wantsTokenizer ? Self.readTemplate(file) : .absent
        decoder = request.purpose == .generate ? try Self.readDecoder(file) : nil
        draft = decoder == nil ? nil : try draftParts.map(LoadedDraft.init)
        if let draft, let tokenizer { try draft.check(against: tokenizer) }
        let plan = try Self.planMemory(decoder, draft, request: request, memory: memory, limits: limits)
        contextLength = plan?.contextLength ?? 0
        cacheBlocks = plan?.blocks ?? 0
        let threads = try Self.threads(request.threads, usable: usableThreads, limits: limits)
        pool = ComputePool(
            threads: decoder == nil ? 1 : threads, instructionSet: try Self.instructionSet(instructionSet))
        for decoder in [decoder, draft?.decoder].compactMap(\.self) { try Self.pack(decoder, pool: pool) }
        cacheType = CacheType(request.cacheType)
        let compute = Self.describeCompute(decoder, pool: pool, request: request)
        description = Self.describe(
            file: file, tokenizer: tokenizer, template: chatTemplate, decoder: decoder, plan: plan, threads: threads,
            loadNanoseconds: MonotonicClock.now() - started, compute: compute)
        try checkVocabulary()
    }

    func requireTokenizer() throws(EngineError) -> Tokenizer {
        guard let tokenizer else { throw .unsupported(feature: "text: the model was loaded for inspection only") }
        return tokenizer
    }

    func requireDecoder() throws(EngineError) -> any DecoderModel {
        guard let decoder else { throw .unsupported(feature: "generation: the model was loaded without its weights") }
        return decoder
    }

    /// 0 without a draft model.
    public var draftParameterCount: UInt64 { draft?.decoder.parameterCount ?? 0 }

    // MARK: Parts

    static func readFile(_ parts: [GGUFBytes]) throws(EngineError) -> GGUFFile {
        do {
            return try GGUFFile(parts: parts)
        } catch {
            if case .unsupported = error { throw .unsupported(feature: "model file: \(error.description)") }
            throw .invalidRequest(parameter: "model", message: "model file: \(error.description)")
        }
    }

    static func readTokenizer(_ file: GGUFFile) throws(EngineError) -> Tokenizer {
        do {
            return try Tokenizer(metadata: file.metadata)
        } catch {
            if case .unsupported = error { throw .unsupported(feature: "tokenizer: \(error.description)") }
            throw .invalidRequest(parameter: "model", message: "tokenizer: \(error.description)")
        }
    }

    /// A template that cannot be used spoils only chats, so it is no reason to refuse the model.
    static func readTemplate(_ file: GGUFFile) -> TemplateState {
        guard let source = file.metadata.string("tokenizer.chat_template") else { return .absent }
        do {
            return .usable(try ChatTemplate(source: source))
        } catch {
            return .unusable(reason: error.description)
        }
    }

    static func readDecoder(_ file: GGUFFile) throws(EngineError) -> any DecoderModel {
        do {
            return try ModelRegistry.load(file)
        } catch {
            throw EngineError(error)
        }
    }

    /// The fastest instruction set, or the one that somebody wants.
    private static func instructionSet(_ name: String?) throws(EngineError) -> InstructionSet {
        guard let name else { return .best }
        guard let set = InstructionSet(named: name) else {
            let names = InstructionSet.available.map(\.name).joined(separator: ", ")
            throw .invalidRequest(
                parameter: "APUS_ISA", message: "APUS_ISA is \(name.debugDescription); this processor has \(names)")
        }
        return set
    }

    private static func pack(_ decoder: any DecoderModel, pool: ComputePool) throws(EngineError) {
        do {
            try decoder.pack(pool: pool)
        } catch {
            throw EngineError(error)
        }
    }

    private static func planMemory(
        _ decoder: (any DecoderModel)?, _ draft: LoadedDraft?, request: LoadRequest, memory: MemoryLimits,
        limits: EngineLimits
    ) throws(EngineError) -> MemoryPlan? {
        guard let decoder else { return nil }
        let (cacheType, wanted) = (CacheType(request.cacheType), Int(request.parallel))
        let parallel = min(wanted == 0 ? limits.defaultParallel : wanted, limits.maximumParallel)
        var weights = decoder.packedBytes + (try bufferBytes(decoder, parallel: parallel, limits: limits))
        var block = decoder.configuration.cacheBytesPerBlock(cacheType)
        if let draft {
            weights += try draft.fixedBytes(parallel: parallel, cacheType: cacheType, limits: limits)
            block += draft.decoder.configuration.cacheBytesPerBlock(cacheType)
        }
        return try MemoryPlan.decide(
            requestedContextLength: request.contextLength, requestedParallel: request.parallel,
            trainedContextLength: decoder.configuration.trainedContextLength,
            blockBytes: UInt64(block), weightBytes: weights,
            memory: memory.usable(granted: request.memoryLimit, limits: limits), limits: limits)
    }

    /// Bytes of the buffers of the largest step, measured on buffers that are never touched.
    private static func bufferBytes(
        _ decoder: any DecoderModel, parallel: Int, limits: EngineLimits
    ) throws(EngineError) -> UInt64 {
        let step = SchedulerLimits(
            slots: parallel, blocks: 1, limits: limits, configuration: decoder.configuration)
        do {
            let workspace = try ForwardWorkspace(
                configuration: decoder.configuration, maximumRows: step.rowsPerStep,
                maximumLogitRows: step.logitsRowsPerStep)
            return UInt64(workspace.byteCount)
        } catch {
            throw .resourceExhausted(message: error.description, permanent: true)
        }
    }

    private static func threads(_ requested: UInt32, usable: Int, limits: EngineLimits) throws(EngineError) -> Int {
        guard requested <= limits.maximumThreads else {
            throw .invalidRequest(
                parameter: "threads", message: "threads is \(requested), the limit is \(limits.maximumThreads)")
        }
        return requested == 0 ? max(1, min(usable, limits.maximumThreads)) : Int(requested)
    }

    /// Every id that the tokenizer makes must have a row in the embedding.
    private func checkVocabulary() throws(EngineError) {
        guard let tokenizer, let decoder, tokenizer.vocabularySize > decoder.configuration.vocabularySize else {
            return
        }
        throw .invalidRequest(
            parameter: "model",
            message: "the tokenizer has \(tokenizer.vocabularySize) tokens, but the model only "
                + "\(decoder.configuration.vocabularySize)")
    }

    private static func describe(
        file: GGUFFile, tokenizer: Tokenizer?, template: TemplateState, decoder: (any DecoderModel)?,
        plan: MemoryPlan?, threads: Int, loadNanoseconds: UInt64,
        compute: ComputeDescription
    ) -> ModelDescription {
        let architecture = file.metadata.string("general.architecture") ?? ""
        let hasTemplate = if case .usable = template { true } else { false }
        let trained =
            decoder.map { UInt64($0.configuration.trainedContextLength) }
            ?? file.metadata.uint("\(architecture).context_length") ?? 0
        return ModelDescription(
            architecture: architecture, name: file.metadata.string("general.name") ?? "",
            parameterCount: decoder?.parameterCount ?? file.tensors.reduce(0) { $0 + UInt64($1.elementCount) },
            vocabularySize: UInt32(clamping: decoder?.configuration.vocabularySize ?? tokenizer?.vocabularySize ?? 0),
            embeddingWidth: UInt32(clamping: decoder?.configuration.width ?? 0),
            contextLength: UInt32(clamping: plan?.contextLength ?? 0), trainedContextLength: UInt32(clamping: trained),
            parallel: UInt32(clamping: plan?.parallel ?? 0), threads: UInt32(clamping: threads),
            weightBytes: decoder?.weightBytes ?? file.tensors.reduce(0) { $0 + UInt64($1.byteCount) },
            keyValueCacheBytes: plan?.cacheBytes ?? 0, memoryBytes: plan?.memoryBytes ?? 0,
            hasChatTemplate: hasTemplate, loadNanoseconds: loadNanoseconds, compute: compute)
    }

    private static func describeCompute(
        _ decoder: (any DecoderModel)?, pool: ComputePool, request: LoadRequest
    ) -> ComputeDescription {
        guard let decoder else { return ComputeDescription() }
        let peak = request.measuresMachine ? try? MachinePeak.measure(pool: pool) : nil
        return ComputeDescription(
            instructionSet: pool.instructionSet.name, cacheType: request.cacheType,
            operationsPerToken: decoder.operationsPerToken, bytesPerStep: decoder.bytesPerStep,
            byteOperationsPerSecond: peak?.byteOperationsPerSecond ?? 0,
            readBytesPerSecond: peak?.readBytesPerSecond ?? 0)
    }
}

extension EngineError {
    init(_ error: ModelLoadError) {
        switch error {
        case .unsupported, .unsupportedArchitecture: self = .unsupported(feature: "model: \(error.description)")
        case .outOfMemory: self = .resourceExhausted(message: "model: \(error.description)", permanent: true)
        default: self = .invalidRequest(parameter: "model", message: "model: \(error.description)")
        }
    }
}

extension CacheType {
    init(_ type: LoadRequest.CacheType) {
        switch type {
        case .f32: self = .f32
        case .f16: self = .f16
        case .q8: self = .q8
        }
    }
}
