// The structures of the events, field by field. Reader and writer stand side by side; the order of the lines is the
// order of the bytes. Each element of a batch is: u64 call, u16 kind, u16 zero, range of the kind's structure.

private enum EventCode: UInt16 {
    case accepted = 0
    case started = 1
    case tokens = 2
    case choiceFinished = 3
    case finished = 4
    case failed = 5
    case result = 6
    case statistics = 7
    case tensor = 8

    var size: Int {
        switch self {
        case .accepted, .choiceFinished: 8
        case .started: 4
        case .tokens: 32
        case .finished: 64
        case .failed, .result: 12
        case .statistics: 128
        case .tensor: 12 + PayloadWriter.tensorSize
        }
    }
}

extension PayloadWriter {
    mutating func events(_ events: [(CallID, EngineEvent)]) {
        list("events", events, elementSize: 20, limit: EngineProtocolLimits.events) { writer, event in
            let (call, event) = event
            let code = EventCode(event)
            writer.integer(call.rawValue)
            writer.integer(code.rawValue)
            writer.zeros(2)
            writer.structure("event", size: code.size) { $0.body(of: event) }
        }
    }

    private mutating func body(of event: EngineEvent) {
        switch event {
        case .accepted(let promptTokens, let queuePosition):
            integer(promptTokens)
            integer(queuePosition)
        case .started(let cachedTokens): integer(cachedTokens)
        case .tokens(let chunk): tokens(chunk)
        case .choiceFinished(let choice, let reason):
            integer(choice)
            integer(reason.rawValue)
            zeros(3)
        case .finished(let usage, let timings): finished(usage, timings)
        case .failed(let error): self.error(error)
        case .result(let result): self.result(result)
        case .statistics(let statistics): self.statistics(statistics)
        case .tensor(let chunk): tensorChunk(chunk)
        }
    }

    private mutating func tokens(_ chunk: TokenChunk) {
        integer(chunk.choice)
        integer(chunk.kind.rawValue)
        zeros(3)
        tokenIDs("ids", chunk.ids)
        text("text", chunk.text, limit: EngineProtocolLimits.payloadBytes)
        list(
            "logProbabilities", chunk.logProbabilities, elementSize: Self.logProbabilitiesSize,
            limit: EngineProtocolLimits.tokenIDs
        ) { writer, entry in
            writer.logProbability(entry.chosen)
            writer.list(
                "logProbabilities", entry.top, elementSize: Self.logProbabilitySize,
                limit: EngineProtocolLimits.topLogProbabilities
            ) { $0.logProbability($1) }
        }
    }

    fileprivate static let logProbabilitySize = 16
    fileprivate static let logProbabilitiesSize = logProbabilitySize + 8

    private mutating func logProbability(_ value: TokenLogProbability) {
        integer(value.id)
        float("logProbability", value.logProbability)
        raw("bytes", value.bytes, limit: EngineProtocolLimits.payloadBytes)
    }

    private mutating func finished(_ usage: Usage, _ timings: Timings) {
        integer(usage.promptTokens)
        integer(usage.completionTokens)
        integer(usage.cachedTokens)
        integer(usage.acceptedDraftTokens)
        integer(usage.rejectedDraftTokens)
        zeros(4)
        integer(timings.preparation)
        integer(timings.queue)
        integer(timings.prefill)
        integer(timings.decode)
        structure("runtime", timings.runtime, size: Self.runtimeFiguresSize) { $0.runtimeFigures($1) }
    }

    private mutating func statistics(_ statistics: WorkerStatistics) {
        integer(statistics.takenAt)
        integer(statistics.sequencesRunning)
        integer(statistics.sequencesWaiting)
        integer(statistics.cacheBlocksUsed)
        integer(statistics.cacheBlocksIdle)
        integer(statistics.cacheBlocks)
        integer(statistics.promptTokens)
        integer(statistics.cachedTokens)
        integer(statistics.generatedTokens)
        integer(statistics.steps)
        integer(statistics.stepNanoseconds)
        integer(statistics.cancelled)
        integer(statistics.preemptions)
        integer(statistics.draftTokens)
        integer(statistics.acceptedDraftTokens)
        integer(statistics.modelDraftTokens)
        integer(statistics.acceptedModelDraftTokens)
    }
}

extension EventCode {
    fileprivate init(_ event: EngineEvent) {
        switch event {
        case .accepted: self = .accepted
        case .started: self = .started
        case .tokens: self = .tokens
        case .choiceFinished: self = .choiceFinished
        case .finished: self = .finished
        case .failed: self = .failed
        case .result: self = .result
        case .statistics: self = .statistics
        case .tensor: self = .tensor
        }
    }
}

extension PayloadReader {
    mutating func events() throws(CodecError) -> [(CallID, EngineEvent)] {
        try list("events", elementSize: 20, limit: EngineProtocolLimits.events, Self.event)
    }

    private static func event(_ reader: inout PayloadReader) throws(CodecError) -> (CallID, EngineEvent) {
        let call = CallID(rawValue: try reader.integer("call"))
        let code: EventCode = try reader.choice("event")
        try reader.zeros("event", 2)
        let event = try reader.structure("event", size: code.size) {
            (reader: inout PayloadReader) throws(CodecError) in try reader.body(of: code)
        }
        return (call, event)
    }

    private mutating func body(of code: EventCode) throws(CodecError) -> EngineEvent {
        switch code {
        case .accepted:
            return .accepted(
                promptTokens: try integer("promptTokens"), queuePosition: try integer("queuePosition"))
        case .started: return .started(cachedTokens: try integer("cachedTokens"))
        case .tokens: return .tokens(try tokens())
        case .choiceFinished:
            let index: UInt32 = try integer("choice")
            let reason: FinishReason = try choice("reason")
            try zeros("reason", 3)
            return .choiceFinished(choice: index, reason: reason)
        case .finished: return try finished()
        case .failed: return .failed(try error())
        case .result: return .result(try result())
        case .statistics: return .statistics(try statistics())
        case .tensor: return .tensor(try tensorChunk())
        }
    }

    private mutating func tokens() throws(CodecError) -> TokenChunk {
        let index: UInt32 = try integer("choice")
        let kind: TokenChunk.Kind = try choice("kind")
        try zeros("kind", 3)
        let ids = try tokenIDs("ids")
        let text = try text("text", limit: EngineProtocolLimits.payloadBytes)
        let logProbabilities = try list(
            "logProbabilities", elementSize: PayloadWriter.logProbabilitiesSize,
            limit: EngineProtocolLimits.tokenIDs, Self.logProbabilities)
        return TokenChunk(choice: index, ids: ids, text: text, kind: kind, logProbabilities: logProbabilities)
    }

    private static func logProbabilities(
        _ reader: inout PayloadReader
    ) throws(CodecError) -> TokenLogProbabilities {
        let chosen = try logProbability(&reader)
        let top = try reader.list(
            "logProbabilities", elementSize: PayloadWriter.logProbabilitySize,
            limit: EngineProtocolLimits.topLogProbabilities, logProbability)
        return TokenLogProbabilities(chosen: chosen, top: top)
    }

    private static func logProbability(_ reader: inout PayloadReader) throws(CodecError) -> TokenLogProbability {
        TokenLogProbability(
            id: try reader.integer("logProbability"), logProbability: try reader.float("logProbability"),
            bytes: try reader.raw("bytes", limit: EngineProtocolLimits.payloadBytes))
    }

    private mutating func finished() throws(CodecError) -> EngineEvent {
        let usage = Usage(
            promptTokens: try integer("promptTokens"), completionTokens: try integer("completionTokens"),
            cachedTokens: try integer("cachedTokens"), acceptedDraftTokens: try integer("acceptedDraftTokens"),
            rejectedDraftTokens: try integer("rejectedDraftTokens"))
        try zeros("usage", 4)
        let timings = Timings(
            preparation: try integer("preparation"), queue: try integer("queue"), prefill: try integer("prefill"),
            decode: try integer("decode"),
            runtime: try optionalStructure("runtime", size: PayloadWriter.runtimeFiguresSize) {
                (reader: inout PayloadReader) throws(CodecError) in try reader.runtimeFigures()
            })
        return .finished(usage: usage, timings: timings)
    }

    private mutating func statistics() throws(CodecError) -> WorkerStatistics {
        WorkerStatistics(
            takenAt: try integer("takenAt"), sequencesRunning: try integer("sequencesRunning"),
            sequencesWaiting: try integer("sequencesWaiting"),
            cacheBlocksUsed: try integer("cacheBlocksUsed"), cacheBlocksIdle: try integer("cacheBlocksIdle"),
            cacheBlocks: try integer("cacheBlocks"), promptTokens: try integer("promptTokens"),
            cachedTokens: try integer("cachedTokens"), generatedTokens: try integer("generatedTokens"),
            steps: try integer("steps"), stepNanoseconds: try integer("stepNanoseconds"),
            cancelled: try integer("cancelled"), preemptions: try integer("preemptions"),
            draftTokens: try integer("draftTokens"), acceptedDraftTokens: try integer("acceptedDraftTokens"),
            modelDraftTokens: try integer("modelDraftTokens"),
            acceptedModelDraftTokens: try integer("acceptedModelDraftTokens"))
    }
}
