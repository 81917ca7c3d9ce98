import EngineProtocol
import JSON

/// What one answer to a run's client holds.
struct RunResult {
    enum State: Int {
        case normal = 0
        /// The bytes of a token are not a whole character yet.
        case waiting = 1
        case finish = 2
        case error = 3
    }

    var text: String?
    var tokenIDs: [Int32] = []
    var state = State.normal
    /// Which input of a batch; nil for a run with one input.
    var batchIndex: UInt32?
    var rows: RunRows?
    var perf: RunPerformance?
    var error: RPCError?
}

/// The five figures of `RKLLMPerfStat`: the vendor's own where its runtime tells them, else the worker's.
struct RunPerformance: Sendable, Equatable {
    var usage: Usage
    var timings: Timings
    /// The most memory that the worker's process has had; nil if the system does not say.
    var memoryMebibytes: Double?

    func write(to writer: inout JSONWriter) {
        let runtime = timings.runtime
        writer.beginObject()
        writer.key("prefill_time_ms")
        if let runtime { writer.float(runtime.prefillMilliseconds) } else { writer.milliseconds(timings.prefill) }
        writer.key("prefill_tokens")
        writer.integer(runtime?.prefillTokens ?? usage.promptTokens - min(usage.promptTokens, usage.cachedTokens))
        writer.key("generate_time_ms")
        if let runtime { writer.float(runtime.generateMilliseconds) } else { writer.milliseconds(timings.decode) }
        writer.key("generate_tokens")
        writer.integer(runtime?.generateTokens ?? usage.completionTokens)
        writer.key("memory_usage_mb")
        if let runtime {
            writer.float(runtime.memoryMegabytes)
        } else if let memoryMebibytes {
            writer.double(memoryMebibytes)
        } else {
            writer.null()
        }
        writer.endObject()
    }
}

/// Writes the messages of one run, each a line.
struct RunFrames {
    let id: RPCID
    let encoding: TensorEncoding
    let inlineValues: Int
    /// What the client wants back with each notification, as JSON.
    let userdata: [UInt8]?
    private var sequence: UInt64 = 0

    init(id: RPCID, encoding: TensorEncoding, inlineValues: Int, userdata: [UInt8]?) {
        self.id = id
        self.encoding = encoding
        self.inlineValues = inlineValues
        self.userdata = userdata
    }

    /// A part of the answer, as a notification.
    mutating func appendNotification(_ result: RunResult, to output: inout [UInt8]) {
        appendNotification("rkllm.stream", to: &output) { [encoding, inlineValues] writer in
            writer.key("result")
            writer.beginObject()
            writer.key("text")
            if let text = result.text { writer.string(text) } else { writer.null() }
            writer.key("token_id")
            if let token = result.tokenIDs.last { writer.integer(token) } else { writer.null() }
            writer.key("token_ids")
            writer.tokenIDs(result.tokenIDs)
            if let index = result.batchIndex {
                writer.key("batch_index")
                writer.integer(index)
            }
            if let rows = result.rows { writer.rows(rows, encoding, inlineValues) }
            writer.key("_callback_state")
            writer.integer(result.state.rawValue)
            writer.endObject()
        }
    }

    /// The end of a run whose request has been answered before: `rkllm.finished` with a result or an error.
    mutating func appendFinished(_ outcome: Result<[UInt8], RPCError>, to output: inout [UInt8]) {
        appendNotification("rkllm.finished", to: &output) { writer in
            switch outcome {
            case .success(let result):
                writer.key("result")
                writer.raw(result)
            case .failure(let error):
                writer.key("error")
                RPCResponse.write(error, to: &writer)
            }
        }
    }

    private mutating func appendNotification(
        _ method: StaticString, to output: inout [UInt8], _ write: (inout JSONWriter) -> Void
    ) {
        var writer = JSONWriter(reusing: output)
        output = []
        writer.beginObject()
        writer.key("jsonrpc")
        writer.string("2.0")
        writer.key("method")
        writer.string("\(method)")
        writer.key("params")
        writer.beginObject()
        writer.key("request_id")
        writer.raw(id.json)
        writer.key("seq")
        writer.integer(sequence)
        if let userdata {
            writer.key("userdata")
            writer.raw(userdata)
        }
        write(&writer)
        writer.endObject()
        writer.endObject()
        output = writer.bytes
        output.append(UInt8(ascii: "\n"))
        sequence += 1
    }

    /// A callback of the ancestor's: a response with the run's id and every member of `RKLLMResult`.
    func appendNano(_ result: RunResult, to output: inout [UInt8]) {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("text")
        if let text = result.text { writer.string(text) } else { writer.null() }
        writer.key("token_id")
        writer.integer(result.tokenIDs.last ?? -1)
        for kind in [TensorRequest.Kind.hiddenStates, .logits] {
            if var rows = result.rows, rows.kind == kind {
                rows.firstRow = nil
                writer.rows(rows, encoding, inlineValues)
            } else {
                writer.noTensor(kind)
            }
        }
        writer.key("perf")
        if let perf = result.perf { perf.write(to: &writer) } else { writer.null() }
        if let index = result.batchIndex {
            writer.key("batch_index")
            writer.integer(index)
        }
        if let error = result.error {
            writer.key("error")
            RPCResponse.write(error, to: &writer)
        }
        writer.key("_callback_state")
        writer.integer(result.state.rawValue)
        writer.endObject()
        output += RPCResponse.result(id, writer.bytes)
        output.append(UInt8(ascii: "\n"))
    }
}

extension JSONWriter {
    mutating func milliseconds(_ nanoseconds: UInt64) { double(Double(nanoseconds) / 1e6) }

    mutating func tokenIDs(_ ids: [Int32]) {
        beginArray()
        for id in ids { integer(id) }
        endArray()
    }

    /// `last_hidden_layer` or `logits`, as the struct of the same purpose has it.
    mutating func rows(_ rows: RunRows, _ encoding: TensorEncoding, _ inlineValues: Int) {
        beginTensor(rows.kind)
        rows.values.write(to: &self, encoding, inlineValues: inlineValues)
        if !rows.tokenIDs.isEmpty {
            key("token_ids")
            tokenIDs(rows.tokenIDs)
        }
        if rows.pooling != .none {
            key("pooling")
            string(rows.pooling.rawValue)
        }
        endTensor(rows.kind, width: rows.width, rows: rows.values.rows, firstRow: rows.firstRow)
    }

    fileprivate mutating func noTensor(_ kind: TensorRequest.Kind) {
        beginTensor(kind)
        null()
        endTensor(kind, width: 0, rows: 0, firstRow: nil)
    }

    private mutating func beginTensor(_ kind: TensorRequest.Kind) {
        switch kind {
        case .hiddenStates: key("last_hidden_layer")
        case .logits: key("logits")
        }
        beginObject()
        switch kind {
        case .hiddenStates: key("hidden_states")
        case .logits: key("logits")
        }
    }

    private mutating func endTensor(_ kind: TensorRequest.Kind, width: UInt32, rows: UInt32, firstRow: UInt32?) {
        switch kind {
        case .hiddenStates: key("embd_size")
        case .logits: key("vocab_size")
        }
        integer(width)
        key("num_tokens")
        integer(rows)
        if let firstRow {
            key("first_row")
            integer(firstRow)
        }
        endObject()
    }
}
