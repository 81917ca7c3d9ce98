import JSON

/// One call: its checked parameters, and where its answer goes.
struct RPCInvocation {
    let fields: ShapedObject
    let slot: ReplySlot
}

/// A method: its name, its parameters, and what it does.
///
/// The table `all` is the only list of methods: calls find them there, and `rpc.discover` tells them from there.
struct RPCMethod: Sendable {
    /// When the answer comes.
    enum Kind: String, Sendable {
        /// At once, from what the door knows, whatever a model is doing.
        case instant
        /// When a model has answered.
        case waiting
        /// When a run has ended; before that its parts come as notifications.
        case streaming
    }

    typealias Body = @Sendable (RPCSession, RPCInvocation) throws(RPCError) -> Void

    let name: String
    let kind: Kind
    let summary: String
    /// In the order in which they are given by position.
    let parameters: StructShape
    /// How many of them may be; the rest are given by name.
    let positionalCount: Int
    /// What the result is, in words.
    let result: String
    /// Whether it needs no key.
    let isOpen: Bool
    let body: Body

    init(
        _ name: String, _ kind: Kind, _ summary: String, _ fields: [StructShape.Field] = [],
        positional: Int? = nil, result: String, open: Bool = false, _ body: @escaping Body
    ) {
        self.name = name
        self.kind = kind
        self.summary = summary
        parameters = StructShape(name: name, fields: fields)
        positionalCount = positional ?? fields.count
        self.result = result
        isOpen = open
        self.body = body
    }

    static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })

    func read(_ values: RPCRequest.Parameters) throws(RPCError) -> ShapedObject {
        switch values {
        case .none: try parameters.read(JSONObject(), place: "")
        case .named(let object): try parameters.read(object, place: "")
        case .positional(let values): try parameters.read(positional: values, count: positionalCount)
        }
    }
}

// MARK: - The table

extension RPCMethod {
    static let all: [RPCMethod] = rkllm + rkllmAdditions + server

    private typealias Field = StructShape.Field

    private static let handle = Field(
        "handle", .text(maximumBytes: RPCLimits.nameBytes),
        "What rkllm.init returned; null is the handle that was opened last, or else the only served model.")

    private static let runFields =
        [
            handle,
            Field(
                "input", or: ["RKLLMInput"], .oneOrMany(.object(RKLLMStructs.input), maximum: RPCLimits.batchInputs),
                "What to go on from; an array of n_batch of them for a handle with n_batch above 1."),
            Field("infer_param", or: ["RKLLMInferParam"], .object(RKLLMStructs.inferParam), "How."),
            Field("userdata", .any, "Comes back with every notification."),
        ] + RKLLMStructs.input.fields + RKLLMStructs.inferParam.fields

    private static let runPositions = 4

    private static let success = "{success, message}"

    private static func text(_ name: String, _ bytes: Int, _ help: String) -> Field {
        Field(name, .text(maximumBytes: bytes), help)
    }

    private static let templateConfig = StructShape(
        name: "RKLLMTemplateConfig",
        fields: [
            text("system_prompt", RPCLimits.templateBytes, "Before everything."),
            text("prompt_prefix", RPCLimits.templateBytes, "Before the prompt."),
            text("prompt_postfix", RPCLimits.templateBytes, "After the prompt."),
            text("chat_template", RPCLimits.templateBytes, "Another name of system_prompt."),
        ])

    private static let rkllm = [
        RPCMethod(
            "rkllm.createDefaultParam", .instant, "The parameters that hold where nothing else is said.",
            result: "RKLLMParam", { session, call throws(RPCError) in session.createDefaultParam(call) }),
        RPCMethod(
            "rkllm.init", .waiting, "Opens a handle on a served model.",
            [
                Field("handle", .nothing, "Null."),
                Field("param", or: ["RKLLMParam"], .object(RKLLMStructs.param), "Parameters of the handle."),
                Field("callback", .nothing, "Null."),
                text("model_path", RPCLimits.pathBytes, "As the member of param."),
            ], positional: 3, result: "{success, message, handle, model, param, not_applied}",
            { session, call throws(RPCError) in try session.openHandle(call) }),
        RPCMethod(
            "rkllm.run", .streaming, "Continues an input.", runFields, positional: runPositions,
            result: "{finish_reason, text, token_ids, perf, timing, status_code, model, call_id}, or outputs",
            { session, call throws(RPCError) in try session.run(call, isAsynchronous: false) }),
        RPCMethod(
            "rkllm.run_async", .streaming, "Like run, but answered at once; rkllm.finished tells the end.", runFields,
            positional: runPositions, result: "{success, message, request_id}",
            { session, call throws(RPCError) in try session.run(call, isAsynchronous: true) }),
        RPCMethod(
            "rkllm.abort", .instant, "Ends the runs of a handle; what they have is their answer.", [handle],
            result: "{success, message, status_code, aborted}",
            { session, call throws(RPCError) in try session.abort(call) }),
        RPCMethod(
            "rkllm.is_running", .instant, "Whether a run of the handle is in progress.", [handle],
            result: "{is_running, status_code}", { session, call throws(RPCError) in try session.isRunning(call) }),
        RPCMethod(
            "rkllm.destroy", .instant, "Ends the handle and its runs; the model stays for others.", [handle],
            result: success, { session, call throws(RPCError) in try session.destroy(call) }),
        RPCMethod(
            "rkllm.load_lora", .waiting, "Loads an adapter into the handle's model; runs choose it by its name.",
            [
                handle,
                Field(
                    "lora_adapter", or: ["RKLLMLoraAdapter"], .object(RKLLMStructs.loraAdapter), required: true,
                    "The adapter; an administrator's key is needed, and a file below server.model_roots."),
            ], result: success, { session, call throws(RPCError) in try session.loadAdapter(call) }),
        RPCMethod(
            "rkllm.load_prompt_cache", .waiting, "Loads a prompt cache that a run has saved, in the place of another.",
            [
                handle,
                Field(
                    "prompt_cache_path", .text(maximumBytes: RPCLimits.pathBytes), required: true,
                    "A file in rpc.cache_root, for which an administrator's key is needed."),
            ], result: "{success, message, cache_path, positions}",
            { session, call throws(RPCError) in try session.loadPromptCache(call) }),
        RPCMethod(
            "rkllm.release_prompt_cache", .waiting, "Lets go of the prompt cache that was loaded.", [handle],
            result: success, { session, call throws(RPCError) in try session.releasePromptCache(call) }),
        RPCMethod(
            "rkllm.clear_kv_cache", .waiting, "Forgets what the handle keeps between runs, after the run in progress.",
            [
                handle,
                Field("keep_system_prompt", .flag, default: .bool(false), "All but the system prompt; not for ranges."),
                Field(
                    "start_pos", .list(of: .integer(0...(1 << 24)), maximum: RPCLimits.batchInputs),
                    "The first position of a range for each input, while a run is paused."),
                Field(
                    "end_pos", .list(of: .integer(0...(1 << 24)), maximum: RPCLimits.batchInputs),
                    "The position after the last one of each."),
            ], result: "{success, message, keep_system_prompt}",
            { session, call throws(RPCError) in try session.clearCache(call) }),
        RPCMethod(
            "rkllm.get_kv_cache_size", .instant,
            "Positions that the handle keeps, or that its run holds now, for each input.", [handle],
            result: "{success, message, cache_sizes}",
            { session, call throws(RPCError) in try session.cacheSize(call) }),
        RPCMethod(
            "rkllm.set_chat_template", .instant,
            "Puts prompts of this handle between strings, in the place of the model's template; all absent: undoes it. "
                + "What the handle kept is forgotten.",
            [handle] + templateConfig.fields.prefix(3) + [
                Field("template_config", .object(templateConfig), "The same in an object.")
            ], positional: 4, result: "{success, message, system_prompt, prompt_prefix, prompt_postfix}",
            { session, call throws(RPCError) in try session.setChatTemplate(call) }),
        RPCMethod(
            "rkllm.set_function_tools", .instant,
            "Tools that the model's template tells the model, for prompts of this handle; without tools: undoes it. "
                + "What the handle kept is forgotten.",
            [
                handle, text("system_prompt", RPCLimits.templateBytes, "A system message."),
                Field("tools", .any, "An array of definitions, or its JSON text."),
                text("tool_response_str", RPCLimits.nameBytes, "The model's template writes its own tag."),
            ], result: "{success, message, system_prompt, tools, tool_response_str, not_applied}",
            { session, call throws(RPCError) in try session.setFunctionTools(call) }),
        RPCMethod(
            "rkllm.set_cross_attn_params", .instant,
            "What the model's layers attend to besides, in runs of this handle; absent: undoes it.",
            [
                handle,
                Field(
                    "cross_attn_params", or: ["RKLLMCrossAttnParam"], .object(RKLLMStructs.crossAttnParam),
                    "The output of an encoder."),
            ], result: "{success, message, num_tokens}",
            { session, call throws(RPCError) in try session.setCrossAttention(call) }),
        RPCMethod(
            "rkllm.get_constants", .instant, "The numbers of rkllm.h by name.",
            result: "{CPU_MASKS, LLM_CALL_STATES, INPUT_TYPES, INFER_MODES}",
            { _, call throws(RPCError) in call.slot.answer(RKLLMConstants.document) }),
    ]

    private static let rkllmAdditions = [
        RPCMethod(
            "rkllm.cancel", .instant, "Ends one run of this connection.",
            [Field("request_id", .any, required: true, "The id of the run's request.")], result: "{success, cancelled}",
            { session, call throws(RPCError) in try session.cancel(call) }),
        RPCMethod(
            "rkllm.pause", .instant,
            "Ends the run of a handle so that it can go on; finish_reason is paused, if its engine can pause it.",
            [handle],
            result: "{success, message, paused}", { session, call throws(RPCError) in try session.pause(call) }),
        RPCMethod(
            "rkllm.resume", .streaming, "Goes on with the run that was paused last, as a run of its own.",
            [handle, Field("userdata", .any, "Comes back with every notification."), RKLLMStructs.timeout],
            positional: 2, result: "as rkllm.run", { session, call throws(RPCError) in try session.resume(call) }),
        RPCMethod(
            "rkllm.list_models", .instant, "The served models.", result: "{models}",
            { session, call throws(RPCError) in session.listModels(call) }),
        RPCMethod(
            "rkllm.status", .instant, "A handle, its model and its runs.", [handle],
            result: "{handle, model, state, runs}", { session, call throws(RPCError) in try session.status(call) }),
    ]

    private static let server = [
        RPCMethod(
            "rpc.discover", .instant, "This document.", result: "an OpenRPC document", open: true,
            { _, call throws(RPCError) in call.slot.answer(OpenRPCDocument.bytes) }),
        RPCMethod(
            "rpc.authenticate", .instant, "Shows an API key, or an administrator's.",
            [Field("key", .text(maximumBytes: RPCLimits.nameBytes), required: true, "The key.")],
            result: "{authenticated, administrator}", open: true,
            { session, call throws(RPCError) in try session.authenticate(call) }),
        RPCMethod(
            "rpc.configure", .instant, "How this connection wants its answers.",
            [
                Field("compat", .choice([("modern", 0), ("nano", 1)]), "The form of streams and final answers."),
                Field("stream", .flag, "Whether runs tell what they have while they go on; nano always does."),
                Field("tensors", .choice([("auto", 0), ("array", 1), ("base64", 2)]), "The form of tensors."),
            ], result: "{compat, stream, tensors}", { session, call throws(RPCError) in session.configure(call) }),
        RPCMethod(
            "server.info", .instant, "What this server is and can do.",
            result: "{name, version, protocol, needs_key, compat, capabilities, limits}", open: true,
            { session, call throws(RPCError) in session.serverInfo(call) }),
        RPCMethod(
            "server.health", .instant, "Whether models answer.", result: "{status, models}", open: true,
            { session, call throws(RPCError) in session.serverHealth(call) }),
        RPCMethod(
            "server.stats", .instant, "Figures of the door and of the workers.",
            result: "{uptime_seconds, connections, requests, runs_in_progress, models}",
            { session, call throws(RPCError) in session.serverStats(call) }),
    ]
}
