import EngineProtocol
import JSON
import Observability
import Serving

/// The methods of `rkllm.h`.
extension RPCSession {
    func createDefaultParam(_ call: RPCInvocation) {
        call.slot.answer { $0.value(.object(RKLLMStructs.param.effective(nil))) }
    }

    func destroy(_ call: RPCInvocation) throws(RPCError) {
        let handle = try handle(call.fields)
        succeed(call, "the handle is closed")
        remove(handle)
    }

    /// What this engine has not: the handle is checked, so that a wrong one is told first.
    func refuse(_ call: RPCInvocation, _ feature: String) throws(RPCError) {
        _ = try handle(call.fields)
        throw .unsupported(feature)
    }

    private func succeed(
        _ call: RPCInvocation, _ message: String, _ more: (inout JSONWriter) -> Void = { _ in }
    ) {
        call.slot.answer { writer in
            writer.beginObject()
            writer.key("success")
            writer.bool(true)
            writer.key("message")
            writer.string(message)
            more(&writer)
            writer.endObject()
        }
    }
}

// MARK: - Opening

extension RPCSession {
    func openHandle(_ call: RPCInvocation) throws(RPCError) {
        guard handleCount < service.limits.handles else {
            throw .limit("open handles of one connection", limit: service.limits.handles, value: handleCount + 1)
        }
        let param = call.fields.object("param") ?? ShapedObject(place: "param")
        let settings = try RKLLMSettings(param)
        if settings.batchCount > 1, settings.contextLength != nil {
            throw .unsupported("a window of its own together with n_batch", field: param.path("max_context_len"))
        }
        let paths = Set([call.fields.text("model_path"), param.text("model_path")].compactMap(\.self))
        guard paths.count < 2 else {
            throw .invalid("model_path", "'model_path' and '\(param.path("model_path"))' disagree")
        }
        guard let path = paths.first, !path.isEmpty else { return wait(for: try onlyModel(), settings, call) }
        if service.serving.modelNames.contains(path) { return wait(for: path, settings, call) }
        if let name = service.nameOfModelAtPath(path) { return wait(for: name, settings, call) }
        guard path.contains("/") || path.hasSuffix(".gguf") || path.hasSuffix(".rkllm") else {
            throw RPCError(EngineError.modelNotFound(model: String(path.prefix(RPCLimits.nameBytes))))
        }
        try load(path, settings, call)
    }

    /// A file that no configuration names, as an administrator loads one over HTTP.
    private func load(_ path: String, _ settings: RKLLMSettings, _ call: RPCInvocation) throws(RPCError) {
        guard let administrator else {
            throw RPCError(
                .pathNotAllowed, type: "path_not_allowed",
                "'model_path' is the name or the path of a served model; another file needs an administrator's key "
                    + "(rpc.authenticate) and lies below server.model_roots"
            ).with("field", .string("model_path"))
        }
        service.logger.info("rpc.load", .string("path", path), .string("by", administrator))
        do throws(EngineError) {
            let model = try service.modelAtPath(path)
            try service.serving.load(model) { [weak self] result in
                switch result {
                case .success(let status): self?.wait(for: status.name, settings, call)
                case .failure(let error): call.slot.fail(RPCError(error))
                }
            }
        } catch {
            throw RPCError(error)
        }
    }

    private func wait(for model: String, _ settings: RKLLMSettings, _ call: RPCInvocation) {
        guard !isEnding else { return }
        let wait = ModelWait(service: service, model: model, tenant: tenant ?? "") { [weak self] wait, result in
            guard let self else { return }
            remove(wait)
            switch result {
            case .success: opened(model, settings, call)
            case .failure(let error): call.slot.fail(RPCError(error))
            }
        }
        add(wait)
        wait.start()
    }

    private func opened(_ model: String, _ settings: RKLLMSettings, _ call: RPCInvocation) {
        let description = service.model(model)?.description
        if let length = settings.contextLength, let description, length > description.contextLength {
            let field = "param.max_context_len"
            return call.slot.fail(
                .invalid(field, "'\(field)' is \(length); this model's context is \(description.contextLength)")
                    .with("limit", description.contextLength).with("value", length))
        }
        guard handleCount < service.limits.handles else {
            return call.slot.fail(
                .limit("open handles of one connection", limit: service.limits.handles, value: handleCount + 1))
        }
        let handle = RKLLMHandle(id: PublicID.make(prefix: "handle"), model: model, settings: settings)
        succeed(call, "the handle is open") { writer in
            writer.key("handle")
            writer.string(handle.id)
            writer.key("model")
            writer.string(model)
            writer.key("param")
            writer.value(
                .object(
                    settings.effective(
                        model: model, contextLength: description?.contextLength, threads: description?.threads)))
            writer.key("not_applied")
            writer.value(.array(settings.notApplied.map { .string($0) }))
        }
        add(handle)
    }
}

// MARK: - Runs

extension RPCSession {
    func run(_ call: RPCInvocation, isAsynchronous: Bool) throws(RPCError) {
        // Nobody could get what a run without an id says.
        guard let id = call.slot.id else { return call.slot.close("not_started") }
        guard runs[id] == nil else { throw .invalidRequest("the id is that of a run that has not ended") }
        guard runs.count < service.limits.runs else {
            throw RPCError(
                .busy, type: "too_many_runs", "this connection has \(runs.count) runs, which is the limit"
            ).with("limit", service.limits.runs).with("value", runs.count + 1)
        }
        guard options.compatibility == .modern || !call.slot.isInBatch else {
            throw .invalidRequest("with compat 'nano' a run is not part of a batch")
        }
        let handle = try handle(call.fields)
        let request = try RKLLMRunRequest(
            call.fields, handle: handle, model: service.model(handle.model)?.description)
        let run = RPCRun(
            id: id, handle: handle, request: request, isAsynchronous: isAsynchronous, slot: call.slot, session: self)
        try start(run)
        guard isAsynchronous else { return }
        succeed(call, "the run has been started") { [options] writer in
            guard options.compatibility == .modern else { return }
            writer.key("request_id")
            writer.raw(id.json)
        }
    }

    /// Answered before the runs end, so that the answer does not wait for anything.
    func abort(_ call: RPCInvocation) throws(RPCError) {
        let handle = try handle(call.fields)
        let count = runs(of: handle).count
        succeed(call, count == 0 ? "nothing is running" : "aborted") { writer in
            writer.key("status_code")
            writeStatusCode(count > 0, to: &writer)
            writer.key("aborted")
            writer.integer(count)
        }
        abortRuns(of: handle)
    }

    func isRunning(_ call: RPCInvocation) throws(RPCError) {
        let isRunning = try !runs(of: handle(call.fields)).isEmpty
        call.slot.answer { writer in
            writer.beginObject()
            writer.key("is_running")
            writer.bool(isRunning)
            writer.key("status_code")
            writeStatusCode(isRunning, to: &writer)
            writer.endObject()
        }
    }

    /// The vendor's return code, which this engine has not; for the ancestor's clients, what it would have been.
    private func writeStatusCode(_ isRunning: Bool, to writer: inout JSONWriter) {
        if options.compatibility == .nano { writer.integer(isRunning ? 0 : -1) } else { writer.null() }
    }

    func cancel(_ call: RPCInvocation) throws(RPCError) {
        guard let id = call.fields.json("request_id").flatMap(RPCID.init) else {
            throw .invalid("request_id", "'request_id' is a string or a number")
        }
        let run = runs[id]
        call.slot.answer { writer in
            writer.beginObject()
            writer.key("success")
            writer.bool(run != nil)
            writer.key("cancelled")
            writer.integer(run == nil ? 0 : 1)
            writer.endObject()
        }
        run?.abort()
    }

    func status(_ call: RPCInvocation) throws(RPCError) {
        let handle = try handle(call.fields)
        let runs = runs(of: handle).sorted { $0.outcome.arrival < $1.outcome.arrival }
        let model = service.model(handle.model)
        call.slot.answer { writer in
            writer.beginObject()
            writer.key("handle")
            writer.string(handle.id)
            writer.key("model")
            writer.string(handle.model)
            writer.key("model_state")
            if let model { writer.string(model.state.label) } else { writer.null() }
            writer.key("state")
            writer.string(runs.isEmpty ? "idle" : "running")
            writer.key("runs")
            writer.beginArray()
            for run in runs { run.writeStatus(to: &writer) }
            writer.endArray()
            writer.endObject()
        }
    }
}

extension RPCRun {
    fileprivate func writeStatus(to writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("request_id")
        writer.raw(id.json)
        writer.key("phase")
        writer.string(outcome.tokenCount > 0 ? "decoding" : isStarted ? "prefill" : "waiting")
        writer.key("prompt_tokens")
        if let count = outcome.promptTokens { writer.integer(count) } else { writer.null() }
        writer.key("tokens")
        writer.integer(outcome.tokenCount)
        writer.endObject()
    }

    /// Positions that it holds now.
    fileprivate var positions: Int { isStarted ? Int(outcome.promptTokens ?? 0) + outcome.tokenCount : 0 }
}

// MARK: - What is kept

extension RPCSession {
    func clearCache(_ call: RPCInvocation) throws(RPCError) {
        _ = try handle(call.fields)
        for name in ["start_pos", "end_pos"] where call.fields.has(name) {
            throw .unsupported("sessions (clearing a range of the KV cache)", field: name)
        }
        succeed(call, "nothing is kept between runs") { writer in
            writer.key("keep_system_prompt")
            writer.integer(call.fields.flag("keep_system_prompt") == true ? 1 : 0)
        }
    }

    func cacheSize(_ call: RPCInvocation) throws(RPCError) {
        let handle = try handle(call.fields)
        let positions = runs(of: handle).map(\.positions).max() ?? 0
        let count = handle.settings.batchCount
        succeed(call, "the positions of the run in progress") { writer in
            writer.key("cache_sizes")
            writer.beginArray()
            // Of a batch in progress only the sum is known.
            for _ in 0..<count { if count > 1, positions > 0 { writer.null() } else { writer.integer(positions) } }
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
