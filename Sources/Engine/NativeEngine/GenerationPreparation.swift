public import EngineProtocol
import Models
import Tokenizers

extension LoadedModel {
    /// Renders, tokenizes and checks a generation: everything about it that can be refused is refused here.
    public func prepare(_ request: GenerateRequest) throws(EngineError) -> PreparedGeneration {
        let tokenizer = try requireTokenizer()
        let vocabularySize = try requireDecoder().configuration.vocabularySize
        try checkShape(of: request)
        var stopTokens = request.ignoreEndOfSequence ? [] : tokenizer.endOfGeneration
        for id in request.stopTokenIDs {
            try checkToken(id, field: "stop_token_ids", vocabularySize: vocabularySize)
            stopTokens.insert(id)
        }
        let template = try SamplerTemplate(
            request, endTokens: stopTokens, tokenizer: tokenizer, vocabularySize: vocabularySize)
        var prompts: [[Int32]] = []
        var maximumTokens: [Int] = []
        for input in request.inputs {
            let prompt = try promptTokens(of: input, tokenizer: tokenizer, vocabularySize: vocabularySize)
            maximumTokens.append(try room(for: prompt.count, of: request))
            prompts.append(prompt)
        }
        try checkLogProbabilities(request, maximumTokens: maximumTokens)
        return PreparedGeneration(
            prompts: prompts, choicesPerInput: request.choices, maximumTokens: maximumTokens,
            samplers: prompts.map(template.sampler(afterPrompt:)), stopStrings: request.stopStrings,
            stopTokens: stopTokens, logProbabilities: request.logProbabilities,
            speculation: request.speculation, cacheSalt: request.cacheSalt, tenant: request.tenant,
            priority: request.priority,
            deadline: request.deadline, preparationNanoseconds: 0)
    }

    /// Tokenizes a text to score and cuts it into windows.
    public func prepare(_ request: ScoreRequest) throws(EngineError) -> PreparedScore {
        let tokenizer = try requireTokenizer()
        _ = try requireDecoder()
        let window = request.window.map(Int.init) ?? contextLength
        guard window >= 2, window <= contextLength else {
            throw .invalidRequest(
                parameter: "window", message: "window is \(window), allowed is 2 to the context of \(contextLength)")
        }
        try checkBytes(request.text.utf8.count, field: "text", limit: limits.scoreBytes)
        let tokens = try encode(request.text, with: tokenizer, field: "text", parseSpecial: false)
        let windows = ScoreWindows(tokens: tokens, window: window, bos: tokenizer.addsBOS ? tokenizer.bos : nil)
        guard windows.count > 0 else {
            throw .invalidRequest(parameter: "text", message: "the text has \(tokens.count) tokens, the least is 2")
        }
        return PreparedScore(windows: windows, preparationNanoseconds: 0)
    }

    // MARK: Input

    private func promptTokens(
        of input: GenerateRequest.Input, tokenizer: Tokenizer, vocabularySize: Int
    ) throws(EngineError) -> [Int32] {
        var tokens: [Int32]
        switch input {
        case .chat(let chat):
            // The template writes every special token itself, BOS included.
            let text = try renderTemplate(chat)
            try checkBytes(text.utf8.count, field: "messages", limit: limits.promptBytes)
            tokens = try encode(text, with: tokenizer, field: "messages", parseSpecial: true)
        case .text(let text):
            try checkBytes(text.utf8.count, field: "prompt", limit: limits.promptBytes)
            tokens = text.isEmpty ? [] : try encode(text, with: tokenizer, field: "prompt", parseSpecial: true)
            if tokenizer.addsBOS, let bos = tokenizer.bos { tokens.insert(bos, at: 0) }
        case .ids(let ids):
            for id in ids { try checkToken(id, field: "prompt", vocabularySize: vocabularySize) }
            tokens = ids
        }
        if tokens.isEmpty, let bos = tokenizer.bos { tokens = [bos] }
        guard !tokens.isEmpty else {
            throw .invalidRequest(
                parameter: "prompt", message: "the prompt is empty and the model has no token to begin with")
        }
        return tokens
    }

    /// Tokens that may follow a prompt: what was asked for, or the rest of the context.
    private func room(for promptTokens: Int, of request: GenerateRequest) throws(EngineError) -> Int {
        let room = contextLength - promptTokens
        let least = max(request.maximumTokens ?? 1, request.minimumTokens)
        guard room >= 1, Int(least) <= room else {
            throw .contextLengthExceeded(
                limit: UInt32(clamping: contextLength), prompt: UInt32(clamping: promptTokens),
                requested: request.maximumTokens ?? request.minimumTokens)
        }
        return request.maximumTokens.map(Int.init) ?? room
    }

    // MARK: Checks

    private func checkShape(of request: GenerateRequest) throws(EngineError) {
        try check(!request.inputs.isEmpty, "prompt", "there is no input")
        try check(request.choices >= 1, "n", "n is 0, the least is 1")
        let sequences = request.inputs.count.multipliedReportingOverflow(by: Int(request.choices))
        let limit = min(limits.sequencesPerCall, limits.waitingSequences)
        try check(
            !sequences.overflow && sequences.partialValue <= limit, "n",
            "\(request.inputs.count) inputs with \(request.choices) choices each exceed the limit of \(limit) sequences"
        )
        try check(
            request.speculation != .model || draft != nil, "speculation",
            "speculation is 'model', and no draft model is loaded")
        try check(request.maximumTokens != 0, "max_tokens", "max_tokens is 0, the least is 1")
        try check(
            request.stopStrings.count <= limits.stopStrings, "stop",
            "there are \(request.stopStrings.count) stop strings, the limit is \(limits.stopStrings)")
        if let maximum = request.maximumTokens {
            try check(
                request.minimumTokens <= maximum, "min_tokens",
                "min_tokens is \(request.minimumTokens), more than max_tokens, which is \(maximum)")
        }
        for string in request.stopStrings {
            try check(
                string.utf8.count <= limits.stopStringBytes, "stop",
                "a stop string has \(string.utf8.count) bytes, the limit is \(limits.stopStringBytes)")
        }
        try check(
            request.stopTokenIDs.count <= limits.stopTokens, "stop_token_ids",
            "there are \(request.stopTokenIDs.count) stop tokens, the limit is \(limits.stopTokens)")
    }

    /// Log-probabilities are many times the size of the text, and an answer that does not stream is held as a whole.
    private func checkLogProbabilities(
        _ request: GenerateRequest, maximumTokens: [Int]
    ) throws(EngineError) {
        guard let options = request.logProbabilities else { return }
        let perToken = Int(options.top) + 1
        let count = maximumTokens.reduce(0, +) * Int(request.choices) * perToken
        try check(
            count <= limits.logProbabilities, "logprobs",
            "\(count) log-probabilities could come, \(perToken) for each token; the limit of one request is "
                + "\(limits.logProbabilities): ask for a smaller max_tokens, n or top_logprobs")
    }

    private func check(_ holds: Bool, _ parameter: String, _ message: @autoclosure () -> String) throws(EngineError) {
        guard holds else { throw .invalidRequest(parameter: parameter, message: message()) }
    }

    private func checkToken(_ id: Int32, field: String, vocabularySize: Int) throws(EngineError) {
        guard id >= 0, Int(id) < vocabularySize else {
            throw .invalidRequest(
                parameter: field, message: "\(field) has token \(id), the vocabulary has \(vocabularySize) tokens")
        }
    }
}
