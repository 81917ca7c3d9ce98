import EngineProtocol
import Sampling
import Tokenizers

/// Makes the samplers of a request: one for each input, with its prompt counted; each choice takes a copy.
struct SamplerTemplate {
    private let sampler: Sampler

    /// - Parameter endTokens: barred while an answer is shorter than the request's least length.
    init(
        _ request: GenerateRequest, endTokens: Set<Int32>, tokenizer: Tokenizer, vocabularySize: Int
    ) throws(EngineError) {
        let parameters = request.sampling
        for bias in parameters.logitBias where !(0..<vocabularySize).contains(Int(bias.token)) {
            throw .invalidRequest(
                parameter: "logit_bias",
                message: "logit_bias names token \(bias.token), the vocabulary has \(vocabularySize) tokens")
        }
        var rules = SamplerParameters(parameters)
        rules.minimumTokens = Int(request.minimumTokens)
        rules.endTokens = endTokens.sorted()
        do {
            sampler = try Sampler(rules) { tokenizer.bytes(of: $0, renderSpecial: true) }
        } catch {
            if case .invalidParameter(let name, _, _) = error {
                throw .invalidRequest(parameter: name, message: error.description)
            }
            throw .invalidRequest(parameter: "", message: error.description)
        }
    }

    func sampler(afterPrompt prompt: [Int32]) -> Sampler {
        var sampler = sampler
        sampler.recordPrompt(prompt)
        return sampler
    }
}

extension SamplerParameters {
    /// The request's parameters as this room names them; nothing is checked here.
    fileprivate init(_ parameters: SamplingParameters) {
        self.init(
            temperature: parameters.temperature, topK: Int(parameters.topK), topP: parameters.topP,
            minP: parameters.minP, repetitionPenalty: parameters.repetitionPenalty,
            presencePenalty: parameters.presencePenalty, frequencyPenalty: parameters.frequencyPenalty,
            biases: parameters.logitBias.map { .init(token: $0.token, value: $0.bias) }, seed: parameters.seed)
        typicalP = parameters.typicalP
        topNSigma = parameters.topNSigma
        xtcProbability = parameters.xtcProbability
        xtcThreshold = parameters.xtcThreshold
        dynamicTemperatureRange = parameters.dynamicTemperatureRange
        dynamicTemperatureExponent = parameters.dynamicTemperatureExponent
        dry.multiplier = parameters.dry.multiplier
        dry.base = parameters.dry.base
        dry.allowedLength = Int(parameters.dry.allowedLength)
        dry.window = parameters.dry.window.map { Int($0) }
        dry.breakers = parameters.dry.breakers.map { Array($0.utf8) }
        mirostat.version =
            switch parameters.mirostat.version {
            case .off: .off
            case .one: .one
            case .two: .two
            }
        mirostat.target = parameters.mirostat.target
        mirostat.rate = parameters.mirostat.rate
    }
}
