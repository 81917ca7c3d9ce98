import JSON

/// Where the answer to one request goes: to the connection, into its batch, or nowhere.
///
/// It ends exactly once, at once or later.
final class ReplySlot {
    /// Nil for a notification.
    let id: RPCID?
    let isInBatch: Bool
    private var deliver: (([UInt8]) -> Void)?
    private var onEnd: ((_ outcome: String) -> Void)?

    /// - Parameter onEnd: told `ok` or the error's type.
    init(
        id: RPCID?, isInBatch: Bool, deliver: @escaping ([UInt8]) -> Void,
        onEnd: @escaping (_ outcome: String) -> Void = { _ in }
    ) {
        self.id = id
        self.isInBatch = isInBatch
        self.deliver = deliver
        self.onEnd = onEnd
    }

    /// - Parameter result: one JSON value.
    func answer(_ result: [UInt8]) {
        end("ok") { RPCResponse.result($0, result) }
    }

    func answer(_ write: (inout JSONWriter) -> Void) {
        var writer = JSONWriter()
        write(&writer)
        answer(writer.bytes)
    }

    func fail(_ error: RPCError) {
        end(error.data["type"]?.stringValue ?? "error") { RPCResponse.error($0, error) }
    }

    /// The answer was written by other means, or nobody is there to get one.
    func close(_ outcome: String) { end(outcome, nil) }

    private func end(_ outcome: String, _ response: ((RPCID) -> [UInt8])?) {
        guard let deliver, let onEnd else { return }
        self.deliver = nil
        self.onEnd = nil
        if let id, let response { deliver(response(id)) }
        onEnd(outcome)
    }
}

/// Gathers the answers to the requests of one batch; they are sent together when the last has come.
final class BatchReply {
    private var missing: Int
    private var answers: [[UInt8]] = []
    private let send: ([UInt8]) -> Void

    /// - Parameter expected: requests that get an answer; without any, nothing is sent.
    init(expected: Int, send: @escaping ([UInt8]) -> Void) {
        missing = expected
        self.send = send
    }

    func add(_ answer: [UInt8]) {
        answers.append(answer)
        missing -= 1
        guard missing == 0 else { return }
        var writer = JSONWriter()
        writer.beginArray()
        for answer in answers { writer.raw(answer) }
        writer.endArray()
        send(writer.bytes)
    }
}

/// Objects of the protocol, as bytes without a line end.
enum RPCResponse {
    static func result(_ id: RPCID, _ result: [UInt8]) -> [UInt8] {
        var writer = begin(id)
        writer.key("result")
        writer.raw(result)
        writer.endObject()
        return writer.bytes
    }

    static func error(_ id: RPCID, _ error: RPCError) -> [UInt8] {
        var writer = begin(id)
        writer.key("error")
        write(error, to: &writer)
        writer.endObject()
        return writer.bytes
    }

    static func write(_ error: RPCError, to writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("code")
        writer.integer(error.code)
        writer.key("message")
        writer.string(error.message)
        writer.key("data")
        writer.value(.object(error.data))
        writer.endObject()
    }

    private static func begin(_ id: RPCID) -> JSONWriter {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("jsonrpc")
        writer.string("2.0")
        writer.key("id")
        writer.raw(id.json)
        return writer
    }
}
