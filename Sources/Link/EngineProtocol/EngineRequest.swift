/// What a gateway asks of a worker.
public enum EngineRequest: Sendable, Equatable {
    case load(LoadRequest)
    case inspect
    case generate(GenerateRequest)
    case score(ScoreRequest)
    case tokenize(TokenizeRequest)
    case detokenize(ids: [Int32])
    case renderTemplate(ChatInput)
    /// Ends the call that the message names. Unknown calls are ignored.
    case cancel
    /// Ends the generation that the message names as `FinishReason.paused`, so that another of its session can go on.
    ///
    /// It takes effect from `accepted` on, before the next token is chosen, also while the prompt is computed. Unknown calls,
    /// those without a session, and those of several sequences are ignored.
    case pause
    /// Lets a generation send so many more bytes of tensors. Unknown calls are ignored.
    case credit(bytes: UInt32)
    case embed(EmbedRequest)
    /// A session that is not closed lives as long as its worker.
    case openSession(SessionID)
    case changeSession(SessionID, SessionChange)
    case closeSession(SessionID)
    case loadAdapter(AdapterRequest)
    case unloadAdapter(name: String)
}

extension EngineRequest {
    /// How many descriptors belong to the message: files of a model, of a prompt cache, or of an adapter.
    public var descriptorCount: Int {
        switch self {
        case .load(let load): load.descriptorCount
        case .generate(let request): request.session?.savesCache == true ? 1 : 0
        case .changeSession(_, .loadCache), .loadAdapter: 1
        case .inspect, .score, .tokenize, .detokenize, .renderTemplate, .cancel, .pause, .credit, .embed, .openSession,
            .changeSession, .closeSession, .unloadAdapter:
            0
        }
    }
}

/// Loads the one model of this worker.
///
/// The model's files travel as descriptors beside the message.
public struct LoadRequest: Sendable, Equatable {
    public enum Source: Sendable, Equatable {
        /// The attached descriptors are the model's files, in the order of their split numbers.
        case descriptors(count: UInt32)
        /// The demo model that is part of the worker's binary.
        case bundledDemo
    }

    /// How much of the model is needed: a vocabulary file without tensors can tokenize but not generate.
    public enum Purpose: UInt8, Sendable {
        case inspect = 0
        case tokenize = 1
        case generate = 2
    }

    /// How the KV cache stores keys and values.
    public enum CacheType: UInt8, Sendable, CaseIterable {
        case f32 = 0
        case f16 = 1
        /// Q8_0: bytes with an F16 scale for every 32 elements of a position's head.
        case q8 = 8

        /// As users write it.
        public var name: String {
            switch self {
            case .f32: "f32"
            case .f16: "f16"
            case .q8: "q8_0"
            }
        }

        /// The default for any name that is not one of theirs.
        public init(named name: String) { self = Self.allCases.first { $0.name == name } ?? .f16 }
    }

    public var source: Source
    /// A smaller model with the same tokenizer that guesses what the model says next; nil: there is none.
    ///
    /// Its files follow the model's among the descriptors.
    public var draftSource: Source?
    public var purpose: Purpose
    /// Names the model in errors and logs; it is never opened.
    public var displayName: String
    /// Positions per sequence; nil takes the model's own, bounded by the memory that is there.
    public var contextLength: UInt32?
    /// Sequences that decode together; 0 takes the default.
    public var parallel: UInt32
    /// Compute threads; 0 takes the machine's limit (affinity and quota).
    public var threads: UInt32
    public var cacheType: CacheType
    /// Bytes that weights, buffers and cache may take together; 0 takes what is there.
    public var memoryLimit: UInt64
    /// Measures what the processor can do at most, for comparison with what a model reaches.
    public var measuresMachine: Bool
    /// For engines that have one; nil is its own choice in everything.
    public var runtime: RuntimeOptions?

    public init(
        source: Source, draftSource: Source? = nil, purpose: Purpose, displayName: String,
        contextLength: UInt32? = nil, parallel: UInt32 = 0, threads: UInt32 = 0, cacheType: CacheType = .f16,
        memoryLimit: UInt64 = 0, measuresMachine: Bool = false, runtime: RuntimeOptions? = nil
    ) {
        self.source = source
        self.draftSource = draftSource
        self.purpose = purpose
        self.displayName = displayName
        self.contextLength = contextLength
        self.parallel = parallel
        self.threads = threads
        self.cacheType = cacheType
        self.memoryLimit = memoryLimit
        self.measuresMachine = measuresMachine
        self.runtime = runtime
    }

    /// How many descriptors belong to the message.
    public var descriptorCount: Int { source.descriptorCount + (draftSource?.descriptorCount ?? 0) }
}

extension LoadRequest.Source {
    public var descriptorCount: Int {
        switch self {
        case .descriptors(let count): Int(count)
        case .bundledDemo: 0
        }
    }
}

/// One generation: one or several inputs, each continued `choices` times.
///
/// Choice `k` of input `i` has the index `i * choices + k` in every event.
public struct GenerateRequest: Sendable, Equatable {
    public enum Input: Sendable, Equatable {
        case chat(ChatInput)
        case text(String)
        case ids([Int32])
        /// Rows that stand in the place of the embedding's, one for each position of the prompt.
        case embeddings(Tensor)
        /// Nothing new: goes on with the answer that was paused in the request's session, as if it had not been.
        case resumed
        case multimodal(MultimodalInput)
    }

    public var inputs: [Input]
    public var choices: UInt32
    /// Tokens to generate per choice; nil is the rest of the context, and 0, with `tensors`, only computes the prompt.
    public var maximumTokens: UInt32?
    public var sampling: SamplingParameters
    public var stopStrings: [String]
    public var stopTokenIDs: [Int32]
    /// Generates past the model's end-of-sequence tokens: for measurements.
    public var ignoreEndOfSequence: Bool
    /// Tokens of a choice before which no end-of-sequence token and no stop token is chosen.
    public var minimumTokens: UInt32 = 0
    /// Nil asks for none.
    public var logProbabilities: LogProbabilityOptions?
    /// What the model computes for each token, beside its text; nil asks for none.
    public var tensors: TensorRequest?
    /// It changes the speed and never the text.
    public var speculation = SpeculationMode.automatic
    /// Prompts are found in the cache only by requests with the same salt and tenant; empty: by all without a salt.
    public var cacheSalt = ""
    /// Nil: the request shares nothing with others but the prefix cache.
    public var session: SessionUse?
    /// The name of a loaded adapter; nil is the model alone.
    public var adapter: String?
    public var crossAttention: CrossAttention?
    /// Who asked: fairness in the queue is per tenant.
    public var tenant: String
    /// Higher goes first.
    public var priority: Int8
    /// Monotonic clock, nanoseconds; 0 is none.
    public var deadline: UInt64

    public init(
        inputs: [Input], choices: UInt32 = 1, maximumTokens: UInt32? = nil,
        sampling: SamplingParameters = SamplingParameters(), stopStrings: [String] = [], stopTokenIDs: [Int32] = [],
        ignoreEndOfSequence: Bool = false, tenant: String = "", priority: Int8 = 0, deadline: UInt64 = 0
    ) {
        self.inputs = inputs
        self.choices = choices
        self.maximumTokens = maximumTokens
        self.sampling = sampling
        self.stopStrings = stopStrings
        self.stopTokenIDs = stopTokenIDs
        self.ignoreEndOfSequence = ignoreEndOfSequence
        self.tenant = tenant
        self.priority = priority
        self.deadline = deadline
    }
}

/// Which rows come as `EngineEvent.tensor`, one for every position that is computed.
///
/// Prompts are computed whole, without the prefix cache, and without drafts, so that no row is missing.
public struct TensorRequest: Sendable, Equatable {
    public enum Kind: UInt8, Sendable {
        /// The normalised output of the last layer: what the output matrix is multiplied with.
        case hiddenStates = 0
        /// The output of the model as it is, before any sampling parameter changes it.
        case logits = 1
    }

    public var kind: Kind
    /// Bytes of rows that the receiver takes before it says `EngineRequest.credit`.
    ///
    /// Nothing is computed while they are used up; the last row may exceed them.
    public var credit: UInt64

    public init(kind: Kind, credit: UInt64) {
        self.kind = kind
        self.credit = credit
    }
}

/// Where draft tokens come from: guesses that the model confirms several at a time.
public enum SpeculationMode: UInt8, Sendable {
    case off = 0
    /// From what the prompt and the answer said before.
    case ngram = 1
    /// From wherever more is expected: the text so far, or a draft model if one is loaded.
    case automatic = 2
    /// From the draft model alone.
    case model = 3

    public var usesText: Bool { self == .ngram || self == .automatic }
    public var usesModel: Bool { self == .model || self == .automatic }
}

/// Which log-probabilities come with the tokens.
public struct LogProbabilityOptions: Sendable, Equatable {
    public enum Stage: UInt8, Sendable {
        /// The model's own distribution.
        case model = 0
        /// The one that was drawn from, after penalties, temperature and filters.
        case sampling = 1
    }

    /// The likeliest tokens that are told beside the chosen one.
    public var top: UInt32
    public var stage: Stage

    public init(top: UInt32 = 0, stage: Stage = .model) {
        self.top = top
        self.stage = stage
    }
}

/// A conversation for the model's chat template.
///
/// JSON travels as text, because templates see any member that a client sends.
public struct ChatInput: Sendable, Equatable {
    /// A JSON array of messages.
    public var messagesJSON: String
    /// A JSON array of tool definitions, or nil.
    public var toolsJSON: String?
    /// Replaces the model's template.
    public var templateOverride: String?
    /// A JSON object of further template variables, or nil.
    public var variablesJSON: String?
    public var addGenerationPrompt: Bool

    public init(
        messagesJSON: String, toolsJSON: String? = nil, templateOverride: String? = nil, variablesJSON: String? = nil,
        addGenerationPrompt: Bool = true
    ) {
        self.messagesJSON = messagesJSON
        self.toolsJSON = toolsJSON
        self.templateOverride = templateOverride
        self.variablesJSON = variablesJSON
        self.addGenerationPrompt = addGenerationPrompt
    }
}

/// How the next token is chosen.
///
/// The defaults change nothing: plain sampling at temperature 1.
public struct SamplingParameters: Sendable, Equatable {
    /// 0 is greedy.
    public var temperature: Float
    public var topP: Float
    /// 0 is off.
    public var topK: UInt32
    public var minP: Float
    /// 1 is off.
    public var typicalP: Float = 1
    /// 0 is off.
    public var topNSigma: Float = 0
    /// 0 is off.
    public var xtcProbability: Float = 0
    public var xtcThreshold: Float = 0.1
    /// To both sides of the temperature; 0 is off.
    public var dynamicTemperatureRange: Float = 0
    public var dynamicTemperatureExponent: Float = 1
    public var dry = DRYParameters()
    public var mirostat = MirostatParameters()
    /// Over prompt and answer; 1 is off.
    public var repetitionPenalty: Float
    /// Over the answer.
    public var presencePenalty: Float
    /// Over the answer.
    public var frequencyPenalty: Float
    public var logitBias: [LogitBias]
    /// The same seed, choice and position draw the same number.
    public var seed: UInt64

    public init(
        temperature: Float = 1, topP: Float = 1, topK: UInt32 = 0, minP: Float = 0, repetitionPenalty: Float = 1,
        presencePenalty: Float = 0, frequencyPenalty: Float = 0, logitBias: [LogitBias] = [], seed: UInt64 = 0
    ) {
        self.temperature = temperature
        self.topP = topP
        self.topK = topK
        self.minP = minP
        self.repetitionPenalty = repetitionPenalty
        self.presencePenalty = presencePenalty
        self.frequencyPenalty = frequencyPenalty
        self.logitBias = logitBias
        self.seed = seed
    }
}

/// The penalty against repeated sequences.
public struct DRYParameters: Sendable, Equatable {
    /// 0 is off.
    public var multiplier: Float = 0
    public var base: Float = 1.75
    public var allowedLength: UInt32 = 2
    /// Tokens that are looked at; nil is all of them.
    public var window: UInt32?
    public var breakers: [String] = []

    public init() {}
}

/// The control of an answer's surprise.
public struct MirostatParameters: Sendable, Equatable {
    public enum Version: UInt8, Sendable {
        case off = 0
        case one = 1
        case two = 2
    }

    public var version = Version.off
    /// Bits for each token.
    public var target: Float = 5
    public var rate: Float = 0.1

    public init() {}
}

public struct LogitBias: Sendable, Equatable {
    public var token: Int32
    public var bias: Float

    public init(token: Int32, bias: Float) {
        self.token = token
        self.bias = bias
    }
}

/// One vector for each input, made of the hidden states of its positions.
public struct EmbedRequest: Sendable, Equatable {
    public enum Pooling: UInt8, Sendable {
        /// The last position's, which has seen all others.
        case last = 0
        /// The mean over all positions.
        case mean = 1
        case first = 2
    }

    public var inputs: [GenerateRequest.Input]
    public var pooling: Pooling
    /// Scales each vector to length 1.
    public var normalizes: Bool
    /// Who asked: fairness in the queue is per tenant.
    public var tenant: String
    /// Higher goes first.
    public var priority: Int8
    /// Monotonic clock, nanoseconds; 0 is none.
    public var deadline: UInt64

    public init(
        inputs: [GenerateRequest.Input], pooling: Pooling = .last, normalizes: Bool = true, tenant: String = "",
        priority: Int8 = 0, deadline: UInt64 = 0
    ) {
        self.inputs = inputs
        self.pooling = pooling
        self.normalizes = normalizes
        self.tenant = tenant
        self.priority = priority
        self.deadline = deadline
    }
}

/// Mean negative log-likelihood of a text, cut into windows that are scored alone.
public struct ScoreRequest: Sendable, Equatable {
    public var text: String
    /// Tokens per window; nil is the context length.
    public var window: UInt32?

    public init(text: String, window: UInt32? = nil) {
        self.text = text
        self.window = window
    }
}

public struct TokenizeRequest: Sendable, Equatable {
    public var text: String
    /// Adds the model's BOS and EOS where the model asks for them.
    public var addSpecial: Bool
    /// Recognises the text of special tokens such as `<|im_start|>`.
    public var parseSpecial: Bool

    public init(text: String, addSpecial: Bool = true, parseSpecial: Bool = true) {
        self.text = text
        self.addSpecial = addSpecial
        self.parseSpecial = parseSpecial
    }
}
