// The structures of hello and of the requests, field by field. Reader and writer stand side by side; the order of the
// lines is the order of the bytes.

extension PayloadWriter {
    mutating func hello(_ hello: Hello) {
        integer(hello.role.rawValue)
        zeros(3)
        integer(hello.buildID)
    }

    mutating func request(_ request: EngineRequest) {
        switch request {
        case .load(let load): self.load(load)
        case .inspect, .cancel, .pause: break
        case .credit(let bytes): integer(bytes)
        case .embed(let embed): self.embed(embed)
        case .generate(let generate): self.generate(generate)
        case .score(let score): self.score(score)
        case .tokenize(let tokenize): self.tokenize(tokenize)
        case .detokenize(let ids): tokenIDs("ids", ids)
        case .renderTemplate(let chat): chatInput(chat)
        case .openSession(let id), .closeSession(let id): session(id)
        case .changeSession(let id, let change): sessionChange(change, of: id)
        case .loadAdapter(let adapter): self.adapter(adapter)
        case .unloadAdapter(let name): text("name", name, limit: EngineProtocolLimits.nameBytes)
        }
    }
}

extension PayloadReader {
    mutating func hello() throws(CodecError) -> Hello {
        let role: Hello.Role = try choice("role")
        try zeros("role", 3)
        return Hello(role: role, buildID: try integer("buildID"))
    }
}

// MARK: load

private enum SourceCode: UInt8 {
    case descriptors = 0
    case bundledDemo = 1
    /// Of a draft model alone.
    case none = 255

    init(_ source: LoadRequest.Source?) {
        switch source {
        case .descriptors?: self = .descriptors
        case .bundledDemo?: self = .bundledDemo
        case nil: self = .none
        }
    }
}

extension PayloadWriter {
    mutating func load(_ load: LoadRequest) {
        if load.descriptorCount > EngineProtocolLimits.descriptors {
            let limit = EngineProtocolLimits.descriptors
            fail(.limitExceeded(field: "source", limit: limit, value: load.descriptorCount))
        }
        integer(SourceCode(load.source).rawValue)
        integer(load.purpose.rawValue)
        integer(load.cacheType.rawValue)
        integer(UInt8(load.measuresMachine ? 1 : 0))
        integer(UInt32(clamping: load.source.descriptorCount))
        integer(SourceCode(load.draftSource).rawValue)
        zeros(3)
        integer(UInt32(clamping: load.draftSource?.descriptorCount ?? 0))
        optional(load.contextLength)
        integer(load.parallel)
        integer(load.threads)
        integer(load.memoryLimit)
        text("displayName", load.displayName, limit: EngineProtocolLimits.nameBytes)
        structure("runtime", load.runtime, size: Self.runtimeOptionsSize) { $0.runtimeOptions($1) }
    }
}

extension PayloadReader {
    mutating func load() throws(CodecError) -> LoadRequest {
        let code: SourceCode = try choice("source")
        let purpose: LoadRequest.Purpose = try choice("purpose")
        let cacheType: LoadRequest.CacheType = try choice("cacheType")
        let measuresMachine = try flag("measuresMachine")
        guard let source = try source("source", code) else {
            throw .unknownValue(field: "source", value: UInt64(code.rawValue))
        }
        let draftCode: SourceCode = try choice("draftSource")
        try zeros("draftSource", 3)
        let draftSource = try self.source("draftSource", draftCode)
        let descriptors = source.descriptorCount + (draftSource?.descriptorCount ?? 0)
        guard descriptors <= EngineProtocolLimits.descriptors else {
            throw .limitExceeded(field: "source", limit: EngineProtocolLimits.descriptors, value: descriptors)
        }
        let contextLength = try optional("contextLength")
        let parallel: UInt32 = try integer("parallel")
        let threads: UInt32 = try integer("threads")
        let memoryLimit: UInt64 = try integer("memoryLimit")
        return LoadRequest(
            source: source, draftSource: draftSource, purpose: purpose,
            displayName: try text("displayName", limit: EngineProtocolLimits.nameBytes),
            contextLength: contextLength, parallel: parallel, threads: threads, cacheType: cacheType,
            memoryLimit: memoryLimit, measuresMachine: measuresMachine,
            runtime: try optionalStructure("runtime", size: PayloadWriter.runtimeOptionsSize) {
                (reader: inout PayloadReader) throws(CodecError) in try reader.runtimeOptions()
            })
    }

    /// The rest of a source: how many descriptors it has.
    private mutating func source(
        _ field: String, _ code: SourceCode
    ) throws(CodecError) -> LoadRequest.Source? {
        let count: UInt32 = try integer(field)
        if code == .descriptors { return .descriptors(count: count) }
        guard count == 0 else { throw .unknownValue(field: field, value: UInt64(count)) }
        return code == .bundledDemo ? .bundledDemo : nil
    }
}

// MARK: generate

private enum InputCode: UInt8 {
    case chat = 0
    case text = 1
    case ids = 2
    case embeddings = 3
    case resumed = 4
    case multimodal = 5
}

extension PayloadWriter {
    mutating func generate(_ request: GenerateRequest) {
        list("inputs", request.inputs, elementSize: 12, limit: EngineProtocolLimits.inputs) { $0.input($1) }
        if request.choices > EngineProtocolLimits.choices {
            fail(
                .limitExceeded(field: "choices", limit: EngineProtocolLimits.choices, value: Int(request.choices)))
        }
        integer(request.choices)
        optional(request.maximumTokens)
        flag(request.ignoreEndOfSequence)
        integer(request.priority)
        integer(request.speculation.rawValue)
        zeros(1)
        integer(request.deadline)
        integer(request.minimumTokens)
        logProbabilityOptions(request.logProbabilities)
        tensorOptions(request.tensors)
        sampling(request.sampling)
        list("stopStrings", request.stopStrings, elementSize: 8, limit: EngineProtocolLimits.stopStrings) {
            $0.text("stopStrings", $1, limit: EngineProtocolLimits.stopStringBytes)
        }
        tokenIDs("stopTokenIDs", request.stopTokenIDs, limit: EngineProtocolLimits.stopTokenIDs)
        text("tenant", request.tenant, limit: EngineProtocolLimits.nameBytes)
        text("cacheSalt", request.cacheSalt, limit: EngineProtocolLimits.nameBytes)
        structure("session", request.session, size: Self.sessionUseSize) { $0.sessionUse($1) }
        text("adapter", request.adapter, limit: EngineProtocolLimits.nameBytes)
        structure("crossAttention", request.crossAttention, size: Self.crossAttentionSize) { $0.crossAttention($1) }
    }

    private mutating func input(_ input: GenerateRequest.Input) {
        switch input {
        case .chat(let chat):
            integer(InputCode.chat.rawValue)
            zeros(3)
            structure("chat", size: Self.chatInputSize) { $0.chatInput(chat) }
        case .text(let text):
            integer(InputCode.text.rawValue)
            zeros(3)
            self.text("text", text, limit: EngineProtocolLimits.payloadBytes)
        case .ids(let ids):
            integer(InputCode.ids.rawValue)
            zeros(3)
            tokenIDs("ids", ids)
        case .embeddings(let rows):
            integer(InputCode.embeddings.rawValue)
            zeros(3)
            structure("embeddings", size: Self.tensorSize) { $0.tensor("embeddings", rows) }
        case .resumed:
            integer(InputCode.resumed.rawValue)
            zeros(11)
        case .multimodal(let input):
            integer(InputCode.multimodal.rawValue)
            zeros(3)
            structure("multimodal", size: Self.multimodalSize) { $0.multimodal(input) }
        }
    }

    private mutating func logProbabilityOptions(_ options: LogProbabilityOptions?) {
        if let top = options?.top, top > EngineProtocolLimits.topLogProbabilities {
            let limit = EngineProtocolLimits.topLogProbabilities
            fail(.limitExceeded(field: "logProbabilities", limit: limit, value: Int(top)))
        }
        optional(options?.top)
        integer((options?.stage ?? .model).rawValue)
        zeros(3)
    }

    private mutating func sampling(_ sampling: SamplingParameters) {
        float("temperature", sampling.temperature)
        float("topP", sampling.topP)
        integer(sampling.topK)
        float("minP", sampling.minP)
        float("repetitionPenalty", sampling.repetitionPenalty)
        float("presencePenalty", sampling.presencePenalty)
        float("frequencyPenalty", sampling.frequencyPenalty)
        float("typicalP", sampling.typicalP)
        float("topNSigma", sampling.topNSigma)
        float("xtcProbability", sampling.xtcProbability)
        float("xtcThreshold", sampling.xtcThreshold)
        float("dynamicTemperatureRange", sampling.dynamicTemperatureRange)
        float("dynamicTemperatureExponent", sampling.dynamicTemperatureExponent)
        dry(sampling.dry)
        integer(sampling.mirostat.version.rawValue)
        zeros(3)
        float("mirostat", sampling.mirostat.target)
        float("mirostat", sampling.mirostat.rate)
        integer(sampling.seed)
        list("logitBias", sampling.logitBias, elementSize: 8, limit: EngineProtocolLimits.logitBiases) {
            $0.integer($1.token)
            $0.float("logitBias", $1.bias)
        }
    }

    private mutating func dry(_ dry: DRYParameters) {
        float("dry", dry.multiplier)
        float("dry", dry.base)
        integer(dry.allowedLength)
        optional(dry.window)
        list("breakers", dry.breakers, elementSize: 8, limit: EngineProtocolLimits.sequenceBreakers) {
            $0.text("breakers", $1, limit: EngineProtocolLimits.sequenceBreakerBytes)
        }
    }
}

extension PayloadReader {
    mutating func generate() throws(CodecError) -> GenerateRequest {
        let inputs = try list(
            "inputs", elementSize: 12, limit: EngineProtocolLimits.inputs, Self.input)
        var request = GenerateRequest(inputs: inputs)
        request.choices = try integer("choices")
        guard request.choices <= EngineProtocolLimits.choices else {
            throw .limitExceeded(
                field: "choices", limit: EngineProtocolLimits.choices, value: Int(request.choices))
        }
        request.maximumTokens = try optional("maximumTokens")
        request.ignoreEndOfSequence = try flag("ignoreEndOfSequence")
        request.priority = try integer("priority")
        request.speculation = try choice("speculation")
        try zeros("speculation", 1)
        request.deadline = try integer("deadline")
        request.minimumTokens = try integer("minimumTokens")
        request.logProbabilities = try logProbabilityOptions()
        request.tensors = try tensorOptions()
        request.sampling = try sampling()
        request.stopStrings = try list(
            "stopStrings", elementSize: 8, limit: EngineProtocolLimits.stopStrings, Self.stopString)
        request.stopTokenIDs = try tokenIDs("stopTokenIDs", limit: EngineProtocolLimits.stopTokenIDs)
        request.tenant = try text("tenant", limit: EngineProtocolLimits.nameBytes)
        request.cacheSalt = try text("cacheSalt", limit: EngineProtocolLimits.nameBytes)
        request.session = try optionalStructure("session", size: PayloadWriter.sessionUseSize) {
            (reader: inout PayloadReader) throws(CodecError) in try reader.sessionUse()
        }
        request.adapter = try optionalText("adapter", limit: EngineProtocolLimits.nameBytes)
        request.crossAttention = try optionalStructure("crossAttention", size: PayloadWriter.crossAttentionSize) {
            (reader: inout PayloadReader) throws(CodecError) in try reader.crossAttention()
        }
        return request
    }

    fileprivate static func input(_ reader: inout PayloadReader) throws(CodecError) -> GenerateRequest.Input {
        let code: InputCode = try reader.choice("inputs")
        try reader.zeros("inputs", 3)
        switch code {
        case .chat:
            return .chat(
                try reader.structure("chat", size: PayloadWriter.chatInputSize) {
                    (reader: inout PayloadReader) throws(CodecError) in try reader.chatInput()
                })
        case .text: return .text(try reader.text("text", limit: EngineProtocolLimits.payloadBytes))
        case .ids: return .ids(try reader.tokenIDs("ids"))
        case .embeddings:
            return .embeddings(
                try reader.structure("embeddings", size: PayloadWriter.tensorSize) {
                    (reader: inout PayloadReader) throws(CodecError) in try reader.tensor("embeddings")
                })
        case .resumed:
            try reader.zeros("resumed", 8)
            return .resumed
        case .multimodal:
            return .multimodal(
                try reader.structure("multimodal", size: PayloadWriter.multimodalSize) {
                    (reader: inout PayloadReader) throws(CodecError) in try reader.multimodal()
                })
        }
    }

    private static func stopString(_ reader: inout PayloadReader) throws(CodecError) -> String {
        try reader.text("stopStrings", limit: EngineProtocolLimits.stopStringBytes)
    }

    private mutating func logProbabilityOptions() throws(CodecError) -> LogProbabilityOptions? {
        let top = try optional("logProbabilities")
        let stage: LogProbabilityOptions.Stage = try choice("logProbabilities")
        try zeros("logProbabilities", 3)
        guard let top else {
            guard stage == .model else { throw .unknownValue(field: "logProbabilities", value: UInt64(stage.rawValue)) }
            return nil
        }
        guard top <= EngineProtocolLimits.topLogProbabilities else {
            let limit = EngineProtocolLimits.topLogProbabilities
            throw .limitExceeded(field: "logProbabilities", limit: limit, value: Int(top))
        }
        return LogProbabilityOptions(top: top, stage: stage)
    }

    private mutating func sampling() throws(CodecError) -> SamplingParameters {
        var sampling = SamplingParameters()
        sampling.temperature = try float("temperature")
        sampling.topP = try float("topP")
        sampling.topK = try integer("topK")
        sampling.minP = try float("minP")
        sampling.repetitionPenalty = try float("repetitionPenalty")
        sampling.presencePenalty = try float("presencePenalty")
        sampling.frequencyPenalty = try float("frequencyPenalty")
        sampling.typicalP = try float("typicalP")
        sampling.topNSigma = try float("topNSigma")
        sampling.xtcProbability = try float("xtcProbability")
        sampling.xtcThreshold = try float("xtcThreshold")
        sampling.dynamicTemperatureRange = try float("dynamicTemperatureRange")
        sampling.dynamicTemperatureExponent = try float("dynamicTemperatureExponent")
        sampling.dry = try dry()
        sampling.mirostat.version = try choice("mirostat")
        try zeros("mirostat", 3)
        sampling.mirostat.target = try float("mirostat")
        sampling.mirostat.rate = try float("mirostat")
        sampling.seed = try integer("seed")
        sampling.logitBias = try list(
            "logitBias", elementSize: 8, limit: EngineProtocolLimits.logitBiases, Self.logitBias)
        return sampling
    }

    private mutating func dry() throws(CodecError) -> DRYParameters {
        var dry = DRYParameters()
        dry.multiplier = try float("dry")
        dry.base = try float("dry")
        dry.allowedLength = try integer("dry")
        dry.window = try optional("dry")
        dry.breakers = try list(
            "breakers", elementSize: 8, limit: EngineProtocolLimits.sequenceBreakers, Self.breaker)
        return dry
    }

    private static func breaker(_ reader: inout PayloadReader) throws(CodecError) -> String {
        try reader.text("breakers", limit: EngineProtocolLimits.sequenceBreakerBytes)
    }

    private static func logitBias(_ reader: inout PayloadReader) throws(CodecError) -> LogitBias {
        LogitBias(token: try reader.integer("logitBias"), bias: try reader.float("logitBias"))
    }
}

// MARK: embed

extension PayloadWriter {
    mutating func embed(_ request: EmbedRequest) {
        list("inputs", request.inputs, elementSize: 12, limit: EngineProtocolLimits.inputs) { $0.input($1) }
        integer(request.pooling.rawValue)
        flag(request.normalizes)
        integer(request.priority)
        zeros(1)
        integer(request.deadline)
        text("tenant", request.tenant, limit: EngineProtocolLimits.nameBytes)
    }
}

extension PayloadReader {
    mutating func embed() throws(CodecError) -> EmbedRequest {
        let inputs = try list("inputs", elementSize: 12, limit: EngineProtocolLimits.inputs, Self.input)
        let pooling: EmbedRequest.Pooling = try choice("pooling")
        let normalizes = try flag("normalizes")
        let priority: Int8 = try integer("priority")
        try zeros("priority", 1)
        let deadline: UInt64 = try integer("deadline")
        return EmbedRequest(
            inputs: inputs, pooling: pooling, normalizes: normalizes,
            tenant: try text("tenant", limit: EngineProtocolLimits.nameBytes), priority: priority, deadline: deadline)
    }
}

// MARK: Chat input, score, tokenize

extension PayloadWriter {
    static let chatInputSize = 36

    mutating func chatInput(_ chat: ChatInput) {
        text("messages", chat.messagesJSON, limit: EngineProtocolLimits.payloadBytes)
        text("tools", chat.toolsJSON, limit: EngineProtocolLimits.payloadBytes)
        text("templateOverride", chat.templateOverride, limit: EngineProtocolLimits.payloadBytes)
        text("variables", chat.variablesJSON, limit: EngineProtocolLimits.payloadBytes)
        flag(chat.addGenerationPrompt)
        zeros(3)
    }

    mutating func score(_ request: ScoreRequest) {
        text("text", request.text, limit: EngineProtocolLimits.payloadBytes)
        optional(request.window)
    }

    mutating func tokenize(_ request: TokenizeRequest) {
        text("text", request.text, limit: EngineProtocolLimits.payloadBytes)
        flag(request.addSpecial)
        flag(request.parseSpecial)
        zeros(2)
    }
}

extension PayloadReader {
    mutating func chatInput() throws(CodecError) -> ChatInput {
        let limit = EngineProtocolLimits.payloadBytes
        var chat = ChatInput(messagesJSON: try text("messages", limit: limit))
        chat.toolsJSON = try optionalText("tools", limit: limit)
        chat.templateOverride = try optionalText("templateOverride", limit: limit)
        chat.variablesJSON = try optionalText("variables", limit: limit)
        chat.addGenerationPrompt = try flag("addGenerationPrompt")
        try zeros("addGenerationPrompt", 3)
        return chat
    }

    mutating func score() throws(CodecError) -> ScoreRequest {
        let text = try text("text", limit: EngineProtocolLimits.payloadBytes)
        return ScoreRequest(text: text, window: try optional("window"))
    }

    mutating func tokenize() throws(CodecError) -> TokenizeRequest {
        var request = TokenizeRequest(text: try text("text", limit: EngineProtocolLimits.payloadBytes))
        request.addSpecial = try flag("addSpecial")
        request.parseSpecial = try flag("parseSpecial")
        try zeros("parseSpecial", 2)
        return request
    }
}
