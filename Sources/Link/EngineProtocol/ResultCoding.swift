// A result is: u16 code, u16 zero, range of the code's structure.

private enum ResultCode: UInt16 {
    case loaded = 0
    case inspected = 1
    case scored = 2
    case tokenized = 3
    case detokenized = 4
    case rendered = 5
    case embedded = 6
    case session = 7
    case done = 8

    var size: Int {
        switch self {
        case .loaded: 124
        case .scored: 16
        case .embedded: PayloadWriter.tensorSize + 4
        case .session: PayloadWriter.sessionStateSize
        case .done: 0
        case .inspected, .tokenized, .detokenized, .rendered: 8
        }
    }

    init(_ result: EngineResult) {
        switch result {
        case .loaded: self = .loaded
        case .inspected: self = .inspected
        case .scored: self = .scored
        case .tokenized: self = .tokenized
        case .detokenized: self = .detokenized
        case .rendered: self = .rendered
        case .embedded: self = .embedded
        case .session: self = .session
        case .done: self = .done
        }
    }
}

extension PayloadWriter {
    mutating func result(_ result: EngineResult) {
        let code = ResultCode(result)
        integer(code.rawValue)
        zeros(2)
        structure("result", size: code.size) { $0.body(of: result) }
    }

    private mutating func body(of result: EngineResult) {
        let limit = EngineProtocolLimits.payloadBytes
        switch result {
        case .loaded(let description): model(description)
        case .inspected(let json): text("json", json, limit: limit)
        case .scored(let tokens, let negativeLogLikelihood):
            integer(tokens)
            integer(negativeLogLikelihood.bitPattern)
        case .tokenized(let ids): tokenIDs("ids", ids)
        case .detokenized(let bytes): raw("bytes", bytes, limit: limit)
        case .rendered(let text): self.text("text", text, limit: limit)
        case .embedded(let vectors, let promptTokens):
            tensor("embedded", vectors)
            integer(promptTokens)
        case .session(let state): sessionState(state)
        case .done: break
        }
    }

    private mutating func model(_ model: ModelDescription) {
        text("architecture", model.architecture, limit: EngineProtocolLimits.nameBytes)
        text("name", model.name, limit: EngineProtocolLimits.nameBytes)
        integer(model.parameterCount)
        integer(model.vocabularySize)
        integer(model.embeddingWidth)
        integer(model.contextLength)
        integer(model.trainedContextLength)
        integer(model.parallel)
        integer(model.threads)
        flag(model.hasChatTemplate)
        integer(model.compute.cacheType.rawValue)
        zeros(2)
        integer(model.weightBytes)
        integer(model.keyValueCacheBytes)
        integer(model.memoryBytes)
        integer(model.loadNanoseconds)
        integer(model.compute.operationsPerToken)
        integer(model.compute.bytesPerStep)
        integer(model.compute.byteOperationsPerSecond.bitPattern)
        integer(model.compute.readBytesPerSecond.bitPattern)
        text("instructionSet", model.compute.instructionSet, limit: EngineProtocolLimits.nameBytes)
    }
}

extension PayloadReader {
    mutating func result() throws(CodecError) -> EngineResult {
        let code: ResultCode = try choice("result")
        try zeros("result", 2)
        return try structure("result", size: code.size) {
            (reader: inout PayloadReader) throws(CodecError) in try reader.body(of: code)
        }
    }

    private mutating func body(of code: ResultCode) throws(CodecError) -> EngineResult {
        let limit = EngineProtocolLimits.payloadBytes
        switch code {
        case .loaded: return .loaded(try model())
        case .inspected: return .inspected(json: try text("json", limit: limit))
        case .scored:
            let tokens: UInt64 = try integer("tokens")
            return .scored(
                tokens: tokens, negativeLogLikelihood: Double(bitPattern: try integer("negativeLogLikelihood")))
        case .tokenized: return .tokenized(ids: try tokenIDs("ids"))
        case .detokenized: return .detokenized(bytes: try raw("bytes", limit: limit))
        case .rendered: return .rendered(text: try text("text", limit: limit))
        case .session: return .session(try sessionState())
        case .done: return .done
        case .embedded: return .embedded(try tensor("embedded"), promptTokens: try integer("promptTokens"))
        }
    }

    private mutating func model() throws(CodecError) -> ModelDescription {
        let architecture = try text("architecture", limit: EngineProtocolLimits.nameBytes)
        let name = try text("name", limit: EngineProtocolLimits.nameBytes)
        let parameterCount: UInt64 = try integer("parameterCount")
        let vocabularySize: UInt32 = try integer("vocabularySize")
        let embeddingWidth: UInt32 = try integer("embeddingWidth")
        let contextLength: UInt32 = try integer("contextLength")
        let trainedContextLength: UInt32 = try integer("trainedContextLength")
        let parallel: UInt32 = try integer("parallel")
        let threads: UInt32 = try integer("threads")
        let hasChatTemplate = try flag("hasChatTemplate")
        let cacheType: LoadRequest.CacheType = try choice("cacheType")
        try zeros("cacheType", 2)
        return ModelDescription(
            architecture: architecture, name: name, parameterCount: parameterCount, vocabularySize: vocabularySize,
            embeddingWidth: embeddingWidth, contextLength: contextLength, trainedContextLength: trainedContextLength,
            parallel: parallel,
            threads: threads, weightBytes: try integer("weightBytes"),
            keyValueCacheBytes: try integer("keyValueCacheBytes"), memoryBytes: try integer("memoryBytes"),
            hasChatTemplate: hasChatTemplate, loadNanoseconds: try integer("loadNanoseconds"),
            compute: try compute(cacheType))
    }

    private mutating func compute(_ cacheType: LoadRequest.CacheType) throws(CodecError) -> ComputeDescription {
        let operations: UInt64 = try integer("operationsPerToken")
        let bytes: UInt64 = try integer("bytesPerStep")
        let byteOperations: UInt64 = try integer("byteOperationsPerSecond")
        let readBytes: UInt64 = try integer("readBytesPerSecond")
        return ComputeDescription(
            instructionSet: try text("instructionSet", limit: EngineProtocolLimits.nameBytes), cacheType: cacheType,
            operationsPerToken: operations, bytesPerStep: bytes,
            byteOperationsPerSecond: Double(bitPattern: byteOperations),
            readBytesPerSecond: Double(bitPattern: readBytes))
    }
}
