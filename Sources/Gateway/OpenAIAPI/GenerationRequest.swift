public import EngineProtocol
import JSON

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
    /// Goes on with an answer that was begun when its worker died.
    public var resumes: Bool
}

/// The fields that chat and completions share.
struct CommonFields {
    let model: String?
    let streams: Bool
    let includesUsage: Bool
    let resumes: Bool
    private let sampling: SamplingParameters
    private let choices: UInt32
    private let stopStrings: [String]
    private let stopTokenIDs: [Int32]
    private let ignoreEndOfSequence: Bool
    private let minimumTokens: UInt32
    private let speculation: SpeculationMode
    private let cacheSalt: String

    init(_ fields: inout RequestFields) throws(APIError) {
        let name = try fields.string("model", maximumBytes: OpenAILimits.modelNameBytes)
        model = name == "" ? nil : name
        streams = try fields.bool("stream") ?? false
        includesUsage = try Self.includesUsage(&fields, streams: streams)
        // To a client that waits for the whole answer nothing has been sent.
        resumes = try fields.bool("resume_on_worker_loss") ?? false || !streams
        choices = UInt32(try fields.integer("n", in: 1...Int64(OpenAILimits.choices)) ?? 1)
        stopStrings = try Self.stopStrings(&fields)
        stopTokenIDs = try Self.stopTokenIDs(&fields)
        ignoreEndOfSequence = try fields.bool("ignore_eos") ?? false
        minimumTokens = UInt32(try fields.integer("min_tokens", in: 0...Int64(Int32.max)) ?? 0)
        speculation = try Self.speculation(&fields)
        cacheSalt = try Self.cacheSalt(&fields)
        sampling = try SamplingFields.read(&fields)
        _ = try fields.string("user", maximumBytes: OpenAILimits.userBytes)
        try Self.acceptHarmless(&fields)
    }

    func request(
        inputs: [GenerateRequest.Input], maximumTokens: UInt32?, logProbabilities: LogProbabilityOptions?
    ) throws(APIError) -> GenerateRequest {
        guard inputs.count * Int(choices) <= OpenAILimits.choices else {
            throw .invalid(
                "n", "prompts times 'n' is at most \(OpenAILimits.choices), not \(inputs.count * Int(choices))")
        }
        if let maximumTokens, minimumTokens > maximumTokens {
            throw .invalid(
                "min_tokens", "'min_tokens' (\(minimumTokens)) is more than the most tokens (\(maximumTokens))")
        }
        var request = GenerateRequest(
            inputs: inputs, choices: choices, maximumTokens: maximumTokens, sampling: sampling,
            stopStrings: stopStrings, stopTokenIDs: stopTokenIDs, ignoreEndOfSequence: ignoreEndOfSequence)
        request.minimumTokens = minimumTokens
        request.speculation = speculation
        request.cacheSalt = cacheSalt
        request.logProbabilities = logProbabilities
        return request
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
        if let string = fields.value("stop")?.stringValue {
            try RequestFields.check(string, of: "stop", bytes: OpenAILimits.stopStringBytes)
            return [string]
        }
        return try fields.strings(
            "stop", count: OpenAILimits.stopStrings, bytes: OpenAILimits.stopStringBytes, or: "a string or ") ?? []
    }

    private static func stopTokenIDs(_ fields: inout RequestFields) throws(APIError) -> [Int32] {
        guard let value = fields.value("stop_token_ids") else { return [] }
        guard let values = value.arrayValue else { throw .wrongType("stop_token_ids", "an array", value) }
        guard values.count <= OpenAILimits.stopTokenIDs else {
            throw .invalid(
                "stop_token_ids", "'stop_token_ids' holds at most \(OpenAILimits.stopTokenIDs) ids, not \(values.count)"
            )
        }
        var ids: [Int32] = []
        for value in values {
            guard let number = value.int64Value, let id = Int32(exactly: number), id >= 0 else {
                throw .wrongType("stop_token_ids", "an array of token ids", value)
            }
            ids.append(id)
        }
        return ids
    }

    private static func speculation(_ fields: inout RequestFields) throws(APIError) -> SpeculationMode {
        guard let value = fields.value("speculation") else { return .automatic }
        guard let name = value.stringValue else { throw .wrongType("speculation", "a string", value) }
        switch name {
        case "auto": return .automatic
        case "ngram": return .ngram
        case "model": return .model
        case "off": return .off
        default:
            throw .invalid(
                "speculation", "'speculation' is 'auto', 'ngram', 'model' or 'off', not '\(name.prefix(32))'")
        }
    }

    private static func cacheSalt(_ fields: inout RequestFields) throws(APIError) -> String {
        guard let salt = try fields.string("cache_salt", maximumBytes: OpenAILimits.cacheSaltBytes) else { return "" }
        guard !salt.isEmpty else {
            throw .invalid("cache_salt", "'cache_salt' is empty; leave it out to share what is in the cache")
        }
        return salt
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
