import Foundation
import Glibc
import JSON
import TestSupport
import Testing

/// The path from a client's line to the demo model and back, with the real programs.
@Suite("End to end", .serialized, .timeLimit(.minutes(10))) struct EndToEndTests {
    private static func server(_ more: [String] = [], _ body: (ServerProcess, String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID()).sock").path
        let server = try ServerProcess(["--rpc", path, "--context", "1024"] + more)
        try body(server, path)
        server.stop()
        #expect(!FileManager.default.fileExists(atPath: path), "its socket is gone with it")
    }

    private func text(_ messages: [JSONValue]) -> String {
        messages.compactMap { $0["params"]?["result"]?["text"]?.stringValue }.joined()
    }

    @Test("a run streams, its parts are its text, and the figures are real")
    func streaming() throws {
        try Self.server { _, path in
            let client = try RPCConnectionClient(path: path)
            let opened = try client.call("rkllm.init", #"[null, {"model_path": "apus-demo", "top_k": 1}, null]"#)
            #expect(opened["result"]?["param"]?["max_context_len"]?.int64Value == 1024)
            let messages = try client.run(#"{"prompt": "Tell me a short story about a fox."}"#)
            let result = try #require(messages.last?["result"])
            #expect(messages.count > 5 && result["finish_reason"] == .string("stop"))
            #expect(result["text"]?.stringValue == text(messages) && !text(messages).isEmpty)
            let perf = try #require(result["perf"])
            #expect(perf["prefill_time_ms"]?.doubleValue ?? 0 > 0 && perf["generate_time_ms"]?.doubleValue ?? 0 > 0)
            #expect(perf["generate_tokens"]?.int64Value ?? 0 > 5 && perf["memory_usage_mb"]?.doubleValue ?? 0 > 5)
            #expect(result["timing"]?["tokens_per_second"]?.doubleValue ?? 0 > 1)
            let again = try client.run(#"{"prompt": "Tell me a short story about a fox."}"#, id: 9)
            #expect(again.last?["result"]?["text"] == result["text"], "greedy")
        }
    }

    @Test("two clients with different chat templates get different answers, each its own")
    func twoClients() throws {
        try Self.server { _, path in
            let (first, second) = (try RPCConnectionClient(path: path), try RPCConnectionClient(path: path))
            _ = try first.call(
                "rkllm.set_chat_template", ##"[null, "", "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"]"##
            )
            _ = try second.call("rkllm.set_chat_template", #"[null, "", "", ""]"#)
            let parameters =
                #"{"prompt": "Hello! Who are you?", "sampling_params": {"top_k": 1}, "max_new_tokens": 24}"#
            let plain = try RPCConnectionClient(path: path).run(parameters).last?["result"]?["text"]?.stringValue
            let framed = try first.run(parameters).last?["result"]?["text"]?.stringValue
            let raw = try second.run(parameters).last?["result"]?["text"]?.stringValue
            #expect(plain == framed, "the frame is what the model's own template writes")
            #expect(raw != framed)
            #expect(try first.run(parameters, id: 8).last?["result"]?["text"]?.stringValue == framed, "as before")
        }
    }

    @Test("an abort ends a run at once with what it has; a client that leaves frees the model")
    func abort() throws {
        try Self.server { server, path in
            let client = try RPCConnectionClient(path: path)
            _ = try client.call("rkllm.init", #"{"param": {"ignore_eos_token": true}}"#)
            try client.send("rkllm.run", #"{"prompt": "Tell me a story."}"#, id: 5)
            for _ in 0..<3 { #expect(try client.receive()["method"] == .string("rkllm.stream")) }
            try client.send("rkllm.is_running", "[]", id: 6)
            try client.send("rkllm.abort", "[]", id: 7)
            var answers: [Int64: JSONValue] = [:]
            while answers.count < 3 {
                let message = try client.receive()
                if let id = message["id"]?.int64Value { answers[id] = message["result"] }
            }
            #expect(answers[6]?["is_running"] == .bool(true) && answers[7]?["aborted"]?.int64Value == 1)
            #expect(
                answers[5]?["finish_reason"] == .string("aborted") && answers[5]?["text"]?.stringValue?.isEmpty == false
            )
            #expect(answers[5]?["perf"] == .null)

            try client.send("rkllm.run", #"{"prompt": "Tell me a story."}"#, id: 8)
            #expect(try client.receive()["method"] == .string("rkllm.stream"))
            client.leave()
            #expect(try ServerProcess.eventually { try server.metric("apus_calls_in_flight") == 0 })
            #expect(try server.metric("apus_client_disconnects_total") == 1)
            #expect(try ServerProcess.eventually { try server.metric("apus_rpc_connections") == 0 })
            #expect(try server.metric("apus_rpc_stream_seconds_count") ?? 0 > 0)
        }
    }

    @Test("a hundred clients stream at once: no error, no token of another")
    func manyClients() throws {
        try Self.server { server, path in
            let alone = try Parallel(1) { _ in try Self.answer(path, number: 3) }.wait()[0]
            let texts = try Parallel(100) { number in try Self.answer(path, number: number % 10) }.wait()
            #expect(texts.count == 100 && texts.allSatisfy { !$0.isEmpty })
            for number in 0..<100 where number % 10 == 3 { #expect(texts[number] == alone) }
            for number in 0..<90 { #expect(texts[number] == texts[number + 10], "client \(number)") }
            #expect(try server.metric("apus_calls_lost_total") == 0)
        }
    }

    private static func answer(_ path: String, number: Int) throws -> String {
        let client = try RPCConnectionClient(path: path)
        let messages = try client.run(
            #"{"prompt": "What is \#(number) + 2? Tell me a story about it.", "seed": \#(number), "max_new_tokens": 16}"#
        )
        let text = messages.compactMap { $0["params"]?["result"]?["text"]?.stringValue }.joined()
        guard messages.last?["result"]?["text"]?.stringValue == text else {
            throw RPCConnectionClient.Failure(description: "\(String(describing: messages.last?.serializedText))")
        }
        return text
    }

    @Test("hidden states and logits have a row for each token, and agree with what the model says next")
    func tensors() throws {
        try Self.server { _, path in
            let client = try RPCConnectionClient(path: path)
            _ = try client.call("rpc.configure", #"{"stream": false, "tensors": "array"}"#)
            let models = try client.call("rkllm.list_models", "[]")
            let vocabulary = try #require(models["result"]?["models"]?.arrayValue?.first?["vocab_size"]?.int64Value)
            let ids = "[1, 20, 300, 7]"
            let hidden = try client.run(#"{"token_input": {"input_ids": \#(ids)}, "mode": 1}"#).last?["result"]
            let layer = try #require(hidden?["last_hidden_layer"], "\(String(describing: hidden))")
            #expect(layer["num_tokens"]?.int64Value == 4 && layer["embd_size"]?.int64Value == 256)
            #expect(layer["hidden_states"]?.arrayValue?.count == 4 * 256)
            let logits = try #require(
                try client.run(#"{"token_input": {"input_ids": \#(ids)}, "mode": 2}"#).last?["result"]?["logits"])
            #expect(logits["vocab_size"]?.int64Value == vocabulary && logits["num_tokens"]?.int64Value == 4)
            let row = try #require(logits["logits"]?.arrayValue).suffix(Int(vocabulary)).compactMap(\.doubleValue)
            let likeliest = try #require(row.indices.max { row[$0] < row[$1] })
            let next = try client.run(
                #"{"token_input": {"input_ids": \#(ids)}, "max_new_tokens": 1, "#
                    + #""sampling_params": {"top_k": 1, "repeat_penalty": 1}}"#)
            #expect(next.last?["result"]?["token_ids"]?.arrayValue?.first?.int64Value == Int64(likeliest))
        }
    }

    @Test("over TCP a key is needed, and a server without keys does not open the port")
    func tcp() throws {
        let refused = try Programs.run("apus", ["serve", "--port", "0", "--rpc-port", "0"])
        #expect(refused.status == 1 && refused.standardError.contains("--api-key-file"))
        let open = try Programs.run("apus", ["serve", "--port", "0", "--rpc-port", "0", "--rpc-host", "0.0.0.0"])
        #expect(open.status == 1 && open.standardError.contains("loopback"))
        let keys = FileManager.default.temporaryDirectory.appendingPathComponent("apus-keys-\(UUID())")
        try Data("secret-key\n".utf8).write(to: keys)
        defer { try? FileManager.default.removeItem(at: keys) }
        try Self.server(["--rpc-port", "0", "--api-key-file", keys.path, "--log-format", "json"]) { server, path in
            let match = server.logSoFar.firstMatch(of: /"rpc.listening","host":"127.0.0.1","port":(\d+)/)
            let port = try #require(match.map { String($0.1) }, "\(server.logSoFar)")
            let call = ["rkllm.list_models"]
            let without = try Programs.run("apus", ["rpc", "--tcp", "127.0.0.1:\(port)"] + call)
            #expect(without.status == 1 && without.standardError.contains("-32010"))
            let with = try Programs.run("apus", ["rpc", "--tcp", "127.0.0.1:\(port)", "--key-file", keys.path] + call)
            #expect(with.status == 0 && with.standardOutput.contains("apus-demo"), "\(with.standardError)")
            let unix = try Programs.run("apus", ["rpc", "--socket", path] + call)
            #expect(unix.status == 1, "the same keys on the Unix socket")
        }
    }

    @Test("apus rpc streams text, prints results, and says by its status how it went")
    func commandLine() throws {
        try Self.server { server, path in
            let arguments = ["rpc", "--socket", path]
            let run = try Programs.run(
                "apus", arguments + ["rkllm.init", #"{"param": {"top_k": 1}}"#, "rkllm.run", #"{"prompt": "Hello!"}"#])
            #expect(run.status == 0, "\(run.standardError)")
            #expect(run.standardOutput.contains(#""handle": "handle-"#))
            #expect(run.standardOutput.contains(#""finish_reason": "stop""#))
            let nano = try Programs.run(
                "apus",
                arguments + [
                    "--nano", "--json", "rkllm.run", #"[null, {"prompt_input": "Hello!"}, {"mode": 0}, null]"#,
                ])
            let lines = nano.standardOutput.split(separator: "\n")
            #expect(nano.status == 0 && lines.count > 2 && lines.last?.contains(#""_callback_state":2"#) == true)
            let asynchronous = try Programs.run("apus", arguments + ["rkllm.run_async", #"{"prompt": "Hello!"}"#])
            #expect(asynchronous.status == 0 && asynchronous.standardOutput.contains("finish_reason"))
            let rows = try Programs.run("apus", arguments + ["rkllm.run", #"{"prompt": "Hello!", "mode": 1}"#])
            #expect(rows.standardOutput.contains(#""embd_size": 256"#))
            let unknown = try Programs.run("apus", arguments + ["rkllm.nothing"])
            #expect(unknown.status == 1 && unknown.standardError.contains("-32601"))
            #expect(try Programs.run("apus", arguments + ["rkllm.run", "{"]).status == 2)
            #expect(try Programs.run("apus", ["rpc", "rkllm.run"]).status == 2, "no socket")
            #expect(try Programs.run("apus", ["rpc", "--socket", path + "x", "server.info"]).status == 1)
            // The server goes while a client waits.
            server.signal(SIGTERM)
            #expect(ServerProcess.eventually { !server.isRunning })
            #expect(server.exitStatus == 0)
        }
    }

    @Test("on SIGTERM a run in progress ends by itself, and the next one is refused")
    func drain() throws {
        try Self.server(["--drain-seconds", "60"]) { server, path in
            let client = try RPCConnectionClient(path: path)
            _ = try client.call("rkllm.init", #"{"param": {"ignore_eos_token": true}}"#)
            try client.send("rkllm.run", #"{"prompt": "Tell me a story.", "max_new_tokens": 200}"#, id: 5)
            #expect(try client.receive()["method"] == .string("rkllm.stream"))
            server.signal(SIGTERM)
            #expect(ServerProcess.eventually { server.logSoFar.contains("server.stopping") })
            try client.send("rkllm.run", #"{"prompt": "Hello!"}"#, id: 6)
            var codes: [Int64: Int64?] = [:]
            while codes.count < 2 {
                let message = try client.receive()
                if let id = message["id"]?.int64Value { codes[id] = message["error"]?["code"]?.int64Value }
            }
            #expect(codes[6] == -32001 && codes[5] == .some(nil))
            #expect(ServerProcess.eventually { !server.isRunning })
            #expect(server.exitStatus == 0)
        }
    }
}

/// A blocking client over a Unix socket.
final class RPCConnectionClient {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private let descriptor: Int32
    private var buffer: [UInt8] = []

    init(path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        var timeout = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard connected == 0 else { throw Failure(description: "connect: errno \(errno)") }
    }

    deinit { close(descriptor) }

    func leave() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    func send(_ method: String, _ parameters: String, id: Int) throws {
        let line = #"{"jsonrpc":"2.0","id":\#(id),"method":"\#(method)","params":\#(parameters)}"# + "\n"
        let bytes = Array(line.utf8)
        let sent = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        guard sent == bytes.count else { throw Failure(description: "send: errno \(errno)") }
    }

    func receive() throws -> JSONValue {
        while true {
            if let end = buffer.firstIndex(of: 0x0A) {
                let line = Array(buffer[..<end])
                buffer.removeFirst(end + 1)
                return try JSONValue.parse(line)
            }
            var part = [UInt8](repeating: 0, count: 65536)
            let count = part.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
            guard count > 0 else { throw Failure(description: "recv: \(count), errno \(errno)") }
            buffer += part[..<count]
        }
    }

    func call(_ method: String, _ parameters: String, id: Int = 1) throws -> JSONValue {
        try send(method, parameters, id: id)
        return try receive()
    }

    /// Everything that comes until the run's response, which is the last.
    func run(_ parameters: String, id: Int = 2) throws -> [JSONValue] {
        try send("rkllm.run", parameters, id: id)
        var messages: [JSONValue] = []
        repeat { messages.append(try receive()) } while messages.last?["id"] == nil
        return messages
    }
}
