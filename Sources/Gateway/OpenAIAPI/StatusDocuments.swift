import EngineProtocol
import JSON
import Platform
import Serving

/// The JSON of probes, models and cancellations.
enum StatusDocuments {
    static let live = Array(#"{"status":"live"}"#.utf8)

    struct Readiness {
        let isReady: Bool
        let body: [UInt8]
        let retryAfterMilliseconds: UInt32?
    }

    /// By then another server may have taken this one's place.
    private static let stoppingRetryMilliseconds: UInt32 = 5000

    /// Ready means: every model answers, if need be after it has been loaded for the request, and the server takes
    /// requests.
    static func readiness(_ models: [ModelStatus], isStopping: Bool = false) -> Readiness {
        let waiting = models.filter { !$0.isAvailable }
        let isReady = waiting.isEmpty && !isStopping
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("status")
        writer.string(isReady ? "ready" : "not ready")
        if isStopping {
            writer.key("reason")
            writer.string("the server is stopping")
        }
        writer.key("models")
        writer.beginArray()
        for model in models {
            writer.beginObject()
            writer.key("id")
            writer.string(model.name)
            writer.key("state")
            writer.string(model.state.rawValue)
            if let reason = model.stateReason {
                writer.key("reason")
                writer.string(reason)
            }
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        return Readiness(
            isReady: isReady, body: writer.bytes,
            retryAfterMilliseconds: isStopping
                ? stoppingRetryMilliseconds
                : waiting.map(\.retryAfterMilliseconds).filter { $0 > 0 }.max())
    }

    static func modelList(_ models: [ModelStatus]) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("object")
        writer.string("list")
        writer.key("data")
        writer.beginArray()
        for model in models { write(model, into: &writer) }
        writer.endArray()
        writer.endObject()
        return writer.bytes
    }

    static func model(_ model: ModelStatus) -> [UInt8] {
        var writer = JSONWriter()
        write(model, into: &writer)
        return writer.bytes
    }

    private static func write(_ model: ModelStatus, into writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("id")
        writer.string(model.name)
        writer.key("object")
        writer.string("model")
        writer.key("created")
        writer.integer(startedAt)
        writer.key("owned_by")
        writer.string("apus")
        writer.key("state")
        writer.string(model.state.rawValue)
        if let reason = model.stateReason {
            writer.key("reason")
            writer.string(reason)
        }
        if model.isBeingReplaced {
            writer.key("replacing")
            writer.bool(true)
        }
        writer.key("load")
        writer.string(model.loadsOnDemand ? "demand" : "start")
        writeMemory(of: model, into: &writer)
        if let context = model.description?.contextLength ?? model.configuredContextLength {
            writer.key("context_length")
            writer.integer(context)
        }
        if let description = model.description {
            writeCapabilities(of: description, into: &writer)
            writer.key("meta")
            writer.beginObject()
            writer.key("architecture")
            writer.string(description.architecture)
            writer.key("name")
            writer.string(description.name)
            writer.key("parameters")
            writer.integer(description.parameterCount)
            writer.key("vocabulary_size")
            writer.integer(description.vocabularySize)
            writer.key("trained_context_length")
            writer.integer(description.trainedContextLength)
            writer.key("parallel")
            writer.integer(description.parallel)
            writer.key("weight_bytes")
            writer.integer(description.weightBytes)
            writer.key("key_value_cache_bytes")
            writer.integer(description.keyValueCacheBytes)
            writer.key("has_chat_template")
            writer.bool(description.hasChatTemplate)
            writer.endObject()
        }
        writer.endObject()
    }

    private static func writeMemory(of model: ModelStatus, into writer: inout JSONWriter) {
        writer.key("memory")
        writer.beginObject()
        writer.key("taken_bytes")
        writer.integer(model.memoryBytes)
        if let description = model.description {
            writer.key("loaded_bytes")
            writer.integer(description.memoryBytes)
        }
        writer.endObject()
    }

    private static func writeCapabilities(of description: ModelDescription, into writer: inout JSONWriter) {
        writer.key("capabilities")
        writer.beginArray()
        writer.string("completion")
        if description.hasChatTemplate { writer.string("chat") }
        writer.endArray()
    }

    /// When this process began to serve, as Unix time in seconds.
    private static let startedAt = WallClock.now() / 1_000_000_000

    static func cancelled(id: String, count: Int) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("id")
        writer.string(id)
        writer.key("object")
        writer.string("request.cancelled")
        writer.key("cancelled")
        writer.integer(count)
        writer.endObject()
        return writer.bytes
    }
}
