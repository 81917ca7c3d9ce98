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

    func succeed(
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
    /// The id of a run that may begin; nil where nobody could get what it says.
    private func idOfRun(_ call: RPCInvocation) throws(RPCError) -> RPCID? {
        guard let id = call.slot.id else {
            call.slot.close("not_started")
            return nil
        }
        guard runs[id] == nil else { throw .invalidRequest("the id is that of a run that has not ended") }
        guard runs.count < service.limits.runs else {
            throw RPCError(
                .busy, type: "too_many_runs", "this connection has \(runs.count) runs, which is the limit"
            ).with("limit", service.limits.runs).with("value", runs.count + 1)
        }
        guard options.compatibility == .modern || !call.slot.isInBatch else {
            throw .invalidRequest("with compat 'nano' a run is not part of a batch")
        }
        return id
    }

    func run(_ call: RPCInvocation, isAsynchronous: Bool) throws(RPCError) {
        guard let id = try idOfRun(call) else { return }
        let handle = try handle(call.fields)
        let request = try RKLLMRunRequest(
            call.fields, handle: handle, model: service.model(handle.model)?.description)
        let target = try request.cachePath.map { path throws(RPCError) in
            try cacheRootFile(path, field: "prompt_cache_path")
        }
        // Where something is kept, every run is in its order.
        let history = request.usesHistory || handle.history != nil ? try history(of: handle) : nil
        try start(
            RPCRun(
                id: id, handle: handle, request: request, history: history, cacheTarget: target,
                isAsynchronous: isAsynchronous, slot: call.slot, session: self))
        guard isAsynchronous else { return }
        succeed(call, "the run has been started") { [options] writer in
            guard options.compatibility == .modern else { return }
            writer.key("request_id")
            writer.raw(id.json)
        }
    }

    /// Goes on with the run that was paused last.
    func resume(_ call: RPCInvocation) throws(RPCError) {
        guard let id = try idOfRun(call) else { return }
        let handle = try handle(call.fields)
        guard let paused = handle.paused, let history = handle.history else {
            throw RPCError(.invalidParams, type: "not_paused", "no run of this handle is paused")
        }
        let request = try RKLLMRunRequest(resuming: paused, call.fields)
        handle.paused = nil
        try start(
            RPCRun(
                id: id, handle: handle, request: request, history: history, isAsynchronous: false, slot: call.slot,
                session: self))
    }

    /// Answered at once; what the runs have is their answer, and can be gone on with.
    func pause(_ call: RPCInvocation) throws(RPCError) {
        let handle = try handle(call.fields)
        let runs = runs(of: handle)
        let count = runs.count { $0.pause() }
        guard count > 0 || runs.isEmpty else {
            throw .invalid("pausable", "the run keeps nothing: runs with 'keep_history' or 'pausable' can be paused")
        }
        let answer = "the run pauses, or goes on to its end where its engine cannot pause it: its finish_reason tells"
        succeed(call, count == 0 ? "nothing is running" : answer) { writer in
            writer.key("paused")
            writer.integer(count)
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
            writer.string(runs.isEmpty ? handle.paused == nil ? "idle" : "paused" : "running")
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
    var positions: Int { isStarted ? Int(outcome.promptTokens ?? 0) + outcome.tokenCount : 0 }
}
