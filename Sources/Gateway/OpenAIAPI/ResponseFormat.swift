public import EngineProtocol
import JSON

/// Writes the answers to one generation: chunks of a stream, or one whole object.
///
/// What is the same in every chunk is written once.
public struct ResponseFormat: Sendable {
    public let shape: GenerationRequest.Shape
    private let includesUsage: Bool
    /// How every chunk begins, up to the value of `choices`.
    private let chunkHead: [UInt8]
    private let objectHead: [UInt8]

    /// - Parameter created: Unix time in seconds.
    public init(shape: GenerationRequest.Shape, id: String, model: String, created: UInt64, includesUsage: Bool) {
        self.shape = shape
        self.includesUsage = includesUsage
        let isChat = shape == .chat
        chunkHead =
            Array("data: ".utf8)
            + Self.head(id, object: isChat ? "chat.completion.chunk" : "text_completion", model, created)
        objectHead = Self.head(id, object: isChat ? "chat.completion" : "text_completion", model, created)
    }

    private static func head(_ id: String, object: String, _ model: String, _ created: UInt64) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("id")
        writer.string(id)
        writer.key("object")
        writer.string(object)
        writer.key("created")
        writer.integer(created)
        writer.key("model")
        writer.string(model)
        writer.key("choices")
        return writer.bytes
    }

    /// A chunk with new text.
    ///
    /// The first one of a choice carries the role too.
    ///
    /// - Parameter offset: characters of the choice's text before its log-probabilities; it is moved behind them.
    public func appendChunk(_ chunk: TokenChunk, isFirst: Bool, offset: inout Int, to bytes: inout [UInt8]) {
        appendChunk(
            choice: chunk.choice, text: chunk.text, isFirst: isFirst, reason: nil,
            logProbabilities: chunk.logProbabilities, offset: &offset, to: &bytes)
    }

    /// The last chunk of a choice.
    public func appendFinish(choice: UInt32, reason: FinishReason, isFirst: Bool, to bytes: inout [UInt8]) {
        var offset = 0
        appendChunk(
            choice: choice, text: nil, isFirst: isFirst, reason: reason, logProbabilities: [], offset: &offset,
            to: &bytes)
    }

    private func appendChunk(
        choice: UInt32, text: String?, isFirst: Bool, reason: FinishReason?,
        logProbabilities: [TokenLogProbabilities], offset: inout Int, to bytes: inout [UInt8]
    ) {
        bytes += chunkHead
        var writer = JSONWriter(reusing: bytes)
        bytes = []
        writer.beginArray()
        writer.beginObject()
        writer.key("index")
        writer.integer(choice)
        if shape == .chat {
            writer.key("delta")
            writer.beginObject()
            if isFirst {
                writer.key("role")
                writer.string("assistant")
            }
            if let content = text ?? (isFirst ? "" : nil) {
                writer.key("content")
                writer.string(content)
            }
            writer.endObject()
        } else {
            writer.key("text")
            writer.string(text ?? "")
        }
        append(logProbabilities.isEmpty ? nil : logProbabilities, offset: &offset, to: &writer)
        writer.key("finish_reason")
        if let reason { writer.string(reason.openAIName) } else { writer.null() }
        writer.endObject()
        writer.endArray()
        bytes = writer.bytes
        bytes += includesUsage ? Self.endWithoutUsage : Self.end
    }

    /// The chunk before `[DONE]`, if the client asked for it: no choices, the totals, the worker's times.
    public func appendUsage(_ usage: Usage, _ timings: Timings, to bytes: inout [UInt8]) {
        guard includesUsage else { return }
        bytes += chunkHead
        bytes += Array("[],".utf8)
        bytes += Self.totals(usage, timings)
        bytes += Self.end
    }

    /// An error after the start: a chunk of its own, after which only `[DONE]` comes.
    public static func appendError(_ error: APIError, to bytes: inout [UInt8]) {
        bytes += Array("data: ".utf8)
        bytes += error.body
        bytes += Array("\n\n".utf8)
    }

    public static func appendDone(to bytes: inout [UInt8]) { bytes += done }

    public static let keepAlive = Array(": keep-alive\n\n".utf8)
    private static let done = Array("data: [DONE]\n\n".utf8)
    private static let end = Array("}\n\n".utf8)
    private static let endWithoutUsage = Array(#","usage":null}"#.utf8) + Array("\n\n".utf8)

    /// The whole answer of a request that does not stream.
    public func wholeAnswer(_ choices: [CollectedChoice], _ usage: Usage, _ timings: Timings) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginArray()
        for (index, choice) in choices.enumerated() {
            writer.beginObject()
            writer.key("index")
            writer.integer(index)
            if shape == .chat {
                writer.key("message")
                writer.beginObject()
                writer.key("role")
                writer.string("assistant")
                writer.key("content")
                writer.string(choice.text)
                writer.key("refusal")
                writer.null()
                writer.endObject()
            } else {
                writer.key("text")
                writer.string(choice.text)
            }
            var offset = 0
            append(choice.logProbabilities, offset: &offset, to: &writer)
            writer.key("finish_reason")
            if let reason = choice.reason { writer.string(reason.openAIName) } else { writer.null() }
            writer.endObject()
        }
        writer.endArray()
        return objectHead + writer.bytes + Array(",".utf8) + Self.totals(usage, timings) + Array("}".utf8)
    }

    /// The member `logprobs`, null where there are none.
    private func append(_ entries: [TokenLogProbabilities]?, offset: inout Int, to writer: inout JSONWriter) {
        writer.key("logprobs")
        guard let entries else { return writer.null() }
        if shape == .chat {
            writer.chatLogProbabilities(entries)
        } else {
            writer.completionLogProbabilities(entries, offset: &offset)
        }
    }

    /// `"usage": {…}, "timings": {…}` without braces around.
    private static func totals(_ usage: Usage, _ timings: Timings) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("usage")
        writer.beginObject()
        writer.key("prompt_tokens")
        writer.integer(usage.promptTokens)
        writer.key("completion_tokens")
        writer.integer(usage.completionTokens)
        writer.key("total_tokens")
        writer.integer(UInt64(usage.promptTokens) + UInt64(usage.completionTokens))
        writer.key("prompt_tokens_details")
        writer.beginObject()
        writer.key("cached_tokens")
        writer.integer(usage.cachedTokens)
        writer.endObject()
        writer.key("completion_tokens_details")
        writer.beginObject()
        writer.key("accepted_prediction_tokens")
        writer.integer(usage.acceptedDraftTokens)
        writer.key("rejected_prediction_tokens")
        writer.integer(usage.rejectedDraftTokens)
        writer.endObject()
        writer.endObject()
        writer.key("timings")
        writer.beginObject()
        writer.key("preparation_ms")
        writer.double(Double(timings.preparation) / 1e6)
        writer.key("queue_ms")
        writer.double(Double(timings.queue) / 1e6)
        writer.key("prefill_ms")
        writer.double(Double(timings.prefill) / 1e6)
        writer.key("decode_ms")
        writer.double(Double(timings.decode) / 1e6)
        writer.endObject()
        writer.endObject()
        return Array(writer.bytes.dropFirst().dropLast())
    }
}

/// The text of one choice of an answer that does not stream.
public struct CollectedChoice: Sendable, Equatable {
    public var text = ""
    public var reason: FinishReason?
    /// Nil where none were asked for.
    public var logProbabilities: [TokenLogProbabilities]?

    public init(wantsLogProbabilities: Bool = false) { logProbabilities = wantsLogProbabilities ? [] : nil }
}

extension FinishReason {
    var openAIName: String {
        switch self {
        case .stop: "stop"
        case .length: "length"
        case .paused: "paused"
        }
    }
}
