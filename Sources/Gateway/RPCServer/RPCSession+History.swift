import EngineProtocol
import JSON
import Observability
import Serving

/// The methods about what a handle keeps: templates, tools, positions, prompt caches, adapters.
extension RPCSession {
    /// Has a change made in the handle's session when it is its turn, and answers then.
    private func change(
        _ handle: RKLLMHandle, to change: SessionChange, _ call: RPCInvocation?,
        file: CacheRootFile? = nil, done: @escaping (SessionState) -> Void
    ) throws(RPCError) {
        let history = try history(of: handle)
        guard history.stepCount < service.limits.runs else {
            throw RPCError(.busy, type: "too_many_runs", "\(history.stepCount) things wait for the handle's run to end")
                .with("limit", service.limits.runs).with("value", history.stepCount + 1)
        }
        let isRange = if case .clearRange = change { true } else { false }
        let name = PublicID.make(prefix: "change")
        let identity = CallIdentity(publicID: name, requestID: name, tenant: tenant ?? "")
        let answer = PendingAnswer(serving: service.serving) { [weak self] answer, result in
            self?.remove(answer)
            switch result {
            case .success(.session(let state)): done(state)
            case .success: call?.slot.fail(RPCError(.internalError(id: name, message: "the model said something else")))
            case .failure(let error): call?.slot.fail(RPCError(error))
            }
        }
        let files = try file.map { file throws(RPCError) in [try file.open()] } ?? []
        add(answer)
        history.add(
            HandleHistory.Step(
                needsHistory: isRange,
                begin: { [service] session throws(EngineError) in
                    try answer.begin { listener throws(EngineError) in
                        try service.serving.submit(
                            .changeSession(session.id, change), in: session, identity: identity, files: files,
                            listener: listener)
                    }
                },
                fail: { [weak self] error in
                    self?.remove(answer)
                    call?.slot.fail(error)
                }))
    }

    /// As the vendor's runtime does when prompts are to look otherwise.
    private func forgetHistory(of handle: RKLLMHandle) {
        guard handle.history != nil else { return }
        handle.paused = nil
        handle.history?.keptSystemPrompt = false
        try? change(handle, to: .clear(keepsSystemPrompt: false), nil) { _ in }
    }
}

// MARK: - Prompt caches

extension RPCSession {
    /// A file that an administrator names.
    func cacheRootFile(_ path: String, field: String) throws(RPCError) -> CacheRootFile {
        guard administrator != nil else {
            throw .pathNotAllowed(field, "'\(field)' needs an administrator's key (rpc.authenticate)")
        }
        return try CacheRootFile(path, root: service.settings.cacheRoot, field: field)
    }

    func loadPromptCache(_ call: RPCInvocation) throws(RPCError) {
        let handle = try handle(call.fields)
        try refuseBatch(handle, "prompt caches")
        let path = call.fields.text("prompt_cache_path") ?? ""
        let file = try cacheRootFile(path, field: "prompt_cache_path")
        service.logger.info("rpc.load_cache", .string("path", path), .string("by", administrator ?? ""))
        try change(handle, to: .loadCache, call, file: file) { [weak self] state in
            self?.succeed(call, "prompts that begin like the saved one go on from it") { writer in
                writer.key("cache_path")
                writer.string(path)
                writer.key("positions")
                writer.integer(state.cachedPositions)
            }
        }
    }

    func releasePromptCache(_ call: RPCInvocation) throws(RPCError) {
        let handle = try handle(call.fields)
        guard handle.history != nil else { return succeed(call, "no prompt cache is loaded") }
        try change(handle, to: .releaseCache, call) { [weak self] _ in
            self?.succeed(call, "no prompt cache is loaded any more")
        }
    }

    private func refuseBatch(_ handle: RKLLMHandle, _ what: String) throws(RPCError) {
        guard handle.settings.batchCount == 1 else { throw .unsupported("\(what) together with n_batch") }
    }
}

// MARK: - Adapters and encoders

extension RPCSession {
    /// Loads an adapter into the handle's model, for all its clients; runs choose it by its name.
    func loadAdapter(_ call: RPCInvocation) throws(RPCError) {
        let handle = try handle(call.fields)
        guard let adapter = call.fields.object("lora_adapter") else {
            throw .invalid("lora_adapter", "'lora_adapter' is missing")
        }
        let field = adapter.path("lora_adapter_path")
        guard let administrator else {
            throw .pathNotAllowed(field, "'\(field)' needs an administrator's key (rpc.authenticate)")
        }
        let path = adapter.text("lora_adapter_path") ?? ""
        service.logger.info("rpc.load_adapter", .string("path", path), .string("by", administrator))
        let request = AdapterRequest(
            name: adapter.text("lora_adapter_name") ?? "", scale: adapter.number("scale") ?? 1)
        let answer = PendingAnswer(serving: service.serving) { [weak self] answer, result in
            guard let self else { return }
            remove(answer)
            switch result {
            case .success: succeed(call, "the adapter is loaded")
            case .failure(let error): call.slot.fail(RPCError(error))
            }
        }
        let name = PublicID.make(prefix: "adapter")
        do throws(EngineError) {
            let file = try service.adapterAtPath(path)
            try answer.begin { [service, tenant] listener throws(EngineError) in
                try service.serving.submit(
                    .loadAdapter(request), model: handle.model,
                    identity: CallIdentity(publicID: name, requestID: name, tenant: tenant ?? ""), files: [file],
                    listener: listener)
            }
        } catch {
            throw RPCError(error).named(field)
        }
        add(answer)
    }

    func setCrossAttention(_ call: RPCInvocation) throws(RPCError) {
        let handle = try handle(call.fields)
        let fields = call.fields.object("cross_attn_params")
        guard handle.settings.usesCrossAttention || fields == nil else {
            throw .invalid("cross_attn_params", "the handle was opened without 'extend_param.use_cross_attn'")
        }
        try handle.set(try fields.map { fields throws(RPCError) in try CrossAttention(fields) }, in: service)
        succeed(call, fields == nil ? "no cross attention" : "runs of this handle attend to it") { writer in
            writer.key("num_tokens")
            writer.integer(fields?.integer("num_tokens") ?? 0)
        }
    }
}

extension CrossAttention {
    fileprivate init(_ fields: ShapedObject) throws(RPCError) {
        let count = Int(fields.integer("num_tokens") ?? 0)
        func tensor(_ name: String) throws(RPCError) -> Tensor {
            try Tensor(flat: fields.json(name) ?? .null, place: fields.path(name))
        }
        func check(_ name: String, _ found: Int, _ holds: Bool, _ wanted: String) throws(RPCError) {
            guard !holds else { return }
            throw .invalid(fields.path(name), "'\(fields.path(name))' has \(found) values; \(wanted)")
                .with("limit", count).with("value", found)
        }
        let (keys, values) = (try tensor("encoder_k_cache"), try tensor("encoder_v_cache"))
        let mask = try tensor("encoder_mask")
        let positions = (fields.list("encoder_pos") ?? []).compactMap { value in
            if case .integer(let place) = value { Int32(place) } else { nil }
        }
        let (keyCount, valueCount) = (keys.values.count, values.values.count)
        try check("encoder_k_cache", keyCount, keyCount % count == 0, "a multiple of 'num_tokens' is needed")
        try check("encoder_v_cache", valueCount, valueCount == keyCount, "as many as keys are needed: \(keyCount)")
        try check("encoder_mask", mask.values.count, mask.values.count == count, "one for each token is needed")
        try check("encoder_pos", positions.count, positions.count == count, "one for each token is needed")
        self.init(keys: keys, values: values, mask: mask, positions: positions)
    }
}

// MARK: - Positions and templates

extension RPCSession {
    func clearCache(_ call: RPCInvocation) throws(RPCError) {
        let handle = try handle(call.fields)
        let range = try clearedRange(call.fields, of: handle)
        let keeps = call.fields.flag("keep_system_prompt") ?? false
        func answer(_ message: String) {
            succeed(call, message) { writer in
                writer.key("keep_system_prompt")
                writer.integer(keeps ? 1 : 0)
            }
        }
        guard let history = handle.history else { return answer("nothing is kept between runs") }
        if range == nil { handle.paused = nil }
        let holds = history.state.positions > 0 || !runs(of: handle).isEmpty
        try change(handle, to: range ?? .clear(keepsSystemPrompt: keeps), call) { [weak history] _ in
            if range == nil { history?.keptSystemPrompt = keeps && holds }
            answer(range == nil ? "what was kept is forgotten" : "the range is forgotten")
        }
    }

    /// The positions to forget, if they are named: one range for each input, and only of a paused run.
    private func clearedRange(_ fields: ShapedObject, of handle: RKLLMHandle) throws(RPCError) -> SessionChange? {
        guard fields.has("start_pos") || fields.has("end_pos") else { return nil }
        let count = handle.settings.batchCount
        func places(_ name: String) throws(RPCError) -> [UInt32] {
            let places = (fields.list(name) ?? []).compactMap { value in
                if case .integer(let place) = value { UInt32(place) } else { nil }
            }
            guard places.count == count else {
                throw .invalid(name, "'\(name)' has \(places.count) positions; the handle's 'n_batch' is \(count)")
                    .with("limit", count).with("value", places.count)
            }
            return places
        }
        let (starts, ends) = (try places("start_pos"), try places("end_pos"))
        guard handle.paused != nil, let start = starts.first, let end = ends.first else {
            throw .invalid("start_pos", "a range can be forgotten while a run of the handle is paused, and none is")
        }
        guard start < end else { throw .invalid("end_pos", "'end_pos' is \(end), which is not above \(start)") }
        return .clearRange(first: start, end: end)
    }

    func cacheSize(_ call: RPCInvocation) throws(RPCError) {
        let handle = try handle(call.fields)
        let kept = Int(handle.history?.state.positions ?? 0)
        let positions = runs(of: handle).map(\.positions).max() ?? 0
        let count = handle.settings.batchCount
        succeed(call, positions > 0 ? "the positions of the run in progress" : "the positions that are kept") {
            writer in
            writer.key("cache_sizes")
            writer.beginArray()
            // Of a batch in progress only the sum is known.
            for _ in 0..<count {
                if count > 1, positions > 0 { writer.null() } else { writer.integer(positions > 0 ? positions : kept) }
            }
            writer.endArray()
        }
    }

    func setChatTemplate(_ call: RPCInvocation) throws(RPCError) {
        let handle = try handle(call.fields)
        let names = ["system_prompt", "prompt_prefix", "prompt_postfix"]
        var config = call.fields
        if let object = call.fields.object("template_config") {
            guard !names.contains(where: call.fields.has) else {
                throw .invalid("template_config", "'template_config' holds what is given beside it too")
            }
            config = object
        }
        if config.has("chat_template"), config.has("system_prompt") {
            throw .invalid(config.path("chat_template"), "'chat_template' is another name of 'system_prompt'")
        }
        let values = names.map { config.text($0) ?? ($0 == "system_prompt" ? config.text("chat_template") : nil) }
        let isSet = values.contains { $0 != nil }
        guard !isSet || handle.tools == nil else {
            throw .invalid("prompt_prefix", "the handle has function tools, which need the model's own template")
        }
        handle.frame =
            isSet
            ? RKLLMHandle.PromptFrame(system: values[0] ?? "", prefix: values[1] ?? "", postfix: values[2] ?? "") : nil
        forgetHistory(of: handle)
        succeed(call, isSet ? "prompts stand between these strings" : "the model's template holds") { writer in
            for (name, value) in zip(names, values) {
                guard let value else { continue }
                writer.key(name)
                writer.string(value)
            }
        }
    }

    func setFunctionTools(_ call: RPCInvocation) throws(RPCError) {
        let handle = try handle(call.fields)
        let definitions = try Self.definitions(call.fields.json("tools"))
        let system = call.fields.text("system_prompt")
        guard definitions == nil || handle.frame == nil else {
            throw .invalid("tools", "rkllm.set_chat_template has replaced the model's template, which tells tools")
        }
        handle.tools = definitions.map { RKLLMHandle.FunctionTools(system: system, definitions: $0) }
        forgetHistory(of: handle)
        succeed(call, definitions == nil ? "no tools" : "the model's template tells the tools") { writer in
            if let system {
                writer.key("system_prompt")
                writer.string(system)
            }
            if let definitions {
                writer.key("tools")
                writer.string(definitions)
            }
            let tag = call.fields.text("tool_response_str")
            if let tag {
                writer.key("tool_response_str")
                writer.string(tag)
            }
            writer.key("not_applied")
            writer.value(.array(tag == nil ? [] : [.string("tool_response_str")]))
        }
    }

    /// The JSON text of an array of tools; nil for none.
    private static func definitions(_ value: JSONValue?) throws(RPCError) -> String? {
        guard let value else { return nil }
        var array = value
        if let text = value.stringValue {
            if text.isEmpty { return nil }
            do {
                array = try JSONValue.parse(text, limits: JSONLimits(depth: 32, bytes: RPCLimits.toolsBytes))
            } catch {
                throw .invalid("tools", "'tools': \(error)")
            }
        }
        guard let tools = array.arrayValue else {
            throw .wrongType("tools", "an array of tools, or its JSON text", value)
        }
        guard !tools.isEmpty else { return nil }
        let text = array.serializedText
        guard text.utf8.count <= RPCLimits.toolsBytes else {
            throw .invalid("tools", "'tools' has \(text.utf8.count) bytes; the limit is \(RPCLimits.toolsBytes)")
                .with("limit", RPCLimits.toolsBytes).with("value", text.utf8.count)
        }
        return text
    }
}
