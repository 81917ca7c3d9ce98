// The structures of sessions and of what only some engines take, field by field. Reader and writer stand side by side;
// the order of the lines is the order of the bytes.

// MARK: Sessions

extension PayloadWriter {
    static let sessionUseSize = 16
    static let sessionChangeSize = 20
    static let sessionStateSize = 12

    mutating func session(_ id: SessionID) { integer(id.rawValue) }

    mutating func sessionUse(_ use: SessionUse) {
        session(use.id)
        flag(use.keepsHistory)
        flag(use.savesCache)
        zeros(2)
        integer(use.contextLength ?? 0)
    }

    mutating func sessionChange(_ change: SessionChange, of id: SessionID) {
        session(id)
        switch change {
        case .clear(let keepsSystemPrompt):
            integer(ChangeCode.clear.rawValue)
            flag(keepsSystemPrompt)
            zeros(10)
        case .clearRange(let first, let end):
            integer(ChangeCode.clearRange.rawValue)
            zeros(3)
            integer(first)
            integer(end)
        case .loadCache:
            integer(ChangeCode.loadCache.rawValue)
            zeros(11)
        case .releaseCache:
            integer(ChangeCode.releaseCache.rawValue)
            zeros(11)
        }
    }

    mutating func sessionState(_ state: SessionState) {
        integer(state.positions)
        integer(state.cachedPositions)
        flag(state.isPaused)
        zeros(3)
    }
}

extension PayloadReader {
    mutating func session() throws(CodecError) -> SessionID { SessionID(rawValue: try integer("session")) }

    mutating func sessionUse() throws(CodecError) -> SessionUse {
        var use = SessionUse(
            id: try session(), keepsHistory: try flag("keepsHistory"), savesCache: try flag("savesCache"))
        try zeros("session", 2)
        let contextLength: UInt32 = try integer("contextLength")
        use.contextLength = contextLength == 0 ? nil : contextLength
        return use
    }

    mutating func sessionChange() throws(CodecError) -> (SessionID, SessionChange) {
        let id = try session()
        let code: ChangeCode = try choice("change")
        switch code {
        case .clear:
            let keepsSystemPrompt = try flag("keepsSystemPrompt")
            try zeros("change", 10)
            return (id, .clear(keepsSystemPrompt: keepsSystemPrompt))
        case .clearRange:
            try zeros("change", 3)
            return (id, .clearRange(first: try integer("first"), end: try integer("end")))
        case .loadCache:
            try zeros("change", 11)
            return (id, .loadCache)
        case .releaseCache:
            try zeros("change", 11)
            return (id, .releaseCache)
        }
    }

    mutating func sessionState() throws(CodecError) -> SessionState {
        let state = SessionState(
            positions: try integer("positions"), cachedPositions: try integer("cachedPositions"),
            isPaused: try flag("isPaused"))
        try zeros("isPaused", 3)
        return state
    }
}

private enum ChangeCode: UInt8 {
    case clear = 0
    case clearRange = 1
    case loadCache = 2
    case releaseCache = 3
}

// MARK: What only some engines take

extension PayloadWriter {
    static let multimodalSize = 16
    fileprivate static let mediaSize = 64
    static let crossAttentionSize = 3 * tensorSize + 8
    static let runtimeOptionsSize = 16
    static let runtimeFiguresSize = 20

    mutating func multimodal(_ input: MultimodalInput) {
        text("prompt", input.prompt, limit: EngineProtocolLimits.payloadBytes)
        list("media", input.media, elementSize: Self.mediaSize, limit: EngineProtocolLimits.media) { $0.media($1) }
    }

    private mutating func media(_ media: MultimodalInput.Media) {
        integer(media.kind.rawValue)
        zeros(3)
        integer(media.count)
        integer(media.framesPerItem)
        integer(media.tokensPerFrame)
        integer(media.width)
        integer(media.height)
        text("startTag", media.startTag, limit: EngineProtocolLimits.nameBytes)
        text("endTag", media.endTag, limit: EngineProtocolLimits.nameBytes)
        text("contentTag", media.contentTag, limit: EngineProtocolLimits.nameBytes)
        tensor("media", media.embeddings)
    }

    mutating func crossAttention(_ input: CrossAttention) {
        tensor("keys", input.keys)
        tensor("values", input.values)
        tensor("mask", input.mask)
        tokenIDs("positions", input.positions)
    }

    mutating func adapter(_ request: AdapterRequest) {
        text("name", request.name, limit: EngineProtocolLimits.nameBytes)
        float("scale", request.scale)
    }

    mutating func runtimeOptions(_ options: RuntimeOptions) {
        optional(options.baseDomain)
        flag(options.readsEmbeddingsFromStorage)
        integer(options.processors)
        integer(options.batch)
        flag(options.usesCrossAttention)
        integer(options.processorMask)
    }

    mutating func runtimeFigures(_ figures: RuntimeFigures) {
        float("prefillMilliseconds", figures.prefillMilliseconds)
        integer(figures.prefillTokens)
        float("generateMilliseconds", figures.generateMilliseconds)
        integer(figures.generateTokens)
        float("memoryMegabytes", figures.memoryMegabytes)
    }
}

extension PayloadReader {
    mutating func multimodal() throws(CodecError) -> MultimodalInput {
        let prompt = try text("prompt", limit: EngineProtocolLimits.payloadBytes)
        let media = try list("media", elementSize: PayloadWriter.mediaSize, limit: EngineProtocolLimits.media) {
            reader throws(CodecError) in try reader.media()
        }
        return MultimodalInput(prompt: prompt, media: media)
    }

    private mutating func media() throws(CodecError) -> MultimodalInput.Media {
        let kind: MultimodalInput.Media.Kind = try choice("kind")
        try zeros("kind", 3)
        return MultimodalInput.Media(
            kind: kind, count: try integer("count"), framesPerItem: try integer("framesPerItem"),
            tokensPerFrame: try integer("tokensPerFrame"), width: try integer("width"), height: try integer("height"),
            startTag: try text("startTag", limit: EngineProtocolLimits.nameBytes),
            endTag: try text("endTag", limit: EngineProtocolLimits.nameBytes),
            contentTag: try text("contentTag", limit: EngineProtocolLimits.nameBytes), embeddings: try tensor("media"))
    }

    mutating func crossAttention() throws(CodecError) -> CrossAttention {
        CrossAttention(
            keys: try tensor("keys"), values: try tensor("values"), mask: try tensor("mask"),
            positions: try tokenIDs("positions"))
    }

    mutating func adapter() throws(CodecError) -> AdapterRequest {
        AdapterRequest(name: try text("name", limit: EngineProtocolLimits.nameBytes), scale: try float("scale"))
    }

    mutating func runtimeOptions() throws(CodecError) -> RuntimeOptions {
        RuntimeOptions(
            baseDomain: try optional("baseDomain"), readsEmbeddingsFromStorage: try flag("readsEmbeddingsFromStorage"),
            processors: try integer("processors"), batch: try integer("batch"),
            usesCrossAttention: try flag("usesCrossAttention"), processorMask: try integer("processorMask"))
    }

    mutating func runtimeFigures() throws(CodecError) -> RuntimeFigures {
        RuntimeFigures(
            prefillMilliseconds: try float("prefillMilliseconds"), prefillTokens: try integer("prefillTokens"),
            generateMilliseconds: try float("generateMilliseconds"), generateTokens: try integer("generateTokens"),
            memoryMegabytes: try float("memoryMegabytes"))
    }
}
