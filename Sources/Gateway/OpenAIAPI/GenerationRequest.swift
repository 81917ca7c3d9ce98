public import EngineProtocol
import JSON
import Platform

/// A validated request for text: what to compute, and how to answer.
public struct GenerationRequest: Sendable, Equatable {
    public enum Shape: Sendable, Equatable {
        case chat
        case completion
    }

    public var shape: Shape
    /// Nil is the only model.
    public var model: String?
    public var generate: GenerateRequest
    public var streams: Bool
    public var includesUsage: Bool
}

/// The fields that chat and completions share.
struct CommonFields {
    let model: String?
    let streams: Bool
    let includesUsage: Bool
    private let sampling: SamplingParameters
    private let choices: UInt32
    private let stopStrings: [String]
    private let ignoreEndOfSequence: Bool

    init(_ fields: inout RequestFields) throws(APIError) {
        let name = try fields.string("model", maximumBytes: OpenAILimits.modelNameBytes)
        model = name == "" ? nil : name
        streams = try fields.bool("stream") ?? false
        includesUsage = try Self.includesUsage(&fields, streams: streams)
        choices = UInt32(try fields.integer("n", in: 1...Int64(OpenAILimits.choices)) ?? 1)
        stopStrings = try Self.stopStrings(&fields)
        ignoreEndOfSequence = try fields.bool("ignore_eos") ?? false
        sampling = try Self.sampling(&fields)
        _ = try fields.string("user", maximumBytes: OpenAILimits.userBytes)
        try Self.acceptHarmless(&fields)
    }

    func request(inputs: [GenerateRequest.Input], maximumTokens: UInt32?) throws(APIError) -> GenerateRequest {
        guard inputs.count * Int(choices) <= OpenAILimits.choices else {
            throw .invalid(
                "n", "prompts times 'n' is at most \(OpenAILimits.choices), not \(inputs.count * Int(choices))")
        }
        return GenerateRequest(
            inputs: inputs, choices: choices, maximumTokens: maximumTokens, sampling: sampling,
            stopStrings: stopStrings,
            ignoreEndOfSequence: ignoreEndOfSequence)
    }

    private static func includesUsage(_ fields: inout RequestFields, streams: Bool) throws(APIError) -> Bool {
        guard let value = fields.value("stream_options") else { return false }
        guard streams else { throw .invalid("stream_options", "'stream_options' needs 'stream': true") }
        var options = try RequestFields(value)
        let includes = try options.bool("include_usage") ?? false
        _ = try options.bool("include_obfuscation")
        try options.finish()
        return includes
    }

    private static func stopStrings(_ fields: inout RequestFields) throws(APIError) -> [String] {
        guard let value = fields.value("stop") else { return [] }
        let values = value.arrayValue ?? [value]
        guard values.count <= OpenAILimits.stopStrings else {
            throw .invalid("stop", "'stop' holds at most \(OpenAILimits.stopStrings) strings, not \(values.count)")
        }
        var strings: [String] = []
        for value in values {
            guard let string = value.stringValue else {
                throw .wrongType("stop", "a string or an array of strings", value)
            }
            guard (1...OpenAILimits.stopStringBytes).contains(string.utf8.count) else {
                throw .invalid("stop", "a stop string has 1 to \(OpenAILimits.stopStringBytes) bytes")
            }
            strings.append(string)
        }
        return strings
    }

    private static func sampling(_ fields: inout RequestFields) throws(APIError) -> SamplingParameters {
        SamplingParameters(
            temperature: try fields.number("temperature", in: 0...2) ?? 1,
            topP: try fields.number("top_p", in: 0...1) ?? 1,
            // -1 is how some clients spell "off".
            topK: UInt32(max(try fields.integer("top_k", in: -1...Int64(Int32.max)) ?? 0, 0)),
            minP: try fields.number("min_p", in: 0...1) ?? 0,
            repetitionPenalty: try fields.number("repetition_penalty", in: 0.01...10) ?? 1,
            presencePenalty: try fields.number("presence_penalty", in: -2...2) ?? 0,
            frequencyPenalty: try fields.number("frequency_penalty", in: -2...2) ?? 0,
            logitBias: try logitBias(&fields),
            seed: try fields.integer("seed", in: Int64.min...Int64.max).map(UInt64.init(bitPattern:))
                ?? SystemRandom.next())
    }

    private static func logitBias(_ fields: inout RequestFields) throws(APIError) -> [LogitBias] {
        guard let value = fields.value("logit_bias") else { return [] }
        guard let object = value.objectValue else { throw .wrongType("logit_bias", "an object", value) }
        guard object.members.count <= OpenAILimits.logitBiases else {
            throw .invalid("logit_bias", "'logit_bias' has at most \(OpenAILimits.logitBiases) members")
        }
        var biases: [LogitBias] = []
        for member in object.members {
            // Only one spelling of each number, so that no token is named twice.
            guard let token = Int32(member.key), token >= 0, String(token) == member.key else {
                throw .invalid(
                    "logit_bias", "'logit_bias' maps token ids to numbers; '\(member.key.prefix(32))' is no id")
            }
            guard let bias = member.value.doubleValue, (-100...100).contains(bias) else {
                throw .invalid("logit_bias", "the bias of token \(token) is a number between -100 and 100")
            }
            biases.append(LogitBias(token: token, bias: Float(bias)))
        }
        return biases.sorted { $0.token < $1.token }
    }

    /// Fields that describe the request to a provider, or ask for what happens anyway.
    private static func acceptHarmless(_ fields: inout RequestFields) throws(APIError) {
        for name in ["metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"] {
            try fields.accept(name)
        }
        try fields.accept("service_tier", only: { ["auto", "default"].contains($0.stringValue) })
        try fields.accept("store", only: { $0.boolValue == false }, otherwise: "nothing is stored")
    }
}
