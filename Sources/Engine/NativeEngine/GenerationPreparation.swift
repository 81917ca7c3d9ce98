public import EngineProtocol
import JSON
import Models
import Tokenizers

extension LoadedModel {
    /// Renders, tokenizes and checks a generation: everything about it that can be refused is refused here.
    ///
    /// One of a session is prepared by the engine, which knows what the session holds.
    public func prepare(_ request: GenerateRequest) throws(EngineError) -> PreparedGeneration {
        try check(request.session == nil, "session", "a session needs an engine that runs")
        return try prepare(request, in: nil)
    }

    /// - Parameters:
    ///   - turn: of the request's session.
    ///   - file: where the prompt's cache is written.
    func prepare(
        _ request: GenerateRequest, in turn: SessionTable.EngineSession.Turn?, file: SessionFile? = nil
    ) throws(EngineError) -> PreparedGeneration {
        let tokenizer = try requireTokenizer()
        let configuration = try requireDecoder().configuration
        let vocabularySize = configuration.vocabularySize
        try checkShape(of: request)
        let run = try turn.map { turn throws(EngineError) in try sessionRun(of: request, turn, file: file) }
        var stopTokens = request.ignoreEndOfSequence ? [] : tokenizer.endOfGeneration
        for id in request.stopTokenIDs {
            try checkToken(id, field: "stop_token_ids", vocabularySize: vocabularySize)
            stopTokens.insert(id)
        }
        let template = try SamplerTemplate(
            request, endTokens: stopTokens, tokenizer: tokenizer, vocabularySize: vocabularySize)
        var inputs: [PreparedGeneration.Input] = []
        for (index, input) in request.inputs.enumerated() {
            // The session's history ends with the first one.
            let continued = index == 0 ? run?.history.prompt : nil
            let prompt = if let continued { continued } else { try self.prompt(of: input, field: "prompt") }
            inputs.append(
                .init(
                    prompt: prompt,
                    maximumTokens: try room(for: prompt.tokens.count, of: request, resumed: run?.resumed),
                    sampler: run?.resumed?.sampler ?? template.sampler(afterPrompt: prompt.knownTokens),
                    findsToolCalls: try hasTools(input)))
        }
        let logProbabilities = run?.resumed.map { $0.trail?.options } ?? request.logProbabilities
        try checkLogProbabilities(
            logProbabilities, choices: request.choices, maximumTokens: inputs.map(\.maximumTokens))
        let columns = request.tensors?.kind == .logits ? vocabularySize : configuration.width
        return PreparedGeneration(
            inputs: inputs, choicesPerInput: request.choices, stopStrings: request.stopStrings,
            stopTokens: stopTokens, logProbabilities: logProbabilities, tensors: request.tensors,
            rowBytes: columns * MemoryLayout<Float>.size, speculation: request.speculation,
            cacheSalt: request.cacheSalt, session: run, tenant: request.tenant, priority: request.priority,
            deadline: request.deadline, preparationNanoseconds: 0)
    }

    /// Tokenizes and checks inputs to embed.
    public func prepare(_ request: EmbedRequest) throws(EngineError) -> PreparedEmbedding {
        let tokenizer = try requireTokenizer()
        let configuration = try requireDecoder().configuration
        let limit = min(limits.sequencesPerCall, limits.waitingSequences)
        try check(!request.inputs.isEmpty, "input", "there is no input")
        try check(
            request.inputs.count <= limit, "input", "there are \(request.inputs.count) inputs, the limit is \(limit)")
        var prompts: [Prompt] = []
        for input in request.inputs {
            var prompt = try prompt(of: input, field: "input")
            if case .text = input, tokenizer.addsEOS, let eos = tokenizer.eos {
                prompt = Prompt(tokens: prompt.tokens + [eos])
            }
            guard prompt.tokens.count <= contextLength else {
                throw .contextLengthExceeded(
                    limit: UInt32(clamping: contextLength), prompt: UInt32(clamping: prompt.tokens.count),
                    requested: 0)
            }
            prompts.append(prompt)
        }
        return PreparedEmbedding(
            inputs: prompts, pooling: request.pooling, normalizes: request.normalizes, width: configuration.width,
            tenant: request.tenant, priority: request.priority, deadline: request.deadline,
            preparationNanoseconds: 0)
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

    /// - Parameters:
    ///   - field: names the input in errors, but for a conversation, which is `messages`.
    ///   - isBeginning: false where it follows what a session holds, so that it may be empty.
    func prompt(
        of input: GenerateRequest.Input, field: String, isBeginning: Bool = true
    ) throws(EngineError) -> Prompt {
        let tokenizer = try requireTokenizer()
        let configuration = try requireDecoder().configuration
        var tokens: [Int32]
        switch input {
        case .chat(let chat):
            // The template writes every special token itself, BOS included.
            let text = try renderTemplate(chat)
            try checkBytes(text.utf8.count, field: "messages", limit: limits.promptBytes)
            tokens = try encode(text, with: tokenizer, field: "messages", parseSpecial: true)
        case .text(let text):
            try checkBytes(text.utf8.count, field: field, limit: limits.promptBytes)
            tokens = text.isEmpty ? [] : try encode(text, with: tokenizer, field: field, parseSpecial: true)
            if isBeginning, tokenizer.addsBOS, let bos = tokenizer.bos { tokens.insert(bos, at: 0) }
        case .ids(let ids):
            for id in ids { try checkToken(id, field: field, vocabularySize: configuration.vocabularySize) }
            tokens = ids
        case .resumed:
            throw .invalidRequest(
                parameter: field, message: "there is no paused answer to resume: only a session has one")
        case .multimodal: throw .unsupported(feature: "images and videos")
        case .embeddings(let rows):
            try check(rows, field: field, width: configuration.width)
            return Prompt(embeddings: rows)
        }
        if isBeginning, tokens.isEmpty, let bos = tokenizer.bos { tokens = [bos] }
        guard !isBeginning || !tokens.isEmpty else {
            throw .invalidRequest(
                parameter: field, message: "the \(field) is empty and the model has no token to begin with")
        }
        return Prompt(tokens: tokens)
    }

    private func check(_ rows: Tensor, field: String, width: Int) throws(EngineError) {
        try check(
            rows.columns == width, field,
            "\(field) has rows of \(rows.columns) numbers, the model's embedding has \(width)")
        try check(
            rows.rows >= 1 && rows.values.count == Int(rows.rows) * width, field,
            "\(field) has \(rows.values.count) numbers in \(rows.rows) rows of \(width); the least is one row")
        try check(rows.values.allSatisfy(\.isFinite), field, "\(field) has a number that is not finite")
    }

    /// A model that was told of tools may call them.
    private func hasTools(_ input: GenerateRequest.Input) throws(EngineError) -> Bool {
        guard case .chat(let chat) = input else { return false }
        return try Self.optionalJSON(chat.toolsJSON, field: "tools")?.arrayValue?.isEmpty == false
    }

    /// Tokens that may follow a prompt: what was asked for, or the rest of the context.
    ///
    /// Of an answer that goes on, what it had left unless another number was asked for.
    private func room(
        for promptTokens: Int, of request: GenerateRequest, resumed: RunningChoice? = nil
    ) throws(EngineError) -> Int {
        let contextLength = request.session?.positions(of: contextLength) ?? contextLength
        let room = contextLength - promptTokens
        let wanted = request.maximumTokens ?? (resumed?.tokensLeft == 0 ? 0 : 1)
        let least = max(wanted, resumed == nil ? request.minimumTokens : 0)
        guard Int(least) <= room else {
            throw .contextLengthExceeded(
                limit: UInt32(clamping: contextLength), prompt: UInt32(clamping: promptTokens),
                requested: request.maximumTokens ?? request.minimumTokens)
        }
        guard let maximum = request.maximumTokens else { return min(resumed?.tokensLeft ?? room, room) }
        return Int(maximum)
    }

    // MARK: Checks

    private func checkShape(of request: GenerateRequest) throws(EngineError) {
        if request.adapter != nil { throw .unsupported(feature: "adapters (LoRA)") }
        if request.crossAttention != nil { throw .unsupported(feature: "cross-attention") }
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
        try check(
            request.maximumTokens != 0 || request.tensors != nil, "max_tokens", "max_tokens is 0, the least is 1")
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
        _ options: LogProbabilityOptions?, choices: UInt32, maximumTokens: [Int]
    ) throws(EngineError) {
        guard let options else { return }
        let perToken = Int(options.top) + 1
        let count = maximumTokens.reduce(0, +) * Int(choices) * perToken
        try check(
            count <= limits.logProbabilities, "logprobs",
            "\(count) log-probabilities could come, \(perToken) for each token; the limit of one request is "
                + "\(limits.logProbabilities): ask for a smaller max_tokens, n or top_logprobs")
    }

    func check(_ holds: Bool, _ parameter: String, _ message: @autoclosure () -> String) throws(EngineError) {
        guard holds else { throw .invalidRequest(parameter: parameter, message: message()) }
    }

    private func checkToken(_ id: Int32, field: String, vocabularySize: Int) throws(EngineError) {
        guard id >= 0, Int(id) < vocabularySize else {
            throw .invalidRequest(
                parameter: field, message: "\(field) has token \(id), the vocabulary has \(vocabularySize) tokens")
        }
    }
}
