/// What a worker tells about a call.
///
/// A generation sends `accepted`, `started`, any number of `tokens` and, if it wants them, `tensor`, one `choiceFinished`
/// for each choice, and exactly one end event: `finished` or `failed`. Every other request has one `result` or `failed`.
public enum EngineEvent: Sendable, Equatable {
    /// The input is tokenized and fits. `queuePosition` counts the sequences that are ahead.
    case accepted(promptTokens: UInt32, queuePosition: UInt32)
    /// Prefill begins. `cachedTokens` of the prompt were already there.
    case started(cachedTokens: UInt32)
    case tokens(TokenChunk)
    /// Within the credit that the receiver gave.
    case tensor(TensorChunk)
    case choiceFinished(choice: UInt32, reason: FinishReason)
    // What is large and rare stands apart: events are moved about a dozen times on their way.
    indirect case finished(usage: Usage, timings: Timings)
    case failed(EngineError)
    indirect case result(EngineResult)
    /// About the worker and no call: sent four times a second under `CallID.link`.
    indirect case statistics(WorkerStatistics)

    /// True for the one event after which a call has no more.
    public var isEnd: Bool {
        switch self {
        case .finished, .failed, .result: true
        case .accepted, .started, .tokens, .tensor, .choiceFinished, .statistics: false
        }
    }
}

/// New tokens of one choice.
///
/// Text may lag the ids: incomplete UTF-8 and possible stop strings are held back.
public struct TokenChunk: Sendable, Equatable {
    public enum Kind: UInt8, Sendable {
        case content = 0
        case reasoning = 1
        case toolCall = 2
    }

    public var choice: UInt32
    public var ids: [Int32]
    /// Always valid UTF-8.
    public var text: String
    public var kind: Kind
    /// Of the tokens that `text` shows, if they were asked for.
    ///
    /// They lag the ids as the text does, and tokens that are never shown have none.
    public var logProbabilities: [TokenLogProbabilities]

    public init(
        choice: UInt32, ids: [Int32], text: String, kind: Kind = .content,
        logProbabilities: [TokenLogProbabilities] = []
    ) {
        self.choice = choice
        self.ids = ids
        self.text = text
        self.kind = kind
        self.logProbabilities = logProbabilities
    }
}

/// A chosen token and the likeliest ones at its place, likeliest first; it can be among them.
public struct TokenLogProbabilities: Sendable, Equatable {
    public var chosen: TokenLogProbability
    public var top: [TokenLogProbability]

    public init(chosen: TokenLogProbability, top: [TokenLogProbability]) {
        self.chosen = chosen
        self.top = top
    }
}

/// A token and the natural logarithm of its probability.
public struct TokenLogProbability: Sendable, Equatable {
    public var id: Int32
    public var logProbability: Float
    /// What the token writes; it need not be whole characters.
    public var bytes: [UInt8]

    public init(id: Int32, logProbability: Float, bytes: [UInt8]) {
        self.id = id
        self.logProbability = logProbability
        self.bytes = bytes
    }
}

public enum FinishReason: UInt8, Sendable {
    /// The model ended, or a stop string or stop token came.
    case stop = 0
    /// The token limit or the context was reached.
    case length = 1
    /// `EngineRequest.pause` ended it; its session can go on.
    case paused = 2
}

public struct Usage: Sendable, Equatable {
    public var promptTokens: UInt32
    public var completionTokens: UInt32
    public var cachedTokens: UInt32
    /// Draft tokens that were right, and so are among the completion's, and those that were computed in vain.
    public var acceptedDraftTokens: UInt32
    public var rejectedDraftTokens: UInt32

    public init(
        promptTokens: UInt32, completionTokens: UInt32, cachedTokens: UInt32, acceptedDraftTokens: UInt32 = 0,
        rejectedDraftTokens: UInt32 = 0
    ) {
        self.promptTokens = promptTokens
        self.completionTokens = completionTokens
        self.cachedTokens = cachedTokens
        self.acceptedDraftTokens = acceptedDraftTokens
        self.rejectedDraftTokens = rejectedDraftTokens
    }
}

/// Measured by the worker, in nanoseconds.
public struct Timings: Sendable, Equatable {
    /// Template, tokenizer, checks.
    public var preparation: UInt64
    /// From accepted to the first prefill step.
    public var queue: UInt64
    /// From the first prefill step to the first sampled token.
    public var prefill: UInt64
    /// From the first sampled token to the last.
    public var decode: UInt64
    /// What the engine's runtime measured; nil where it measures nothing.
    public var runtime: RuntimeFigures?

    public init(
        preparation: UInt64, queue: UInt64, prefill: UInt64, decode: UInt64, runtime: RuntimeFigures? = nil
    ) {
        self.preparation = preparation
        self.queue = queue
        self.prefill = prefill
        self.decode = decode
        self.runtime = runtime
    }
}

/// The answer to a request that is no generation.
public enum EngineResult: Sendable, Equatable {
    case loaded(ModelDescription)
    /// A JSON document: metadata, tensors, capabilities.
    case inspected(json: String)
    case scored(tokens: UInt64, negativeLogLikelihood: Double)
    case tokenized(ids: [Int32])
    /// Bytes, because the ids need not form whole characters.
    case detokenized(bytes: [UInt8])
    case rendered(text: String)
    /// One row for each input.
    case embedded(Tensor, promptTokens: UInt32)
    case session(SessionState)
    /// An adapter was loaded or unloaded.
    case done
}

/// What a loaded model is and can do.
public struct ModelDescription: Sendable, Equatable {
    public var architecture: String
    public var name: String
    public var parameterCount: UInt64
    public var vocabularySize: UInt32
    /// Columns of the embedding and of hidden states; 0 where no weights are loaded.
    public var embeddingWidth: UInt32
    /// Positions per sequence as served.
    public var contextLength: UInt32
    /// Positions that the model was trained for.
    public var trainedContextLength: UInt32
    public var parallel: UInt32
    public var threads: UInt32
    public var weightBytes: UInt64
    public var keyValueCacheBytes: UInt64
    /// Packed weights, buffers and cache together: what the model takes of the machine's memory.
    public var memoryBytes: UInt64
    public var hasChatTemplate: Bool
    public var loadNanoseconds: UInt64
    public var compute: ComputeDescription

    public init(
        architecture: String, name: String, parameterCount: UInt64, vocabularySize: UInt32, embeddingWidth: UInt32 = 0,
        contextLength: UInt32, trainedContextLength: UInt32, parallel: UInt32, threads: UInt32, weightBytes: UInt64,
        keyValueCacheBytes: UInt64, memoryBytes: UInt64 = 0, hasChatTemplate: Bool, loadNanoseconds: UInt64,
        compute: ComputeDescription = ComputeDescription()
    ) {
        self.architecture = architecture
        self.name = name
        self.parameterCount = parameterCount
        self.vocabularySize = vocabularySize
        self.embeddingWidth = embeddingWidth
        self.contextLength = contextLength
        self.trainedContextLength = trainedContextLength
        self.parallel = parallel
        self.threads = threads
        self.weightBytes = weightBytes
        self.keyValueCacheBytes = keyValueCacheBytes
        self.memoryBytes = memoryBytes
        self.hasChatTemplate = hasChatTemplate
        self.loadNanoseconds = loadNanoseconds
        self.compute = compute
    }
}

/// How a model is computed, and what the machine could do at most.
public struct ComputeDescription: Sendable, Equatable {
    /// Empty where nothing is computed.
    public var instructionSet: String
    public var cacheType: LoadRequest.CacheType
    /// Additions and multiplications of weights for one token of a prompt.
    public var operationsPerToken: UInt64
    /// Bytes of weights that a step of one sequence reads.
    public var bytesPerStep: UInt64
    /// Additions and multiplications of bytes, all threads together; 0 if it was not measured.
    public var byteOperationsPerSecond: Double
    /// Bytes that all threads together read from memory; 0 if it was not measured.
    public var readBytesPerSecond: Double

    public init(
        instructionSet: String = "", cacheType: LoadRequest.CacheType = .f16, operationsPerToken: UInt64 = 0,
        bytesPerStep: UInt64 = 0, byteOperationsPerSecond: Double = 0, readBytesPerSecond: Double = 0
    ) {
        self.instructionSet = instructionSet
        self.cacheType = cacheType
        self.operationsPerToken = operationsPerToken
        self.bytesPerStep = bytesPerStep
        self.byteOperationsPerSecond = byteOperationsPerSecond
        self.readBytesPerSecond = readBytesPerSecond
    }
}

/// Counters since the worker started, and gauges of this moment.
public struct WorkerStatistics: Sendable, Equatable {
    /// Monotonic clock, nanoseconds.
    public var takenAt: UInt64
    public var sequencesRunning: UInt32
    public var sequencesWaiting: UInt32
    /// Blocks of the KV cache: those that sequences use, those that are kept for later prompts, and all.
    public var cacheBlocksUsed: UInt64
    public var cacheBlocksIdle: UInt64
    public var cacheBlocks: UInt64
    public var promptTokens: UInt64
    /// Positions that were found in the cache and not computed.
    public var cachedTokens: UInt64
    public var generatedTokens: UInt64
    public var steps: UInt64
    public var stepNanoseconds: UInt64
    public var cancelled: UInt64
    /// Sequences that lost their slot and had to wait for another one.
    public var preemptions: UInt64
    /// Draft tokens that were computed, and those of them that were right.
    public var draftTokens: UInt64
    public var acceptedDraftTokens: UInt64
    /// The same, of the draft model's alone.
    public var modelDraftTokens: UInt64
    public var acceptedModelDraftTokens: UInt64

    public init(
        takenAt: UInt64 = 0, sequencesRunning: UInt32 = 0, sequencesWaiting: UInt32 = 0, cacheBlocksUsed: UInt64 = 0,
        cacheBlocksIdle: UInt64 = 0, cacheBlocks: UInt64 = 0, promptTokens: UInt64 = 0, cachedTokens: UInt64 = 0,
        generatedTokens: UInt64 = 0, steps: UInt64 = 0, stepNanoseconds: UInt64 = 0, cancelled: UInt64 = 0,
        preemptions: UInt64 = 0, draftTokens: UInt64 = 0, acceptedDraftTokens: UInt64 = 0,
        modelDraftTokens: UInt64 = 0, acceptedModelDraftTokens: UInt64 = 0
    ) {
        self.takenAt = takenAt
        self.sequencesRunning = sequencesRunning
        self.sequencesWaiting = sequencesWaiting
        self.cacheBlocksUsed = cacheBlocksUsed
        self.cacheBlocksIdle = cacheBlocksIdle
        self.cacheBlocks = cacheBlocks
        self.promptTokens = promptTokens
        self.cachedTokens = cachedTokens
        self.generatedTokens = generatedTokens
        self.steps = steps
        self.stepNanoseconds = stepNanoseconds
        self.cancelled = cancelled
        self.preemptions = preemptions
        self.draftTokens = draftTokens
        self.acceptedDraftTokens = acceptedDraftTokens
        self.modelDraftTokens = modelDraftTokens
        self.acceptedModelDraftTokens = acceptedModelDraftTokens
    }
}
