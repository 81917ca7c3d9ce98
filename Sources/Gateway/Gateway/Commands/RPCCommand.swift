import Configuration
import JSON
import Platform
import RPCServer

/// `apus rpc`: calls a server's JSON-RPC methods, one after the other on one connection.
struct RPCCommand {
    struct Call: Equatable {
        var method: String
        var parameters: JSONValue?
    }

    enum Address: Equatable {
        case unix(path: String)
        case tcp(host: String, port: UInt16)
    }

    var address: Address
    var calls: [Call]
    var key: String?
    /// The ancestor's form of streams.
    var isNano = false
    /// Every message as it came, in place of text and indented results.
    var showsMessages = false

    func run(console: Console) throws(CommandFailure) {
        let connection = try RPCClient(address)
        let preparation = preparation
        for (number, call) in (preparation + calls).enumerated() {
            try answer(to: call, number: number, connection, number < preparation.count ? nil : console)
        }
    }

    /// Calls that the user's own need.
    private var preparation: [Call] {
        var calls: [Call] = []
        if let key { calls.append(Call(method: "rpc.authenticate", parameters: .array([.string(key)]))) }
        if isNano { calls.append(Call(method: "rpc.configure", parameters: .array([.string("nano")]))) }
        return calls
    }

    /// Sends a call and takes messages until its answer is complete.
    ///
    /// - Parameter console: nil for calls whose answers nobody wants to see.
    private func answer(
        to call: Call, number: Int, _ connection: RPCClient, _ console: Console?
    ) throws(CommandFailure) {
        try connection.send(call, number: number)
        var hasText = false
        while true {
            let (line, message) = try connection.receive()
            if showsMessages { console?.result(line) }
            if let text = message.streamedText, !showsMessages {
                console?.write(text)
                hasText = true
            }
            if let rows = message.streamedRows, !showsMessages { console?.result(rows.indented) }
            if let error = message.error {
                if hasText { console?.result("") }
                throw .failed("\(call.method): \(error)")
            }
            guard message.ends(call, number: number) else { continue }
            if showsMessages { return }
            if hasText { console?.result("") }
            if let result = message.result(withoutText: hasText) { console?.result(result.indented) }
            return
        }
    }
}

extension RPCCommand {
    /// Words as they are typed: each method, and after it perhaps its parameters as JSON.
    static func calls(_ words: [String]) throws(CommandFailure) -> [Call] {
        var calls: [Call] = []
        for word in words {
            guard word.hasPrefix("{") || word.hasPrefix("[") else {
                calls.append(Call(method: word))
                continue
            }
            guard let last = calls.last, last.parameters == nil else {
                throw .usage("'\(word.prefix(64))' follows no method")
            }
            do {
                calls[calls.count - 1].parameters = try JSONValue.parse(word)
            } catch {
                throw .usage("the parameters of \(last.method): \(error)")
            }
        }
        return calls
    }

    /// `HOST:PORT`.
    static func tcpAddress(_ text: String) throws(CommandFailure) -> Address {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            throw .usage("--tcp is HOST:PORT, not '\(text)'")
        }
        return .tcp(host: String(text[..<colon]), port: port)
    }
}

/// A connection that waits for what it reads.
private final class RPCClient {
    private let socket: FileDescriptor
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
    private var framer = LineFramer(limit: 1 << 30)

    init(_ address: RPCCommand.Address) throws(CommandFailure) {
        do throws(SystemError) {
            switch address {
            case .unix(let path): socket = try Socket.connectUnix(path: path)
            case .tcp(let host, let port): socket = try Socket.connectTCP(host: host, port: port)
            }
        } catch {
            throw .failed("\(error)")
        }
    }

    deinit { buffer.deallocate() }

    func send(_ call: RPCCommand.Call, number: Int) throws(CommandFailure) {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("jsonrpc")
        writer.string("2.0")
        writer.key("id")
        writer.integer(number)
        writer.key("method")
        writer.string(call.method)
        if let parameters = call.parameters {
            writer.key("params")
            writer.value(parameters)
        }
        writer.endObject()
        do throws(SystemError) {
            try StandardIO.writeAll(socket.rawValue, writer.bytes + [UInt8(ascii: "\n")])
        } catch {
            throw .failed("\(error)")
        }
    }

    /// The next message, and its line.
    func receive() throws(CommandFailure) -> (String, RPCAnswer) {
        while true {
            if case .message(let line)? = framer.next() {
                let limits = JSONLimits(bytes: 1 << 30, values: 1 << 28)
                guard let value = try? JSONValue.parse(line, limits: limits) else {
                    throw .failed("the server sent something that is not JSON")
                }
                return (String(decoding: line, as: UTF8.self), RPCAnswer(value: value))
            }
            let count: Int
            do throws(SystemError) {
                count = try StandardIO.read(socket.rawValue, into: buffer)
            } catch {
                throw .failed("\(error)")
            }
            guard count > 0 else { throw .failed("the server closed the connection") }
            framer.append(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }
}

/// A message of the server's.
private struct RPCAnswer {
    let value: JSONValue

    /// A notification, the ancestor's frame, or the end of a run that was answered before: what there is of a result.
    private var part: JSONValue? { value["params"]?["result"] ?? value["result"] }

    private var callbackState: Int64? { part?["_callback_state"]?.int64Value }

    var streamedText: String? { callbackState == nil ? nil : part?["text"]?.stringValue }

    /// A part of hidden states or logits.
    var streamedRows: JSONValue? {
        guard callbackState != nil else { return nil }
        let rows: [JSONValue?] = [part?["last_hidden_layer"]?["hidden_states"], part?["logits"]?["logits"]]
        return rows.contains { $0?.isNull == false } ? part : nil
    }

    var error: String? {
        guard let error = value["error"] ?? value["params"]?["error"] ?? part?["error"] else { return nil }
        return "\(error["message"]?.stringValue ?? "") (\(error["code"]?.int64Value ?? 0))"
    }

    func ends(_ call: RPCCommand.Call, number: Int) -> Bool {
        if value["method"]?.stringValue == "rkllm.finished" { return true }
        guard value["id"]?.int64Value == Int64(number) else { return false }
        if let callbackState { return callbackState >= 2 }
        // The answer of run_async says only that it has begun.
        return call.method != "rkllm.run_async"
    }

    /// - Parameter withoutText: it has been written already.
    func result(withoutText: Bool) -> JSONValue? {
        guard withoutText, case .object(var object)? = part else { return part }
        for name in ["text", "token_id", "token_ids"] { object.remove(name) }
        return .object(object)
    }
}

extension JSONValue {
    /// Lines for people: indented, and long strings shortened.
    fileprivate var indented: String { indented(depth: 0) }

    private static let longestString = 400

    private func indented(depth: Int) -> String {
        let inner = String(repeating: "  ", count: depth + 1)
        let outer = String(repeating: "  ", count: depth)
        switch self {
        case .array(let elements):
            let isFlat = elements.allSatisfy { $0.arrayValue == nil && $0.objectValue == nil }
            if isFlat { return "[" + elements.map { $0.indented(depth: 0) }.joined(separator: ", ") + "]" }
            let lines = elements.map { inner + $0.indented(depth: depth + 1) }
            return "[\n" + lines.joined(separator: ",\n") + "\n\(outer)]"
        case .object(let object):
            if object.members.isEmpty { return "{}" }
            let lines = object.members.map { member in
                inner + JSONValue.string(member.key).serializedText + ": " + member.value.indented(depth: depth + 1)
            }
            return "{\n" + lines.joined(separator: ",\n") + "\n\(outer)}"
        case .string(let text) where text.utf8.count > Self.longestString:
            let head = JSONValue.string(String(text.prefix(Self.longestString))).serializedText
            return "\(head.dropLast())…\" (\(text.utf8.count) bytes)"
        case .string, .number, .bool, .null: return serializedText
        }
    }
}
