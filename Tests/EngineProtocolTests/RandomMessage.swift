import EngineProtocol
import TestSupport

/// Messages of every kind with random contents.
enum RandomMessage {
    static func make(_ random: inout SeededRandom) -> Message {
        let call = CallID(rawValue: random.next())
        switch Int.random(in: 0..<16, using: &random) {
        case 0: return .hello(Hello(role: random.next() % 2 == 0 ? .gateway : .worker, buildID: random.next()))
        case 1: return .request(.load(load(&random)), call: call)
        case 2: return .request(random.next() % 2 == 0 ? .inspect : .cancel, call: call)
        case 3, 4: return .request(.generate(generate(&random)), call: call)
        case 5: return .request(.score(ScoreRequest(text: text(&random), window: maybe(&random))), call: call)
        case 6:
            let special = (random.next() % 2 == 0, random.next() % 2 == 0)
            return .request(
                .tokenize(TokenizeRequest(text: text(&random), addSpecial: special.0, parseSpecial: special.1)),
                call: call)
        case 7: return .request(.detokenize(ids: ids(&random)), call: call)
        case 8: return .request(.renderTemplate(chat(&random)), call: call)
        case 9: return .request(.credit(bytes: number(&random)), call: call)
        case 10: return .request(.embed(embed(&random)), call: call)
        case 11: return .request(sessionRequest(&random), call: call)
        case 12:
            let adapter = AdapterRequest(name: text(&random), scale: Float.random(in: -2...2, using: &random))
            return .request(
                random.next() % 2 == 0 ? .loadAdapter(adapter) : .unloadAdapter(name: adapter.name), call: call)
        default:
            let count = Int.random(in: 0..<6, using: &random)
            return .events((0..<count).map { _ in (CallID(rawValue: random.next()), event(&random)) })
        }
    }

    static func text(_ random: inout SeededRandom) -> String {
        let letters = ["a", "é", "漢", "🙂", "\0", "\n", " "]
        return (0..<Int.random(in: 0..<9, using: &random)).map { _ in letters.randomElement(using: &random) ?? "" }
            .joined()
    }

    private static func maybeText(_ random: inout SeededRandom) -> String? {
        random.next() % 2 == 0 ? nil : text(&random)
    }

    private static func maybe(_ random: inout SeededRandom) -> UInt32? {
        random.next() % 2 == 0 ? nil : number(&random)
    }

    private static func number(_ random: inout SeededRandom) -> UInt32 { UInt32(truncatingIfNeeded: random.next()) }

    private static func ids(_ random: inout SeededRandom) -> [Int32] {
        (0..<Int.random(in: 0..<5, using: &random)).map { _ in Int32(truncatingIfNeeded: random.next()) }
    }

    private static func load(_ random: inout SeededRandom) -> LoadRequest {
        LoadRequest(
            source: random.next() % 2 == 0 ? .bundledDemo : .descriptors(count: UInt32(random.next() % 65)),
            draftSource: [nil, .bundledDemo, .descriptors(count: UInt32(random.next() % 65))][Int(random.next() % 3)],
            purpose: [.inspect, .tokenize, .generate].randomElement(using: &random) ?? .inspect,
            displayName: text(&random), contextLength: maybe(&random), parallel: number(&random),
            threads: number(&random), memoryLimit: random.next())
    }

    private static func chat(_ random: inout SeededRandom) -> ChatInput {
        ChatInput(
            messagesJSON: text(&random), toolsJSON: maybeText(&random), templateOverride: maybeText(&random),
            variablesJSON: maybeText(&random), addGenerationPrompt: random.next() % 2 == 0)
    }

    private static func inputs(_ random: inout SeededRandom) -> [GenerateRequest.Input] {
        (0..<Int.random(in: 0..<4, using: &random)).map { _ in
            switch random.next() % 6 {
            case 0: .chat(chat(&random))
            case 1: .text(text(&random))
            case 2: .embeddings(tensor(&random))
            case 3: .resumed
            case 4: .multimodal(multimodal(&random))
            default: .ids(ids(&random))
            }
        }
    }

    /// Without values that are not equal to themselves.
    private static func tensor(_ random: inout SeededRandom) -> Tensor {
        let (rows, columns) = (UInt32(random.next() % 4), UInt32(random.next() % 4))
        let values = (0..<rows * columns).map { _ in Float.random(in: -2...2, using: &random) }
        return Tensor(rows: rows, columns: columns, values: values)
    }

    private static func sessionRequest(_ random: inout SeededRandom) -> EngineRequest {
        let id = SessionID(rawValue: random.next())
        switch random.next() % 7 {
        case 0: return .openSession(id)
        case 1: return .closeSession(id)
        case 2: return .changeSession(id, .clear(keepsSystemPrompt: random.next() % 2 == 0))
        case 3: return .changeSession(id, .clearRange(first: number(&random), end: number(&random)))
        case 4: return .changeSession(id, .loadCache)
        case 5: return .changeSession(id, .releaseCache)
        default: return .pause
        }
    }

    private static func multimodal(_ random: inout SeededRandom) -> MultimodalInput {
        MultimodalInput(
            prompt: text(&random),
            media: (0..<Int.random(in: 0..<3, using: &random)).map { _ in
                MultimodalInput.Media(
                    kind: random.next() % 2 == 0 ? .image : .video, count: number(&random),
                    framesPerItem: number(&random), tokensPerFrame: number(&random), width: number(&random),
                    height: number(&random), startTag: text(&random), endTag: text(&random), contentTag: text(&random),
                    embeddings: tensor(&random))
            })
    }

    private static func embed(_ random: inout SeededRandom) -> EmbedRequest {
        EmbedRequest(
            inputs: inputs(&random), pooling: [.last, .mean, .first][Int(random.next() % 3)],
            normalizes: random.next() % 2 == 0, tenant: text(&random),
            priority: Int8(truncatingIfNeeded: random.next()),
            deadline: random.next())
    }

    private static func generate(_ random: inout SeededRandom) -> GenerateRequest {
        func float() -> Float { Float.random(in: -2...2, using: &random) }
        var sampling = SamplingParameters(
            temperature: float(), topP: float(), topK: number(&random), minP: float(), repetitionPenalty: float(),
            presencePenalty: float(), frequencyPenalty: float(),
            logitBias: ids(&random).map { LogitBias(token: $0, bias: float()) }, seed: random.next())
        sampling.typicalP = float()
        sampling.topNSigma = float()
        sampling.xtcProbability = float()
        sampling.xtcThreshold = float()
        sampling.dynamicTemperatureRange = float()
        sampling.dynamicTemperatureExponent = float()
        sampling.dry.multiplier = float()
        sampling.dry.base = float()
        sampling.dry.allowedLength = number(&random)
        sampling.dry.window = maybe(&random)
        sampling.dry.breakers = (0..<Int.random(in: 0..<3, using: &random)).map { _ in text(&random) }
        sampling.mirostat.version = [.off, .one, .two].randomElement(using: &random) ?? .off
        sampling.mirostat.target = float()
        sampling.mirostat.rate = float()
        var request = GenerateRequest(
            inputs: inputs(&random), choices: UInt32(random.next() % 129), maximumTokens: maybe(&random),
            sampling: sampling,
            stopStrings: (0..<Int.random(in: 0..<3, using: &random)).map { _ in text(&random) },
            stopTokenIDs: ids(&random), ignoreEndOfSequence: random.next() % 2 == 0, tenant: text(&random),
            priority: Int8(truncatingIfNeeded: random.next()), deadline: random.next())
        request.minimumTokens = number(&random)
        request.speculation = [.off, .ngram, .automatic, .model].randomElement(using: &random) ?? .off
        request.cacheSalt = text(&random)
        if random.next() % 2 == 0 {
            request.session = SessionUse(
                id: SessionID(rawValue: random.next()), keepsHistory: random.next() % 2 == 0,
                savesCache: random.next() % 2 == 0,
                contextLength: random.next() % 2 == 0 ? nil : UInt32.random(in: 1 ... .max, using: &random))
        }
        request.adapter = maybeText(&random)
        if random.next() % 4 == 0 {
            request.crossAttention = CrossAttention(
                keys: tensor(&random), values: tensor(&random), mask: tensor(&random), positions: ids(&random))
        }
        if random.next() % 2 == 0 {
            request.tensors = TensorRequest(
                kind: random.next() % 2 == 0 ? .logits : .hiddenStates, credit: random.next())
        }
        if random.next() % 2 == 0 {
            request.logProbabilities = LogProbabilityOptions(
                top: UInt32(random.next() % 129), stage: random.next() % 2 == 0 ? .model : .sampling)
        }
        return request
    }

    private static func logProbability(_ random: inout SeededRandom) -> TokenLogProbability {
        TokenLogProbability(
            id: Int32(truncatingIfNeeded: random.next()), logProbability: Float.random(in: -20...0, using: &random),
            bytes: Array(text(&random).utf8))
    }

    private static func logProbabilities(_ random: inout SeededRandom) -> [TokenLogProbabilities] {
        (0..<Int.random(in: 0..<3, using: &random)).map { _ in
            TokenLogProbabilities(
                chosen: logProbability(&random),
                top: (0..<Int.random(in: 0..<4, using: &random)).map { _ in logProbability(&random) })
        }
    }

    private static func event(_ random: inout SeededRandom) -> EngineEvent {
        let samples = Samples.generation + Samples.failures + Samples.results
        if random.next() % 5 == 0 {
            let kind: TensorRequest.Kind = random.next() % 2 == 0 ? .logits : .hiddenStates
            return .tensor(
                TensorChunk(
                    input: number(&random), kind: kind, firstRow: number(&random), tensor: tensor(&random)))
        }
        if random.next() % 3 == 0 {
            let kind: TokenChunk.Kind = [.content, .reasoning, .toolCall].randomElement(using: &random) ?? .content
            return .tokens(
                TokenChunk(
                    choice: number(&random), ids: ids(&random), text: text(&random), kind: kind,
                    logProbabilities: logProbabilities(&random)))
        }
        return samples.randomElement(using: &random)?.1 ?? .failed(.cancelled)
    }
}
