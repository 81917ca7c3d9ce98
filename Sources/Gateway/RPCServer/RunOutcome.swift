import EngineProtocol
import JSON

/// What a run has made so far, and at last its whole answer.
struct RunOutcome {
    enum Reason: String {
        case stop
        case length
        case paused
        case aborted
    }

    /// The answer to one input.
    struct Output {
        var text = ""
        var tokenIDs: [Int32] = []
        /// The JSON of each.
        var toolCalls: [String] = []
        var reason: FinishReason?
        /// Rows, where they are to be in the answer as a whole.
        var rows: RunRows?
    }

    var outputs: [Output]
    var promptTokens: UInt32?
    var cachedTokens: UInt32?
    /// Monotonic times of the door.
    let arrival: UInt64
    var firstToken: UInt64?

    init(inputs: Int, arrival: UInt64) {
        outputs = Array(repeating: Output(), count: inputs)
        self.arrival = arrival
    }

    func lastToken(of choice: UInt32) -> Int32? {
        choice < outputs.count ? outputs[Int(choice)].tokenIDs.last : nil
    }

    var tokenCount: Int { outputs.reduce(0) { $0 + $1.tokenIDs.count } }

    /// Why the run ended as a whole: paused, or by the limit, if one of its outputs did.
    var reason: Reason {
        if outputs.contains(where: { $0.reason == .paused }) { return .paused }
        return outputs.contains { $0.reason == .length } ? .length : .stop
    }

    /// - Returns: the chunk as RKLLM's clients know it: tool calls are text between tags.
    mutating func add(_ chunk: TokenChunk, now: UInt64) -> TokenChunk {
        firstToken = firstToken ?? now
        var chunk = chunk
        guard chunk.choice < outputs.count else { return chunk }
        if chunk.kind == .toolCall {
            outputs[Int(chunk.choice)].toolCalls.append(chunk.text)
            chunk.text = "<tool_call>\(chunk.text)</tool_call>"
        }
        outputs[Int(chunk.choice)].text += chunk.text
        outputs[Int(chunk.choice)].tokenIDs += chunk.ids
        return chunk
    }

    mutating func add(_ rows: RunRows, of input: UInt32) {
        guard input < outputs.count else { return }
        if outputs[Int(input)].rows == nil {
            outputs[Int(input)].rows = rows
        } else {
            outputs[Int(input)].rows?.append(rows)
        }
    }

    /// The final response's result.
    ///
    /// - Parameters:
    ///   - perf: nil where the worker measured nothing, because the run did not come to its end.
    ///   - savedCache: whether the prompt's cache was saved, if that was wanted.
    func document(
        _ reason: Reason, call: String, model: String, perf: RunPerformance?, savedCache: Bool? = nil,
        encoding: TensorEncoding, inlineValues: Int, now: UInt64
    ) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("finish_reason")
        writer.string(reason.rawValue)
        if outputs.count == 1 {
            write(outputs[0], encoding, inlineValues, to: &writer)
        } else {
            writer.key("outputs")
            writer.beginArray()
            for output in outputs {
                writer.beginObject()
                writer.key("finish_reason")
                writer.string(reason == .aborted && output.reason == nil ? "aborted" : output.reason?.rpcName ?? "stop")
                write(output, encoding, inlineValues, to: &writer)
                writer.endObject()
            }
            writer.endArray()
        }
        writer.key("perf")
        if let perf { perf.write(to: &writer) } else { writer.null() }
        writer.key("timing")
        writeTiming(perf, now: now, to: &writer)
        // A vendor's return code: engines tell errors in words.
        writer.key("status_code")
        writer.null()
        if let savedCache {
            writer.key("prompt_cache_saved")
            writer.bool(savedCache)
        }
        writer.key("model")
        writer.string(model)
        writer.key("call_id")
        writer.string(call)
        writer.endObject()
        return writer.bytes
    }

    private func write(
        _ output: Output, _ encoding: TensorEncoding, _ inlineValues: Int, to writer: inout JSONWriter
    ) {
        writer.key("text")
        writer.string(output.text)
        writer.key("token_ids")
        writer.tokenIDs(output.tokenIDs)
        if !output.toolCalls.isEmpty {
            writer.key("tool_calls")
            writer.beginArray()
            for call in output.toolCalls { writer.raw(Array(call.utf8)) }
            writer.endArray()
        }
        if let rows = output.rows { writer.rows(rows, encoding, inlineValues) }
    }

    private func writeTiming(_ perf: RunPerformance?, now: UInt64, to writer: inout JSONWriter) {
        func optional(_ key: StaticString, _ nanoseconds: UInt64?, _ writer: inout JSONWriter) {
            writer.key(key)
            if let nanoseconds { writer.milliseconds(nanoseconds) } else { writer.null() }
        }
        writer.beginObject()
        optional("preparation_ms", perf?.timings.preparation, &writer)
        optional("queue_ms", perf?.timings.queue, &writer)
        optional("prefill_ms", perf?.timings.prefill, &writer)
        optional("decode_ms", perf?.timings.decode, &writer)
        optional("first_token_ms", firstToken.map { $0 - arrival }, &writer)
        optional("total_ms", now - arrival, &writer)
        writer.key("tokens_per_second")
        if let perf, perf.timings.decode > 0, perf.usage.completionTokens > 1 {
            writer.double(Double(perf.usage.completionTokens - 1) / (Double(perf.timings.decode) / 1e9))
        } else {
            writer.null()
        }
        writer.key("prompt_tokens")
        if let promptTokens { writer.integer(promptTokens) } else { writer.null() }
        writer.key("cached_tokens")
        if let cachedTokens { writer.integer(cachedTokens) } else { writer.null() }
        writer.endObject()
    }
}

extension FinishReason {
    fileprivate var rpcName: String {
        switch self {
        case .stop: "stop"
        case .length: "length"
        case .paused: "paused"
        }
    }
}
