import CRKLLM
public import EngineProtocol

extension RKLLMEngine {
    /// Checks a generation: everything about it that can be refused before it runs is refused here.
    ///
    /// - Parameter file: where a prompt cache is saved.
    public func prepare(_ request: GenerateRequest, file: RuntimeFile? = nil) throws(EngineError) -> PreparedRuns {
        try checkShape(of: request)
        let sampling = try apus_rkllm_sampling(request.sampling)
        let mode = try mode(of: request)
        var runs: [PreparedRun] = []
        for input in request.inputs {
            var run = try run(of: input, mode: mode, field: "prompt")
            run.sampling = sampling
            run.maximumTokens = try room(after: run, of: request)
            if (run.turns?.count ?? 1) > 1, request.choices > 1 || request.inputs.count > 1 {
                throw .unsupported(feature: "several choices of a conversation that goes on, with the Rockchip runtime")
            }
            runs += Array(repeating: run, count: Int(request.choices))
        }
        if let use = request.session { try check(use, of: request, file: file, &runs[0]) }
        if let adapter = request.adapter { try check(adapter: adapter) }
        if let input = request.crossAttention { try check(input) }
        var prepared = PreparedRuns(
            runs: runs, choicesPerInput: Int(request.choices),
            answer: .generation(
                stopStrings: request.stopStrings, stopTokens: Set(request.stopTokenIDs), tensors: request.tensors),
            deadline: request.deadline)
        (prepared.session, prepared.adapter) = (request.session, request.adapter)
        prepared.crossAttention = request.crossAttention
        prepared.cacheFile = request.session?.savesCache == true ? file : nil
        return prepared
    }

    private func check(
        _ use: SessionUse, of request: GenerateRequest, file: RuntimeFile?, _ run: inout PreparedRun
    ) throws(EngineError) {
        _ = try core.session(use.id)
        guard request.inputs.count == 1, request.choices == 1 else {
            throw .unsupported(feature: "several inputs or choices in one session, with the Rockchip runtime")
        }
        if use.keepsHistory {
            try family.require(\.keepsHistory, "a session's history (keep_history)")
            guard request.tensors == nil else {
                throw .unsupported(feature: "rows in a session that keeps its history, with the Rockchip runtime")
            }
        }
        if use.savesCache {
            try check(file != nil, "prompt_cache", "no file came with the request")
            guard request.tensors == nil, request.adapter == nil, request.crossAttention == nil else {
                throw .unsupported(
                    feature: "saving the cache of a prompt with an adapter, cross-attention or rows, with the Rockchip "
                        + "runtime")
            }
        }
        try check(
            (run.turns?.count ?? 1) == 1, "messages",
            "in a session only the new turn is sent, and there are \(run.turns?.count ?? 0)")
        // The session's history is what the conversation goes on with.
        run.turns = nil
    }

    /// The runtime believes the number of tokens, and reads on where the rest is too short.
    private func check(_ input: CrossAttention) throws(EngineError) {
        try family.require(\.hasCrossAttention, "cross-attention")
        guard core.model.settings.usesCrossAttention else {
            throw .unsupported(feature: "cross-attention: the model was loaded without it (rkllm_cross_attention)")
        }
        let tokens = input.positions.count, keys = input.keys.values.count, values = input.values.values.count
        try check(
            tokens >= 1 && tokens <= limits.encoderTokens, "num_tokens",
            "there are \(tokens) positions of the encoder, allowed are 1 to \(limits.encoderTokens)")
        try check(
            keys == values && keys >= tokens && keys.isMultiple(of: tokens), "encoder_k_cache",
            "there are \(keys) keys and \(values) values for \(tokens) tokens: both have to be as many, and a multiple of "
                + "the tokens")
        try check(
            input.mask.values.count == tokens, "encoder_mask",
            "the mask has \(input.mask.values.count) numbers for \(tokens) tokens")
        try check(
            input.keys.values.allSatisfy(\.isFinite) && input.values.values.allSatisfy(\.isFinite), "encoder_k_cache",
            "the keys or values have a number that is not finite")
    }

    /// Checks inputs to embed.
    public func prepare(_ request: EmbedRequest) throws(EngineError) -> PreparedRuns {
        try check(
            (1...limits.runsPerCall).contains(request.inputs.count), "input",
            "there are \(request.inputs.count) inputs, allowed are 1 to \(limits.runsPerCall)")
        var runs: [PreparedRun] = []
        for input in request.inputs {
            let run = try self.run(of: input, mode: apus_rkllm_hidden_states, field: "input")
            guard !run.resumes else { throw .unsupported(feature: "embedding of an answer that goes on") }
            try check(contextLength, run, requested: 0)
            runs.append(run)
        }
        return PreparedRuns(
            runs: runs, answer: .embedding(pooling: request.pooling, normalizes: request.normalizes),
            deadline: request.deadline)
    }

    // MARK: Input

    private func run(
        of input: GenerateRequest.Input, mode: apus_rkllm_mode, field: String
    ) throws(EngineError) -> PreparedRun {
        switch input {
        case .chat(let chat):
            let chat = try ChatTurns(chat, family: family, limits: limits)
            let last = chat.turns.last?.text ?? ""
            try check(last, field: "messages")
            guard mode == apus_rkllm_generate || chat.turns.count == 1 else {
                throw .unsupported(feature: "rows of a conversation of several turns, with the Rockchip runtime")
            }
            var run = PreparedRun(input: .prompt(last), mode: mode)
            if mode == apus_rkllm_generate { run.turns = chat.turns }
            (run.template, run.thinks) = (chat.template, chat.thinks)
            run.isTool = chat.turns.last?.role == .tool
            return run
        case .text(let text):
            try check(text, field: field)
            return PreparedRun(input: .prompt(text), mode: mode, template: family.appliesTemplate ? .raw : nil)
        case .resumed:
            try family.require(\.pauses, "pausing")
            guard mode == apus_rkllm_generate else { throw .unsupported(feature: "rows of an answer that goes on") }
            // Its token is known when it is its turn.
            return PreparedRun(input: .tokens([]), mode: mode, resumes: true)
        case .multimodal(let input):
            try check(input, field: field)
            return PreparedRun(
                input: .multimodal(input), mode: mode, template: family.appliesTemplate ? .ofModel : nil,
                tags: family.choosesPerRun ? nil : Self.tags(of: input))
        case .ids(let ids):
            try check(!ids.isEmpty, field, "\(field) is empty")
            try check(ids.allSatisfy { $0 >= 0 }, field, "\(field) has a token below 0")
            return PreparedRun(input: .tokens(ids), mode: mode)
        case .embeddings(let rows):
            try check(
                rows.rows >= 1 && rows.columns >= 1 && rows.values.count == Int(rows.rows) * Int(rows.columns), field,
                "\(field) has \(rows.values.count) numbers in \(rows.rows) rows of \(rows.columns)")
            try check(rows.values.allSatisfy(\.isFinite), field, "\(field) has a number that is not finite")
            // The runtime believes the number of rows, and reads on where they are too short.
            if let width = knownWidth {
                try check(
                    rows.columns == width, field,
                    "\(field) has rows of \(rows.columns) numbers, the model's embedding has \(width)")
            }
            return PreparedRun(input: .embeddings(rows), mode: mode)
        }
    }

    func check(_ text: String, field: String) throws(EngineError) {
        try check(!text.isEmpty, field, "\(field) has an empty text")
        try check(
            text.utf8.count <= limits.promptBytes, field,
            "\(field) has \(text.utf8.count) bytes, the limit is \(limits.promptBytes)")
        try check(!text.utf8.contains(0), field, "\(field) has a zero byte, which ends a text for the runtime")
    }

    /// Tokens that may follow: what was asked for, or the rest of the context as far as the input's length is known.
    private func room(after run: PreparedRun, of request: GenerateRequest) throws(EngineError) -> Int {
        let contextLength = request.session?.positions(of: contextLength) ?? contextLength
        if request.tensors != nil { return try check(contextLength, run, requested: 0) }
        let room = try check(contextLength, run, requested: request.maximumTokens ?? 1)
        return request.maximumTokens.map(Int.init) ?? room
    }

    @discardableResult
    private func check(
        _ contextLength: Int, _ run: PreparedRun, requested: UInt32
    ) throws(EngineError) -> Int {
        let room = contextLength - run.input.positions
        guard Int(requested) <= room else {
            throw .contextLengthExceeded(
                limit: UInt32(clamping: contextLength), prompt: UInt32(clamping: run.input.positions),
                requested: requested)
        }
        return room
    }

    // MARK: What the runtime cannot do

    private func mode(of request: GenerateRequest) throws(EngineError) -> apus_rkllm_mode {
        guard let tensors = request.tensors else { return apus_rkllm_generate }
        guard request.maximumTokens == 0 else {
            throw .unsupported(
                feature: "rows together with an answer: the Rockchip runtime gives those of the prompt, "
                    + "so max_tokens has to be 0")
        }
        guard tensors.kind == .logits else { return apus_rkllm_hidden_states }
        try family.require(\.hasLogits, "logits")
        guard core.model.settings.batch == 1 else {
            throw .unsupported(feature: "logits with batches (rkllm_batch \(core.model.settings.batch))")
        }
        return apus_rkllm_logits
    }

    private func checkShape(of request: GenerateRequest) throws(EngineError) {
        try check(!request.inputs.isEmpty, "prompt", "there is no input")
        try check(request.choices >= 1, "n", "n is 0, the least is 1")
        let runs = request.inputs.count.multipliedReportingOverflow(by: Int(request.choices))
        try check(
            !runs.overflow && runs.partialValue <= limits.runsPerCall, "n",
            "\(request.inputs.count) inputs with \(request.choices) choices each exceed the limit of "
                + "\(limits.runsPerCall) runs")
        try check(
            request.maximumTokens != 0 || request.tensors != nil, "max_tokens", "max_tokens is 0, the least is 1")
        try check(
            request.stopStrings.count <= limits.stopStrings, "stop",
            "there are \(request.stopStrings.count) stop strings, the limit is \(limits.stopStrings)")
        try check(
            request.stopStrings.allSatisfy { $0.utf8.count <= limits.stopStringBytes }, "stop",
            "a stop string is longer than the limit of \(limits.stopStringBytes) bytes")
        try check(
            request.stopTokenIDs.count <= limits.stopTokens, "stop_token_ids",
            "there are \(request.stopTokenIDs.count) stop tokens, the limit is \(limits.stopTokens)")
        try check(
            request.session != nil || !request.inputs.contains(.resumed), "session",
            "an answer goes on in the session in which it was paused, and there is no session")
        let absent = [
            (request.logProbabilities != nil, "logprobs"), (request.minimumTokens > 0, "min_tokens"),
            (request.ignoreEndOfSequence, "ignore_eos"), (request.speculation == .model, "speculation 'model'"),
        ]
        if let (_, name) = absent.first(where: \.0) {
            throw .unsupported(feature: "\(name) with the Rockchip runtime")
        }
    }

    func check(_ holds: Bool, _ parameter: String, _ message: @autoclosure () -> String) throws(EngineError) {
        guard holds else { throw .invalidRequest(parameter: parameter, message: message()) }
    }
}
