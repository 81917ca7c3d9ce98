import CRKLLM
public import EngineProtocol

extension RKLLMEngine {
    /// Checks a generation: everything about it that can be refused before it runs is refused here.
    public func prepare(_ request: GenerateRequest) throws(EngineError) -> PreparedRuns {
        try checkShape(of: request)
        let sampling = try apus_rkllm_sampling(request.sampling, family: family)
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
        return PreparedRuns(
            runs: runs, choicesPerInput: Int(request.choices),
            answer: .generation(
                stopStrings: request.stopStrings, stopTokens: Set(request.stopTokenIDs), tensors: request.tensors),
            deadline: request.deadline)
    }

    /// Checks inputs to embed; a text goes through the model's template, as all texts do.
    public func prepare(_ request: EmbedRequest) throws(EngineError) -> PreparedRuns {
        try check(
            (1...limits.runsPerCall).contains(request.inputs.count), "input",
            "there are \(request.inputs.count) inputs, allowed are 1 to \(limits.runsPerCall)")
        var runs: [PreparedRun] = []
        for input in request.inputs {
            var run: PreparedRun
            if case .text(let text) = input {
                try check(text, field: "input")
                run = PreparedRun(input: .prompt(text), mode: apus_rkllm_hidden_states)
            } else {
                run = try self.run(of: input, mode: apus_rkllm_hidden_states, field: "input")
                run.turns = nil
            }
            try checkContext(run, requested: 0)
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
            try check(chat.turns.last?.role == .user, "messages", "the last message has to be the user's")
            try check(last, field: "messages")
            guard mode == apus_rkllm_generate || chat.turns.count == 1 else {
                throw .unsupported(feature: "rows of a conversation of several turns, with the Rockchip runtime")
            }
            var run = PreparedRun(input: .prompt(last), mode: mode)
            if mode == apus_rkllm_generate { run.turns = chat.turns }
            run.thinks = chat.thinks
            return run
        case .text(let text):
            guard !family.appliesTemplate else {
                throw .unsupported(
                    feature: "a text without template: runtime \(family.rawValue) puts all texts into the model's; "
                        + "send a chat or token ids")
            }
            try check(text, field: field)
            return PreparedRun(input: .prompt(text), mode: mode)
        case .ids(let ids):
            try check(!ids.isEmpty, field, "\(field) is empty")
            try check(ids.allSatisfy { $0 >= 0 }, field, "\(field) has a token below 0")
            return PreparedRun(input: .tokens(ids), mode: mode)
        case .resumed: throw .unsupported(feature: "sessions with the Rockchip runtime")
        case .multimodal: throw .unsupported(feature: "images and videos with the Rockchip runtime")
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

    private func check(_ text: String, field: String) throws(EngineError) {
        try check(!text.isEmpty, field, "\(field) has an empty text")
        try check(
            text.utf8.count <= limits.promptBytes, field,
            "\(field) has \(text.utf8.count) bytes, the limit is \(limits.promptBytes)")
        try check(!text.utf8.contains(0), field, "\(field) has a zero byte, which ends a text for the runtime")
    }

    /// Tokens that may follow: what was asked for, or the rest of the context as far as the input's length is known.
    private func room(after run: PreparedRun, of request: GenerateRequest) throws(EngineError) -> Int {
        if request.tensors != nil { return try checkContext(run, requested: 0) }
        let room = try checkContext(run, requested: request.maximumTokens ?? 1)
        return request.maximumTokens.map(Int.init) ?? room
    }

    @discardableResult
    private func checkContext(_ run: PreparedRun, requested: UInt32) throws(EngineError) -> Int {
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
        guard family.hasLogits else { throw .unsupported(feature: "logits with runtime \(family.rawValue)") }
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
        let absent = [
            (request.logProbabilities != nil, "logprobs"), (request.minimumTokens > 0, "min_tokens"),
            (request.ignoreEndOfSequence, "ignore_eos"), (request.speculation == .model, "speculation 'model'"),
            (request.session != nil, "sessions"), (request.adapter != nil, "adapters (LoRA)"),
            (request.crossAttention != nil, "cross-attention"),
        ]
        if let (_, name) = absent.first(where: \.0) {
            throw .unsupported(feature: "\(name) with the Rockchip runtime")
        }
    }

    private func check(_ holds: Bool, _ parameter: String, _ message: @autoclosure () -> String) throws(EngineError) {
        guard holds else { throw .invalidRequest(parameter: parameter, message: message()) }
    }
}
