public import CRKLLM12
import RKLLMLibrary

// The interface of releases 1.2.1 to 1.2.3: its structures, and the functions that take them.

@_cdecl("rkllm_createDefaultParam")
public func createDefaultParam() -> RKLLMParam {
    let defaults = ModelParameters()
    var param = RKLLMParam()
    param.max_context_len = defaults.contextLength
    param.max_new_tokens = defaults.maximumTokens
    param.top_k = defaults.sampling.topK
    param.top_p = defaults.sampling.topP
    param.temperature = defaults.sampling.temperature
    param.repeat_penalty = defaults.sampling.repeatPenalty
    param.frequency_penalty = defaults.sampling.frequencyPenalty
    param.presence_penalty = defaults.sampling.presencePenalty
    param.mirostat = defaults.sampling.mirostat
    param.mirostat_tau = defaults.sampling.mirostatTau
    param.mirostat_eta = defaults.sampling.mirostatEta
    param.skip_special_token = defaults.skipsSpecialTokens
    param.extend_param.enabled_cpus_num = usableThreads()
    param.extend_param.n_batch = defaults.batch
    return param
}

@_cdecl("rkllm_init")
public func initialise(
    _ handle: UnsafeMutablePointer<LLMHandle?>?, _ param: UnsafePointer<RKLLMParam>?, _ callback: LLMResultCallback?
) -> Int32 {
    openModel(handle) { () throws(Refusal) in
        guard let param else { throw Refusal("param is NULL") }
        guard let callback else { throw Refusal("callback is NULL") }
        return (
            try ModelParameters(param.pointee),
            RunCallback { results, userdata, state in
                var results = results.map(RKLLMResult.init)
                return callback(&results, userdata, LLMCallState(rawValue: state.rawValue))
            }
        )
    }
}

@_cdecl("rkllm_run")
public func run(
    _ handle: LLMHandle?, _ inputs: UnsafePointer<RKLLMInput>?, _ param: UnsafePointer<RKLLMInferParam>?,
    _ userdata: UnsafeMutableRawPointer?
) -> Int32 {
    answer("rkllm_run", handle) { handle throws(Refusal) in
        try handle.run(try request(inputs, param, userdata, handle))
    }
}

@_cdecl("rkllm_run_async")
public func runAsync(
    _ handle: LLMHandle?, _ inputs: UnsafePointer<RKLLMInput>?, _ param: UnsafePointer<RKLLMInferParam>?,
    _ userdata: UnsafeMutableRawPointer?
) -> Int32 {
    answer("rkllm_run_async", handle) { handle throws(Refusal) in
        try handle.runAsync(try request(inputs, param, userdata, handle))
    }
}

/// 0 means that a run is in progress; a handle that is none has no run.
@_cdecl("rkllm_is_running")
public func isRunning(_ handle: LLMHandle?) -> Int32 {
    answer("rkllm_is_running", handle) { $0.isRunning ? 0 : 1 }
}

private func request(
    _ inputs: UnsafePointer<RKLLMInput>?, _ param: UnsafePointer<RKLLMInferParam>?,
    _ userdata: UnsafeMutableRawPointer?, _ handle: ModelHandle
) throws(Refusal) -> RunRequest {
    guard let inputs else { throw Refusal("the input is NULL") }
    var taken: [RunInput] = []
    for input in UnsafeBufferPointer(start: inputs, count: handle.inputs) {
        taken.append(try RunInput(input, handle))
    }
    var request = RunRequest(inputs: taken, userdata: userdata)
    guard let param = param?.pointee else { return request }
    try request.take(
        mode: param.mode.rawValue, adapter: param.lora_params?.pointee.lora_adapter_name,
        savesCache: param.prompt_cache_params.map { $0.pointee.save_prompt_cache != 0 } ?? false,
        cachePath: param.prompt_cache_params?.pointee.prompt_cache_path)
    request.keepsHistory = param.keep_history != 0
    return request
}

extension RunInput {
    fileprivate init(_ input: RKLLMInput, _ handle: ModelHandle) throws(Refusal) {
        switch input.input_type {
        case RKLLM_INPUT_PROMPT:
            self = try .prompt(input.prompt_input, role: input.role, thinks: input.enable_thinking)
        case RKLLM_INPUT_TOKEN:
            let tokens = input.token_input
            self = try .tokens(tokens.input_ids, count: tokens.n_tokens, role: input.role, handle: handle)
        case RKLLM_INPUT_EMBED:
            let embed = input.embed_input
            self = try .embeddings(embed.embed, count: embed.n_tokens, role: input.role, handle: handle)
        case RKLLM_INPUT_MULTIMODAL: throw .unsupported("images (multimodal_input)")
        default: throw Refusal("input_type is \(input.input_type.rawValue); allowed is 0 to 3")
        }
    }
}

extension ModelParameters {
    fileprivate init(_ param: RKLLMParam) throws(Refusal) {
        self.init()
        modelPath = try RunInput.text(param.model_path, "model_path")
        contextLength = param.max_context_len
        maximumTokens = param.max_new_tokens
        sampling.topK = param.top_k
        sampling.topP = param.top_p
        sampling.temperature = param.temperature
        sampling.repeatPenalty = param.repeat_penalty
        sampling.frequencyPenalty = param.frequency_penalty
        sampling.presencePenalty = param.presence_penalty
        sampling.mirostat = param.mirostat
        sampling.mirostatTau = param.mirostat_tau
        sampling.mirostatEta = param.mirostat_eta
        skipsSpecialTokens = param.skip_special_token
        threads = param.extend_param.enabled_cpus_num
        batch = param.extend_param.n_batch
        usesCrossAttention = param.extend_param.use_cross_attn != 0
        withoutEffect = [
            (param.n_keep > 0, "n_keep"), (param.is_async, "is_async"),
            (isText(param.img_start), "img_start"), (isText(param.img_end), "img_end"),
            (isText(param.img_content), "img_content"),
            (param.extend_param.base_domain_id != 0, "base_domain_id"),
            (param.extend_param.embed_flash != 0, "embed_flash"),
            (param.extend_param.enabled_cpus_mask != 0, "enabled_cpus_mask"),
        ].filter(\.0).map(\.1)
    }
}

private func isText(_ pointer: UnsafePointer<CChar>?) -> Bool { pointer.map { $0.pointee != 0 } ?? false }

extension RKLLMResult {
    fileprivate init(_ result: RunResult) {
        self.init()
        text = result.text
        token_id = result.token
        if let rows = result.hiddenStates {
            last_hidden_layer = RKLLMResultLastHiddenLayer(
                hidden_states: rows.values, embd_size: rows.columns, num_tokens: rows.rows)
        }
        if let rows = result.logits {
            logits = RKLLMResultLogits(logits: rows.values, vocab_size: rows.columns, num_tokens: rows.rows)
        }
        perf = RKLLMPerfStat(
            prefill_time_ms: result.performance.prefillMilliseconds,
            prefill_tokens: result.performance.prefillTokens,
            generate_time_ms: result.performance.generateMilliseconds,
            generate_tokens: result.performance.generateTokens,
            memory_usage_mb: result.performance.memoryMebibytes)
    }
}
