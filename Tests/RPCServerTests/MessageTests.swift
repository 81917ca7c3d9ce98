import Foundation
import JSON
import TestSupport
import Testing

@testable import RPCServer

/// The envelope: the examples of the JSON-RPC 2.0 specification, and what other programs send.
@Suite("JSON-RPC 2.0") struct MessageTests {
    private func answer(_ text: String) throws -> [String] {
        let client = try RPCBench().connect()
        client.send(text)
        return client.takeLines()
    }

    /// What the specification's section 7 asks and answers, with methods of this server in the place of its own.
    static let examples: [(request: String, codes: [Int?], ids: [String])] = [
        (#"{"jsonrpc": "2.0", "method": "rkllm.get_constants", "id": 1}"#, [nil], ["1"]),
        (#"{"jsonrpc": "2.0", "method": "rkllm.get_kv_cache_size", "params": [null], "id": 2}"#, [nil], ["2"]),
        (
            #"{"jsonrpc": "2.0", "method": "rkllm.get_kv_cache_size", "params": {"handle": null}, "id": 3}"#, [nil],
            ["3"]
        ),
        (#"{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}"#, [], []),
        (#"{"jsonrpc": "2.0", "method": "foobar"}"#, [], []),
        (#"{"jsonrpc": "2.0", "method": "foobar", "id": "1"}"#, [-32601], [#""1""#]),
        (#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#, [-32700], ["null"]),
        (#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#, [-32600], ["null"]),
        (
            #"[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method""#,
            [-32700], ["null"]
        ),
        ("[]", [-32600], ["null"]),
        ("[1]", [-32600], ["null"]),
        ("[1,2,3]", [-32600, -32600, -32600], ["null", "null", "null"]),
        (
            #"[{"jsonrpc": "2.0", "method": "rkllm.get_constants", "id": "1"}, "#
                + #"{"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}, "#
                + #"{"jsonrpc": "2.0", "method": "rkllm.is_running", "params": [null], "id": "2"}, {"foo": "boo"}, "#
                + #"{"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"}, "#
                + #"{"jsonrpc": "2.0", "method": "server.health", "id": "9"}]"#,
            [nil, nil, -32600, -32601, nil], [#""1""#, #""2""#, "null", #""5""#, #""9""#]
        ),
        (
            #"[{"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]}, "#
                + #"{"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}]"#, [], []
        ),
    ]

    @Test("the examples of the specification", arguments: examples)
    func specification(example: (request: String, codes: [Int?], ids: [String])) throws {
        let lines = try answer(example.request)
        guard !example.codes.isEmpty else { return #expect(lines.isEmpty) }
        #expect(lines.count == 1)
        let value = try JSONValue.parse(lines[0])
        let answers = example.request == "[1]" || value.arrayValue != nil ? value.arrayValue ?? [] : [value]
        #expect((value.arrayValue != nil) == (example.codes.count > 1 || example.request == "[1]"))
        #expect(answers.map { $0["error"]?["code"]?.int64Value.map { Int($0) } } == example.codes)
        #expect(answers.map { $0["id"]?.serializedText } == example.ids)
        for answer in answers {
            #expect(answer["jsonrpc"] == .string("2.0"))
            #expect((answer["result"] == nil) != (answer["error"] == nil), "one of result and error, never both")
            #expect(answer["result"]?["code"] == nil, "an error is never inside the result")
        }
    }

    @Test(
        "an id comes back as it was written",
        arguments: ["1", "-7", "1.0", "1e3", "12345678901234567890123", "0.1", #""""#, #""a\u00e9\n""#, "null"])
    func ids(id: String) throws {
        let lines = try answer(#"{"jsonrpc":"2.0","id":\#(id),"method":"server.health"}"#)
        let expected = try JSONValue.parse(id)
        #expect(try JSONValue.parse(try #require(lines.first))["id"] == expected)
    }

    @Test(
        "what is no request is told with the id that it has",
        arguments: [
            (#"{"jsonrpc":"1.0","id":4,"method":"server.health"}"#, "4"), (#"{"id":4,"method":"server.health"}"#, "4"),
            (#"{"jsonrpc":"2.0","id":"x"}"#, #""x""#), (#"{"jsonrpc":"2.0","id":4,"method":"a","params":3}"#, "4"),
            (#"{"jsonrpc":"2.0","id":[4],"method":"a"}"#, "null"),
            (#"{"jsonrpc":"2.0","id":true,"method":"a"}"#, "null"),
            (#"{"jsonrpc":"2.0","id":4,"result":3}"#, "4"), (#"{"jsonrpc":"2.0","id":4,"method":"a","extra":1}"#, "4"),
            ("3", "null"), ("null", "null"), (#""text""#, "null"),
        ])
    func malformed(text: String, id: String) throws {
        let lines = try answer(text)
        let message = try JSONValue.parse(try #require(lines.first))
        #expect(message["error"]?["code"]?.int64Value == -32600)
        #expect(message["id"]?.serializedText == id)
    }

    @Test("text that is no JSON gets -32700 with the place, and the connection goes on")
    func parseErrors() throws {
        let client = try RPCBench().connect()
        for text in ["{", "{\"a\":1}}", "\u{1}", "[1,]", "{\"a\":1,\"a\":2}", "nul", "\"\u{0}\""] {
            client.send(text)
            let failure = RPCFailure(try #require(try client.take().first))
            #expect(failure.code == -32700, "\(text)")
            #expect(failure.data["position"] is Int)
        }
        #expect(try client.result("server.health")["status"] as? String == "ready")
    }

    @Test("depth, values, batches and bytes are bounded, and each bound is named")
    func bounds() throws {
        let bench = try RPCBench { limits in
            (limits.depth, limits.values, limits.batchRequests, limits.messageBytes) = (8, 100, 4, 2000)
        }
        let client = bench.connect()
        for (text, word) in [
            (String(repeating: "[", count: 9) + String(repeating: "]", count: 9), "limit of 8"),
            ("[" + Array(repeating: "1", count: 200).joined(separator: ",") + "]", "limit of 100"),
            ("[1,2,3,4,5]", "at most 4 requests, not 5"),
        ] {
            client.send(text)
            let failure = RPCFailure(try #require(try client.take().first))
            #expect(failure.code == -32600 && failure.message.contains(word), "\(failure.message)")
        }
        client.send(String(repeating: " ", count: 10) + String(repeating: "x", count: 3000))
        let failure = RPCFailure(try #require(try client.take().first))
        #expect(failure.code == -32600 && failure.data["limit"] as? Int == 2000)
        #expect(client.session.isEnding, "after that nothing can be understood")
    }

    @Test(
        "the messages of another protocol on JSON-RPC are framed as what they are",
        .enabled(if: Fixtures.has("conformance/mcp-jsonrpc")))
    func corpus() throws {
        let root = try Fixtures.url("conformance/mcp-jsonrpc/schema")
        let walker = try #require(FileManager.default.enumerator(at: root, includingPropertiesForKeys: nil))
        var documents: [[UInt8]] = []
        for case let url as URL in walker where url.pathExtension == "json" && url.path.contains("/examples/") {
            documents.append(try JSONValue.parse([UInt8](try Data(contentsOf: url))).serialized)
        }
        #expect(documents.count > 100)
        let client = try RPCBench().connect()
        // Pipelined, and cut where it hurts.
        var stream: [UInt8] = []
        for document in documents { stream += document + [0x0A] }
        for start in stride(from: 0, to: stream.count, by: 777) {
            client.send(Array(stream[start..<min(start + 777, stream.count)]))
        }
        var answers = try client.take()[...]
        var kinds: [Int: Int] = [:]
        for document in documents {
            let value = try JSONValue.parse(document)
            let isRequest = value["jsonrpc"] == .string("2.0") && value["method"]?.stringValue != nil
            if isRequest, value["id"] == nil { continue }
            let answer = try #require(answers.first)
            answers.removeFirst()
            let code = try #require(RPCFailure(answer).code)
            kinds[code, default: 0] += 1
            #expect(code == (isRequest ? -32601 : -32600), "\(value.serializedText.prefix(200))")
            if isRequest, let id = value["id"]?.stringValue { #expect(answer["id"] as? String == id) }
        }
        #expect(answers.isEmpty)
        #expect(kinds[-32601] ?? 0 > 5 && kinds[-32600] ?? 0 > 50)
    }

    @Test("10,000 mutated messages: each gets well-formed answers or none")
    func mutations() throws {
        let seed: UInt64 = 20_261_121
        var random = SeededRandom(seed: seed)
        let bench = try RPCBench { $0.requestsPerSecond = 1_000_000 }
        var client = bench.connect()
        let sources = Self.seeds.map { Array($0.utf8) }
        var answered = 0
        for number in 0..<10_000 {
            var bytes = sources.randomElement(using: &random) ?? []
            for _ in 0..<Int.random(in: 1...4, using: &random) { Self.mutate(&bytes, &random) }
            client.send(bytes + [0x0A])
            for line in client.takeLines() {
                let message = try JSONValue.parse(line)
                for answer in message.arrayValue ?? [message] {
                    #expect(answer["jsonrpc"] == .string("2.0"), "seed \(seed), message \(number)")
                    answered += 1
                }
            }
            if client.session.isEnding || number % 100 == 99 {
                client.session.end()
                client = bench.connect()
            }
        }
        #expect(answered > 5000)
        #expect(bench.service.runsInProgress == client.session.runs.count)
    }

    private static func mutate(_ bytes: inout [UInt8], _ random: inout SeededRandom) {
        guard !bytes.isEmpty else { return bytes.append(UInt8.random(in: 0...255, using: &random)) }
        let place = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<7, using: &random) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.remove(at: place)
        case 2: bytes.insert(Array("{}[],:\"0-.eE\\tfn ".utf8).randomElement(using: &random) ?? 0, at: place)
        case 3: bytes = Array(bytes[..<place])
        case 4:
            let words = ["null", "true", "-1", "1e999", "\"\"", "[]", "{}", "99999999999999999999", "\"\\ud800\""]
            bytes.replaceSubrange(
                place..<min(place + 3, bytes.count), with: (words.randomElement(using: &random) ?? "").utf8)
        case 5: bytes.insert(contentsOf: bytes[place..<min(place + 20, bytes.count)], at: place)
        default: bytes.swapAt(place, Int.random(in: 0..<bytes.count, using: &random))
        }
    }

    private static let seeds =
        [
            ("rkllm.init", #"[null,{"model_path":"tiny","top_k":1,"extend_param":{"n_batch":1}},null]"#),
            (
                "rkllm.run",
                #"[null,{"role":"user","input_type":0,"prompt_input":"Hi"},{"mode":0,"keep_history":0},null]"#
            ),
            ("rkllm.run", #"{"prompt":"Hi","mode":"RKLLM_INFER_GET_LOGITS","stop":["x"],"seed":3}"#),
            ("rkllm.run_async", #"[null,{"token_input":{"input_ids":[1,2],"n_tokens":2}},null,null]"#),
            (
                "rkllm.run",
                #"[null,{"embed_input":{"embed":{"dtype":"f32","shape":[1,4],"b64":"AACAPwAAAEAAAEBAAACAQA=="}}}]"#
            ),
            ("rkllm.set_chat_template", #"[null,"s","p","q"]"#),
            ("rkllm.set_function_tools", #"{"tools":"[{\"type\":\"function\"}]"}"#),
            ("rkllm.clear_kv_cache", "[null,1,null,null]"), ("rkllm.clear_kv_cache", "[null,0,[1],[2]]"),
            ("rkllm.run", #"{"prompt":"Hi","keep_history":1,"lora_params":{"lora_adapter_name":"a"}}"#),
            ("rkllm.run", #"{"prompt":"Hi","mode":1,"pooling":"mean","normalize":1,"pausable":true}"#),
            (
                "rkllm.run",
                #"{"prompt":"<image>","multimodal":{"image_embed":[1,2],"n_image_tokens":1,"image_width":2,"image_height":2}}"#
            ),
            ("rkllm.pause", "{}"), ("rkllm.resume", "[null,7]"), ("rkllm.load_prompt_cache", #"[null,"a"]"#),
            (
                "rkllm.set_cross_attn_params",
                #"[null,{"encoder_k_cache":[1],"encoder_v_cache":[1],"encoder_mask":[1],"encoder_pos":[0],"num_tokens":1}]"#
            ),
            ("rpc.configure", #"{"compat":"nano","stream":true,"tensors":"base64"}"#),
            ("rkllm.cancel", #"{"request_id":"a"}"#),
        ].enumerated().map { #"{"jsonrpc":"2.0","id":\#($0),"method":"\#($1.0)","params":\#($1.1)}"# } + [
            #"[{"jsonrpc":"2.0","id":8,"method":"rkllm.status"},{"jsonrpc":"2.0","method":"rkllm.abort"}]"#,
            #"{"jsonrpc":"2.0","id":"a","method":"rkllm.destroy"}"#,
        ]
}
