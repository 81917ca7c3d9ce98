import EngineProtocol
import TestSupport

/// Compares messages by their parts, because tuples in an array are not Equatable.
func isSame(_ left: Message, _ right: Message) -> Bool {
    switch (left, right) {
    case (.hello(let left), .hello(let right)): left == right
    case (.request(let left, let leftCall), .request(let right, let rightCall)): left == right && leftCall == rightCall
    case (.events(let left), .events(let right)): left.elementsEqual(right) { $0 == $1 }
    case (.localCall(let left, let leftCall), .localCall(let right, let rightCall)):
        left == right && leftCall == rightCall
    case (.models(let left, let leftCall), .models(let right, let rightCall)): left == right && leftCall == rightCall
    case (.listModels(let left), .listModels(let right)): left == right
    case (.window(let left, let leftCall), .window(let right, let rightCall)): left == right && leftCall == rightCall
    case (.ping(let left), .ping(let right)), (.pong(let left), .pong(let right)): left == right
    default: false
    }
}

func encode(_ message: Message, payloadChecksum: Bool = false) throws -> [UInt8] {
    var bytes: [UInt8] = []
    try MessageCodec.encode(message, payloadChecksum: payloadChecksum, into: &bytes)
    return bytes
}

func decode(_ bytes: [UInt8]) throws -> Message {
    try bytes.withUnsafeBytes { bytes in
        guard bytes.count >= MessageHeader.size else { throw CodecError.truncated(field: "header") }
        return try MessageCodec.decode(
            header: UnsafeRawBufferPointer(rebasing: bytes[..<MessageHeader.size]),
            payload: UnsafeRawBufferPointer(rebasing: bytes[MessageHeader.size...]))
    }
}

/// One of each request, result, error and event.
enum Samples {
    static let call = CallID(generation: 3, sequence: 77)

    static let chat = ChatInput(messagesJSON: #"[{"role":"user"}]"#, toolsJSON: "[]", variablesJSON: "{}")

    static let sampling: SamplingParameters = {
        var sampling = SamplingParameters(
            temperature: 0.5, topP: 0.9, topK: 40, minP: 0.05, repetitionPenalty: 1.1, presencePenalty: -0.25,
            frequencyPenalty: 0.75, logitBias: [LogitBias(token: 0, bias: -100), LogitBias(token: 7, bias: 1.5)],
            seed: .max)
        sampling.typicalP = 0.95
        sampling.topNSigma = 1.5
        sampling.xtcProbability = 0.25
        sampling.xtcThreshold = 0.125
        sampling.dynamicTemperatureRange = 0.3
        sampling.dynamicTemperatureExponent = 2
        sampling.dry.multiplier = 0.8
        sampling.dry.base = 1.5
        sampling.dry.allowedLength = 4
        sampling.dry.window = 1024
        sampling.dry.breakers = ["\n", "§"]
        sampling.mirostat.version = .two
        sampling.mirostat.target = 4
        sampling.mirostat.rate = 0.2
        return sampling
    }()

    static let tensor = Tensor(
        rows: 2, columns: 3, values: [0, -1.5, .infinity, .leastNonzeroMagnitude, .greatestFiniteMagnitude, 7])

    static let embed = EmbedRequest(
        inputs: [.text("x"), .ids([4])], pooling: .first, normalizes: true, tenant: "tenant-b", priority: 4,
        deadline: 99)

    static let local = LocalCall(
        model: "démo", requestID: "req_1.a-b", resumes: true,
        request: .score(ScoreRequest(text: "a b c", window: 128)))

    static let session = SessionID(rawValue: 1 << 60)

    static let multimodal = MultimodalInput(
        prompt: "<image>?",
        media: [
            MultimodalInput.Media(
                kind: .image, count: 1, tokensPerFrame: 2, width: 392, height: 393, startTag: "<a>", endTag: "<b>",
                contentTag: "", embeddings: tensor),
            MultimodalInput.Media(
                kind: .video, count: 2, framesPerItem: 3, tokensPerFrame: 4, width: 5, height: 6,
                embeddings: Tensor(rows: 0, columns: 8, values: [])),
        ])

    static let generate: GenerateRequest = {
        var request = GenerateRequest(
            inputs: [
                .chat(chat), .text("Once upon"), .ids([1, -2, 300]), .embeddings(tensor), .resumed,
                .multimodal(multimodal),
            ],
            choices: 2,
            maximumTokens: 64,
            sampling: sampling, stopStrings: ["\n\n", "Ende ✓"], stopTokenIDs: [2, 32000], ignoreEndOfSequence: true,
            tenant: "tenant-a", priority: -5, deadline: 123_456_789_012_345)
        request.minimumTokens = 3
        request.speculation = .model
        request.cacheSalt = "salt §"
        request.session = SessionUse(id: session, keepsHistory: true, savesCache: true, contextLength: 77)
        request.adapter = "Märchen"
        request.crossAttention = CrossAttention(
            keys: tensor, values: Tensor(rows: 1, columns: 2, values: [1, 2]),
            mask: Tensor(rows: 1, columns: 1, values: [0.5]), positions: [0, -1])
        request.tensors = TensorRequest(kind: .logits, credit: 1 << 40)
        request.logProbabilities = LogProbabilityOptions(top: 5, stage: .sampling)
        return request
    }()

    static let logProbabilities = [
        TokenLogProbabilities(
            chosen: TokenLogProbability(id: 5, logProbability: -0.5, bytes: Array("Gr".utf8)),
            top: [
                TokenLogProbability(id: 5, logProbability: -0.5, bytes: Array("Gr".utf8)),
                TokenLogProbability(id: 9, logProbability: -2, bytes: [0xFF]),
            ]),
        TokenLogProbabilities(
            chosen: TokenLogProbability(id: 6, logProbability: -9999, bytes: Array("üße".utf8)), top: []),
    ]

    static let generation: [(CallID, EngineEvent)] = [
        (call, .accepted(promptTokens: 17, queuePosition: 3)),
        (call, .started(cachedTokens: 16)),
        (
            call,
            .tokens(
                TokenChunk(
                    choice: 1, ids: [5, 6], text: "Grüße", kind: .reasoning, logProbabilities: logProbabilities))
        ),
        (CallID(generation: 3, sequence: 78), .tokens(TokenChunk(choice: 0, ids: [], text: ""))),
        (call, .tensor(TensorChunk(input: 1, kind: .logits, firstRow: 16, tensor: tensor))),
        (
            call,
            .tensor(
                TensorChunk(input: 0, kind: .hiddenStates, firstRow: 0, tensor: Tensor(rows: 0, columns: 8, values: []))
            )
        ),
        (call, .choiceFinished(choice: 1, reason: .length)),
        (
            call,
            .finished(
                usage: Usage(
                    promptTokens: 17, completionTokens: 2, cachedTokens: 16, acceptedDraftTokens: 1,
                    rejectedDraftTokens: 4),
                timings: Timings(preparation: 1, queue: 2, prefill: 3, decode: 4))
        ),
        (
            call,
            .finished(
                usage: Usage(promptTokens: 1, completionTokens: 0, cachedTokens: 0),
                timings: Timings(
                    preparation: 0, queue: 0, prefill: 0, decode: 0,
                    runtime: RuntimeFigures(
                        prefillMilliseconds: 1.5, prefillTokens: 2, generateMilliseconds: 2.5, generateTokens: 4,
                        memoryMegabytes: 512)))
        ),
    ]

    static let errors: [EngineError] = [
        .invalidRequest(parameter: "stop", message: "too many"), .unauthorized(message: "no key"),
        .pathNotAllowed(path: "a/b"), .modelNotFound(model: "m"),
        .contextLengthExceeded(limit: 2048, prompt: 2000, requested: 100), .unsupported(feature: "tools"),
        .queueFull(retryAfterMilliseconds: 1500), .rateLimited(retryAfterMilliseconds: 250), .cancelled,
        .deadlineExceeded, .modelNotReady(reason: "loading", retryAfterMilliseconds: 10),
        .workerLost(.stalled, retryAfterMilliseconds: 20), .quarantined,
        .resourceExhausted(message: "KV cache", permanent: true), .slowConsumer,
        .internalError(id: "id-1", message: "broken"),
    ]

    static let failures: [(CallID, EngineEvent)] = errors.enumerated().map { index, error in
        (CallID(rawValue: UInt64(index + 1)), .failed(error))
    }

    static let results: [(CallID, EngineEvent)] = [
        (
            call,
            .result(
                .loaded(
                    ModelDescription(
                        architecture: "llama", name: "demo", parameterCount: 3_000_000, vocabularySize: 4096,
                        embeddingWidth: 288,
                        contextLength: 2048, trainedContextLength: 4096, parallel: 4, threads: 2,
                        weightBytes: 6_000_000, keyValueCacheBytes: 1 << 33, memoryBytes: 3 << 32,
                        hasChatTemplate: true, loadNanoseconds: 9,
                        compute: ComputeDescription(
                            instructionSet: "neon", cacheType: .q8, operationsPerToken: 1 << 40, bytesPerStep: 77,
                            byteOperationsPerSecond: 1.5e12, readBytesPerSecond: 2e10))))
        ),
        (call, .result(.inspected(json: "{}"))),
        (call, .result(.scored(tokens: 12, negativeLogLikelihood: 2.5))),
        (call, .result(.tokenized(ids: [9, 8]))),
        (call, .result(.detokenized(bytes: [0xFF, 0x00]))),
        (call, .result(.rendered(text: "<s>"))),
        (call, .result(.embedded(tensor, promptTokens: 21))),
        (call, .result(.session(SessionState(positions: 40, cachedPositions: 32, isPaused: true)))),
        (call, .result(.done)),
        (
            .link,
            .statistics(
                WorkerStatistics(
                    takenAt: 1, sequencesRunning: 2, sequencesWaiting: 3, cacheBlocksUsed: 4, cacheBlocksIdle: 5,
                    cacheBlocks: 6, promptTokens: 7, cachedTokens: 8, generatedTokens: 9, steps: 10,
                    stepNanoseconds: 11, cancelled: 12, preemptions: 13, draftTokens: 14, acceptedDraftTokens: 15,
                    modelDraftTokens: 16, acceptedModelDraftTokens: 17))
        ),
    ]

    /// By the names in Goldens/messages.txt, with the flag for the payload's checksum.
    static let messages: [(name: String, message: Message, payloadChecksum: Bool)] = [
        ("hello", .hello(Hello(role: .worker, buildID: 0x0123_4567_89AB_CDEF)), false),
        (
            "load",
            .request(
                .load(
                    LoadRequest(
                        source: .descriptors(count: 3), draftSource: .descriptors(count: 2), purpose: .generate,
                        displayName: "модель.gguf", contextLength: 4096, parallel: 8, threads: 2, cacheType: .q8,
                        memoryLimit: 1 << 34, measuresMachine: true,
                        runtime: RuntimeOptions(
                            baseDomain: 1, readsEmbeddingsFromStorage: true, processors: 4, batch: 2,
                            usesCrossAttention: true, processorMask: 0xF0))),
                call: call), false
        ),
        (
            "loadDemo",
            .request(.load(LoadRequest(source: .bundledDemo, purpose: .inspect, displayName: "")), call: .link), false
        ),
        ("inspect", .request(.inspect, call: call), false),
        ("cancel", .request(.cancel, call: call), true),
        ("ping", .ping(.max), false),
        ("pong", .pong(7), false),
        ("window", .window(65_536, call: call), false),
        ("localCall", .localCall(local, call: call), false),
        ("localCallOfNothing", .localCall(LocalCall(request: .inspect), call: CallID(rawValue: 1)), false),
        ("listModels", .listModels(call: CallID(rawValue: 5)), false),
        (
            "models",
            .models(
                [
                    LocalModel(name: "a", state: "ready", contextLength: 4096),
                    LocalModel(name: "b", state: "backing off", contextLength: 0),
                ], call: CallID(rawValue: 5)), false
        ),
        ("credit", .request(.credit(bytes: 262_144), call: call), false),
        ("embed", .request(.embed(embed), call: call), false),
        ("generate", .request(.generate(generate), call: call), true),
        ("score", .request(.score(ScoreRequest(text: "a b c", window: 128)), call: call), false),
        ("tokenize", .request(.tokenize(TokenizeRequest(text: "naïve", parseSpecial: false)), call: call), false),
        ("detokenize", .request(.detokenize(ids: [0, 1, 2]), call: call), false),
        (
            "renderTemplate",
            .request(
                .renderTemplate(
                    ChatInput(messagesJSON: "[]", templateOverride: "{{ x }}", addGenerationPrompt: false)),
                call: call), false
        ),
        ("pause", .request(.pause, call: call), false),
        ("openSession", .request(.openSession(session), call: call), false),
        ("closeSession", .request(.closeSession(session), call: call), false),
        ("clearSession", .request(.changeSession(session, .clear(keepsSystemPrompt: true)), call: call), false),
        ("clearRange", .request(.changeSession(session, .clearRange(first: 3, end: 9)), call: call), false),
        ("loadCache", .request(.changeSession(session, .loadCache), call: call), false),
        ("releaseCache", .request(.changeSession(session, .releaseCache), call: call), false),
        ("loadAdapter", .request(.loadAdapter(AdapterRequest(name: "Märchen", scale: 0.5)), call: call), false),
        ("unloadAdapter", .request(.unloadAdapter(name: "Märchen"), call: call), false),
        ("eventsOfAGeneration", .events(generation), false),
        ("eventsOfFailures", .events(failures), false),
        ("eventsOfResults", .events(results), true),
    ]
}
