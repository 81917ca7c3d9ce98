import EngineProtocol
import JSON
import Platform
import Serving

/// The methods about the connection and the server.
extension RPCSession {
    func authenticate(_ call: RPCInvocation) throws(RPCError) {
        let isAdministrator = try authenticate(call.fields.text("key") ?? "")
        let isClient = tenant != nil
        call.slot.answer { writer in
            writer.beginObject()
            writer.key("authenticated")
            writer.bool(isClient)
            writer.key("administrator")
            writer.bool(isAdministrator)
            writer.endObject()
        }
    }

    func configure(_ call: RPCInvocation) {
        if let number = call.fields.integer("compat") {
            options.compatibility = number == 1 ? .nano : .modern
            // The ancestor's clients know arrays only.
            options.tensors = number == 1 ? .array : .auto
        }
        if let streams = call.fields.flag("stream") { options.streams = streams }
        if let number = call.fields.integer("tensors") { options.tensors = TensorEncoding.allCases[Int(number)] }
        let options = options
        call.slot.answer { writer in
            writer.beginObject()
            writer.key("compat")
            writer.string(options.compatibility.rawValue)
            writer.key("stream")
            writer.bool(options.streams)
            writer.key("tensors")
            writer.string(options.tensors.rawValue)
            writer.endObject()
        }
    }

    func listModels(_ call: RPCInvocation) {
        let models = service.serving.models
        call.slot.answer { writer in
            writer.beginObject()
            writer.key("models")
            writer.beginArray()
            for model in models {
                writer.beginObject()
                writer.state(of: model)
                writer.key("memory_bytes")
                writer.integer(model.memoryBytes)
                if let description = model.description { writer.members(of: description) }
                writer.endObject()
            }
            writer.endArray()
            writer.endObject()
        }
    }

    func serverInfo(_ call: RPCInvocation) {
        let limits = service.limits
        let needsKey = service.settings.tenantOfKey != nil
        call.slot.answer { writer in
            writer.beginObject()
            writer.key("name")
            writer.string("apus")
            writer.key("version")
            writer.string(BuildIdentity.version)
            writer.key("protocol")
            writer.string("JSON-RPC 2.0, one message per line")
            writer.key("needs_key")
            writer.bool(needsKey)
            writer.key("compat")
            writer.strings(RPCOptions.Compatibility.allCases.map(\.rawValue))
            writer.key("capabilities")
            writer.strings(Self.capabilities)
            writer.key("limits")
            writer.beginObject()
            for (name, value) in [
                ("message_bytes", limits.messageBytes), ("depth", limits.depth),
                ("batch_requests", limits.batchRequests), ("connections", limits.connections),
                ("requests_per_second", limits.requestsPerSecond), ("runs", limits.runs),
                ("handles", limits.handles), ("inline_tensor_values", limits.inlineTensorValues),
            ] {
                writer.key(name)
                writer.integer(value)
            }
            writer.endObject()
            writer.endObject()
        }
    }

    /// What the door can ask of an engine; one that has not something of it says so (-32005).
    private static let capabilities = [
        "prompt", "token_input", "embed_input", "multimodal_input", "generate", "last_hidden_layer", "logits",
        "pooling",
        "logits_top_k", "n_batch", "chat_template", "function_tools", "keep_history", "pause", "prompt_cache", "lora",
        "cross_attention", "abort", "seed", "stop", "timeout_ms",
    ]

    func serverHealth(_ call: RPCInvocation) {
        let models = service.serving.models
        let isReady = models.allSatisfy(\.isAvailable) && !service.isStopping
        call.slot.answer { [service] writer in
            writer.beginObject()
            writer.key("status")
            writer.string(isReady ? "ready" : "not ready")
            if service.isStopping {
                writer.key("reason")
                writer.string("the server is stopping")
            }
            writer.key("models")
            writer.beginArray()
            for model in models {
                writer.beginObject()
                writer.state(of: model)
                writer.endObject()
            }
            writer.endArray()
            writer.endObject()
        }
    }

    func serverStats(_ call: RPCInvocation) {
        let models = service.serving.models
        call.slot.answer { [service] writer in
            writer.beginObject()
            writer.key("uptime_seconds")
            writer.double(Double(MonotonicClock.now() - service.startedAt) / 1e9)
            writer.key("connections")
            writer.integer(service.connectionCount)
            writer.key("requests")
            writer.integer(service.requestCount)
            writer.key("runs_in_progress")
            writer.integer(service.runsInProgress)
            writer.key("models")
            writer.beginArray()
            for model in models { writer.statistics(of: model) }
            writer.endArray()
            writer.endObject()
        }
    }
}

extension JSONWriter {
    fileprivate mutating func strings(_ values: [String]) {
        beginArray()
        for value in values { string(value) }
        endArray()
    }

    fileprivate mutating func state(of model: ModelStatus) {
        key("name")
        string(model.name)
        key("state")
        string(model.state.label)
        if let reason = model.stateReason {
            key("reason")
            string(reason)
        }
    }

    fileprivate mutating func members(of model: ModelDescription) {
        key("engine")
        string(model.isForRuntime ? "rkllm" : "native")
        key("architecture")
        string(model.architecture)
        key("parameters")
        integer(model.parameterCount)
        key("max_context_len")
        integer(model.contextLength)
        key("vocab_size")
        integer(model.vocabularySize)
        key("embd_size")
        integer(model.embeddingWidth)
        key("has_chat_template")
        bool(model.hasChatTemplate)
    }

    fileprivate mutating func statistics(of model: ModelStatus) {
        beginObject()
        state(of: model)
        key("calls_in_flight")
        integer(model.callsInFlight)
        key("calls_lost")
        integer(model.callsLost)
        key("worker_restarts")
        integer(model.restarts)
        key("worker")
        if let statistics = model.statistics {
            beginObject()
            for (name, value) in [
                ("sequences_running", UInt64(statistics.sequencesRunning)),
                ("sequences_waiting", UInt64(statistics.sequencesWaiting)),
                ("cache_blocks_used", statistics.cacheBlocksUsed), ("cache_blocks", statistics.cacheBlocks),
                ("prompt_tokens", statistics.promptTokens), ("cached_tokens", statistics.cachedTokens),
                ("generated_tokens", statistics.generatedTokens), ("steps", statistics.steps),
                ("cancelled", statistics.cancelled),
            ] {
                key(name)
                integer(value)
            }
            endObject()
        } else {
            null()
        }
        endObject()
    }
}

extension ModelDescription {
    /// What a worker says of a model that runs in the vendor's runtime.
    var isForRuntime: Bool { architecture == "rkllm" }
}
