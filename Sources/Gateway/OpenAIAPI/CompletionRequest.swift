import EngineProtocol
public import JSON

extension GenerationRequest {
    /// The body of `POST /v1/completions`.
    public static func completion(_ body: JSONValue) throws(APIError) -> GenerationRequest {
        var fields = try RequestFields(body)
        let common = try CommonFields(&fields)
        let inputs = try prompts(&fields)
        let maximum =
            try fields.integer("max_tokens", in: 1...Int64(Int32.max)).map { UInt32($0) }
            ?? OpenAILimits.defaultCompletionTokens
        let request = try common.request(
            inputs: inputs, maximumTokens: maximum, logProbabilities: try LogProbabilityFields.completion(&fields))
        try fields.accept("echo", only: { $0.boolValue == false })
        try fields.accept("suffix", only: { $0.stringValue == "" })
        try fields.accept(
            "best_of", only: { $0.int64Value == Int64(request.choices) }, otherwise: "it can only equal 'n'")
        try fields.finish()
        return GenerationRequest(
            shape: .completion, model: common.model, generate: request, streams: common.streams,
            includesUsage: common.includesUsage, resumes: common.resumes)
    }

    /// A string, an array of strings, an array of token ids, or an array of arrays of token ids.
    private static func prompts(_ fields: inout RequestFields) throws(APIError) -> [GenerateRequest.Input] {
        guard let value = fields.value("prompt") else {
            throw .invalid("prompt", "'prompt' is required", code: "missing_required_parameter")
        }
        if let text = value.stringValue { return [.text(text)] }
        guard let items = value.arrayValue else { throw .wrongType("prompt", "a string or an array", value) }
        guard let first = items.first else { throw .invalid("prompt", "'prompt' is empty") }
        if first.numberValue != nil { return [.ids(try ids(items))] }
        guard items.count <= OpenAILimits.inputs else {
            throw .invalid("prompt", "'prompt' holds at most \(OpenAILimits.inputs) prompts, not \(items.count)")
        }
        var inputs: [GenerateRequest.Input] = []
        for item in items {
            if let text = item.stringValue {
                inputs.append(.text(text))
            } else if let numbers = item.arrayValue, !numbers.isEmpty {
                inputs.append(.ids(try ids(numbers)))
            } else {
                throw .wrongType("prompt", "an array of strings or of arrays of token ids", item)
            }
        }
        return inputs
    }

    private static func ids(_ values: [JSONValue]) throws(APIError) -> [Int32] {
        var ids: [Int32] = []
        ids.reserveCapacity(values.count)
        for value in values {
            guard let number = value.int64Value, let id = Int32(exactly: number), id >= 0 else {
                throw .wrongType("prompt", "token ids of 31 bits", value)
            }
            ids.append(id)
        }
        return ids
    }
}
