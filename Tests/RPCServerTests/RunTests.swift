import EngineProtocol
import Foundation
import JSON
import TestSupport
import Testing

@testable import RPCServer

/// What a run's client gets, in both forms of streams.
@Suite("Runs") struct RunTests {
    private let run = #"{"jsonrpc":"2.0","id":1,"method":"rkllm.run","params":{"prompt":"Hi"}}"#

    private func result(_ message: [String: Any]?) throws -> [String: Any] {
        try #require(message?["result"] as? [String: Any])
    }

    @Test("a run streams notifications in their order and ends with one response that has real figures")
    func stream() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        client.send(#"{"jsonrpc":"2.0","id":"x","method":"rkllm.run","params":{"prompt":"Hi","userdata":[1]}}"#)
        bench.worker.tell(accepted, started, tokens("He", [7, 8]))
        bench.worker.tell(tokens("", [9]))
        bench.worker.tell(tokens("llo", []), .choiceFinished(choice: 0, reason: .stop), finished(completion: 3))
        let messages = try client.take()
        #expect(messages.count == 4)
        let parts = try messages.dropLast().map { try #require($0["params"] as? [String: Any]) }
        #expect(messages.dropLast().allSatisfy { $0["method"] as? String == "rkllm.stream" && $0["id"] == nil })
        #expect(parts.compactMap { $0["seq"] as? Int } == [0, 1, 2])
        #expect(parts.allSatisfy { $0["request_id"] as? String == "x" && $0["userdata"] as? [Int] == [1] })
        let results = try parts.map { try #require($0["result"] as? [String: Any]) }
        #expect(results.map { $0["text"] as? String } == ["He", nil, "llo"])
        #expect(results.map { $0["_callback_state"] as? Int } == [0, 1, 0])
        #expect(results.map { $0["token_ids"] as? [Int] } == [[7, 8], [9], []])
        #expect(messages[3]["id"] as? String == "x")
        let final = try result(messages[3])
        #expect(final["finish_reason"] as? String == "stop" && final["text"] as? String == "Hello")
        #expect(final["token_ids"] as? [Int] == [7, 8, 9] && final["status_code"] is NSNull)
        let perf = try #require(final["perf"] as? [String: Any])
        #expect(perf["prefill_time_ms"] as? Double == 30 && perf["prefill_tokens"] as? Int == 2, "one of 3 was cached")
        #expect(perf["generate_time_ms"] as? Double == 50 && perf["generate_tokens"] as? Int == 3)
        #expect(perf["memory_usage_mb"] as? Double ?? 0 > 1, "this process stands in for the worker's")
        let timing = try #require(final["timing"] as? [String: Any])
        #expect(timing["queue_ms"] as? Double == 2 && timing["tokens_per_second"] as? Double == 40)
        #expect(timing["first_token_ms"] as? Double ?? -1 >= 0 && timing["total_ms"] as? Double ?? -1 >= 0)
        #expect(client.session.runs.isEmpty && bench.service.runsInProgress == 0)
    }

    @Test("without streaming there is the final response alone")
    func whole() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        #expect(try client.result("rpc.configure", #"{"stream":false}"#)["stream"] as? Bool == false)
        client.send(run)
        bench.worker.tell(
            accepted, started, tokens("a"), tokens("b"), .choiceFinished(choice: 0, reason: .length), finished())
        let messages = try client.take()
        #expect(messages.count == 1)
        let final = try result(messages[0])
        #expect(final["text"] as? String == "ab" && final["finish_reason"] as? String == "length")
    }

    @Test("run_async is answered at once, and its end is a notification")
    func asynchronous() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        let answer = try client.call("rkllm.run_async", #"{"prompt":"Hi"}"#, id: "5")
        #expect(try result(answer)["request_id"] as? Int == 5)
        bench.worker.tell(accepted, started, tokens("a"), .choiceFinished(choice: 0, reason: .stop), finished())
        let messages = try client.take()
        #expect(messages.map { $0["method"] as? String } == ["rkllm.stream", "rkllm.finished"])
        #expect(messages.allSatisfy { $0["id"] == nil }, "one id has one response")
        let params = try #require(messages[1]["params"] as? [String: Any])
        #expect(params["seq"] as? Int == 1 && params["request_id"] as? Int == 5)
        #expect((params["result"] as? [String: Any])?["finish_reason"] as? String == "stop")
        _ = try client.call("rkllm.run_async", #"{"prompt":"Hi"}"#, id: "6")
        bench.worker.tell(.failed(.deadlineExceeded))
        let failed = try #require(try client.take().last?["params"] as? [String: Any])
        #expect(RPCFailure(failed).code == -32003)
    }

    @Test("a run without an id is not started, because nobody could get its answer")
    func notification() throws {
        let bench = try RPCBench()
        bench.connect().send(#"{"jsonrpc":"2.0","method":"rkllm.run","params":{"prompt":"Hi"}}"#)
        #expect(bench.worker.generations.isEmpty)
    }

    @Test("a run in a batch is answered with the batch")
    func batch() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        client.send("[\(run),{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"rkllm.is_running\"}]")
        bench.worker.tell(accepted, started, tokens("a"))
        #expect(try client.take().count == 1, "a part of the stream")
        bench.worker.tell(.choiceFinished(choice: 0, reason: .stop), finished())
        let answers = try #require(try client.take().first?["batch"] as? [[String: Any]])
        #expect(answers.compactMap { $0["id"] as? Int } == [2, 1])
    }

    @Test("n_batch inputs are one run with an output each")
    func severalInputs() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        _ = try client.result("rkllm.init", #"{"param":{"extend_param":{"n_batch":2}}}"#)
        client.send(
            #"{"jsonrpc":"2.0","id":1,"method":"rkllm.run","params":{"input":[{"prompt":"a"},{"token_input":{"input_ids":[5]}}]}}"#
        )
        #expect(bench.worker.generations.first?.inputs.count == 2)
        #expect(bench.worker.generations.first?.inputs.last == .ids([5]))
        bench.worker.tell(
            accepted, started, tokens("x", choice: 1), .choiceFinished(choice: 1, reason: .stop), tokens("y"),
            .choiceFinished(choice: 0, reason: .length), finished())
        let messages = try client.take()
        let parts = messages.compactMap { ($0["params"] as? [String: Any])?["result"] as? [String: Any] }
        #expect(parts.map { $0["batch_index"] as? Int } == [1, 0])
        let outputs = try #require(try result(messages.last)["outputs"] as? [[String: Any]])
        #expect(outputs.map { $0["text"] as? String } == ["y", "x"])
        #expect(outputs.map { $0["finish_reason"] as? String } == ["length", "stop"])
    }

    // MARK: Errors

    static let errors: [(error: EngineError, code: Int)] = [
        (.invalidRequest(parameter: "prompt", message: "m"), -32602), (.unauthorized(message: "m"), -32010),
        (.pathNotAllowed(path: "p"), -32008), (.modelNotFound(model: "m"), -32001),
        (.contextLengthExceeded(limit: 4, prompt: 9, requested: 1), -32007), (.unsupported(feature: "f"), -32005),
        (.queueFull(retryAfterMilliseconds: 1), -32002), (.rateLimited(retryAfterMilliseconds: 1), -32009),
        (.deadlineExceeded, -32003), (.workerLost(.crashed, retryAfterMilliseconds: 5), -32006), (.quarantined, -32006),
        (.resourceExhausted(message: "m", permanent: false), -32009), (.slowConsumer, -32004),
        (.modelNotReady(reason: "r", retryAfterMilliseconds: 7), -32001),
        (.internalError(id: "i", message: "m"), -32603),
    ]

    @Test("every error of the engine has its code in `error`", arguments: errors)
    func failures(error: EngineError, code: Int) throws {
        let bench = try RPCBench()
        let client = bench.connect()
        client.send(run)
        bench.worker.tell(.failed(error))
        let messages = try client.take()
        #expect(messages.count == 1 && messages[0]["result"] == nil)
        let failure = RPCFailure(try #require(messages.first))
        #expect(failure.code == code && failure.type != nil && !failure.message.isEmpty)
    }

    @Test("a worker that dies in the middle ends the run with -32006, and the next run works")
    func workerLost() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        client.send(run)
        bench.worker.tell(accepted, started, tokens("a"))
        bench.worker.tell(.failed(.workerLost(.stalled, retryAfterMilliseconds: 9)))
        let failure = RPCFailure(try #require(try client.take().last))
        #expect(failure.code == -32006 && failure.data["loss"] as? String == "stalled")
        client.send(run)
        bench.worker.tell(accepted, started, tokens("b"), .choiceFinished(choice: 0, reason: .stop), finished())
        #expect(try result(try client.take().last)["text"] as? String == "b")
    }

    @Test("a client that leaves has its runs cancelled, and hears nothing of them")
    func disconnect() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        client.send(run)
        client.send(#"{"jsonrpc":"2.0","id":2,"method":"rkllm.run_async","params":{"prompt":"Hi"}}"#)
        client.session.end()
        #expect(bench.worker.cancels == 2 && bench.service.runsInProgress == 0)
        bench.worker.tell(tokens("late"))
        #expect(client.session.takeOutput().isEmpty)
    }

    @Test("what a client does not read stays in the outbox")
    func slowReader() throws {
        let bench = try RPCBench { $0.pendingOutputBytes = 2000 }
        let client = bench.connect()
        client.send(run)
        bench.worker.tell(accepted, started)
        for number in 0..<1000 { bench.worker.tell(tokens("word \(number) ")) }
        #expect(client.session.output.count < 4000)
        bench.worker.tell(.choiceFinished(choice: 0, reason: .stop), finished())
        var text = ""
        var final: [String: Any]?
        while final == nil {
            let messages = try client.take()
            try #require(!messages.isEmpty)
            for message in messages {
                let part = (message["params"] as? [String: Any])?["result"] as? [String: Any]
                text += part?["text"] as? String ?? ""
                if message["id"] != nil { final = message }
            }
        }
        #expect(text == (0..<1000).map { "word \($0) " }.joined())
        #expect(try result(final)["text"] as? String == text)
    }

    // MARK: Tensors

    private func rows(_ first: UInt32, _ values: [Float], columns: UInt32 = 4) -> EngineEvent {
        let rows = UInt32(values.count) / columns
        return .tensor(
            TensorChunk(
                input: 0, kind: .hiddenStates, firstRow: first,
                tensor: Tensor(rows: rows, columns: columns, values: values)))
    }

    @Test("hidden states come as full rows, in parts or as a whole")
    func hiddenStates() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        client.send(#"{"jsonrpc":"2.0","id":1,"method":"rkllm.run","params":{"prompt":"Hi","mode":1}}"#)
        let request = try #require(bench.worker.generations.first)
        #expect(request.tensors?.kind == .hiddenStates && request.maximumTokens == 0, "the prompt alone is computed")
        bench.worker.tell(accepted, started, rows(0, [1, 2, 3, 4]), rows(1, [5, 6, 7, 8, 9, 10, 11, 12]))
        bench.worker.tell(.choiceFinished(choice: 0, reason: .length), finished(completion: 0))
        let messages = try client.take()
        let parts = messages.compactMap {
            (($0["params"] as? [String: Any])?["result"] as? [String: Any])?["last_hidden_layer"] as? [String: Any]
        }
        #expect(parts.map { $0["num_tokens"] as? Int } == [1, 2] && parts.map { $0["first_row"] as? Int } == [0, 1])
        #expect(parts[1]["hidden_states"] as? [Double] == [5, 6, 7, 8, 9, 10, 11, 12])
        #expect(try result(messages.last)["last_hidden_layer"] == nil, "it has been sent")

        _ = try client.result("rpc.configure", #"{"stream":false,"tensors":"base64"}"#)
        client.send(
            #"{"jsonrpc":"2.0","id":2,"method":"rkllm.run","params":{"prompt":"Hi","mode":1,"max_new_tokens":3}}"#)
        #expect(bench.worker.generations.last?.maximumTokens == 3)
        bench.worker.tell(accepted, started, rows(0, [1, 2, 3, 4]), rows(1, [5, 6, 7, 8]))
        bench.worker.tell(.choiceFinished(choice: 0, reason: .length), finished(completion: 3))
        let layer = try #require(try result(try client.take().last)["last_hidden_layer"] as? [String: Any])
        #expect(layer["embd_size"] as? Int == 4 && layer["num_tokens"] as? Int == 2)
        let tensor = try #require(layer["hidden_states"] as? [String: Any])
        #expect(tensor["dtype"] as? String == "f32" && tensor["shape"] as? [Int] == [2, 4])
        let bytes = try #require(Data(base64Encoded: tensor["b64"] as? String ?? ""))
        #expect(bytes.count == 32)
        #expect([UInt8](bytes) == (1...8).flatMap { littleEndian(Float($0).bitPattern) })
    }

    @Test("rows above 1,024 values are base64 by default; logits have their own names")
    func logits() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        client.send(
            #"{"jsonrpc":"2.0","id":1,"method":"rkllm.run","params":{"prompt":"Hi","mode":"RKLLM_INFER_GET_LOGITS"}}"#)
        #expect(bench.worker.generations.first?.tensors?.kind == .logits)
        for count in [1024, 1025] {
            let tensor = Tensor(rows: 1, columns: UInt32(count), values: Array(repeating: 0.5, count: count))
            bench.worker.tell(.tensor(TensorChunk(input: 0, kind: .logits, firstRow: 0, tensor: tensor)))
        }
        let layers = try client.take().compactMap {
            (($0["params"] as? [String: Any])?["result"] as? [String: Any])?["logits"] as? [String: Any]
        }
        #expect((layers[0]["logits"] as? [Double])?.count == 1024 && layers[0]["vocab_size"] as? Int == 1024)
        #expect((layers[1]["logits"] as? [String: Any])?["b64"] != nil)
    }

    @Test("embeddings come in as numbers or as base64")
    func embeddings() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        let base64 = Data((1...8).flatMap { littleEndian(Float($0).bitPattern) }).base64EncodedString()
        for (id, embed) in [
            "{\"embed\":[1,2,3,4,5,6,7,8],\"n_tokens\":2}",
            "{\"embed\":{\"dtype\":\"f32\",\"shape\":[2,4],\"b64\":\"\(base64)\"}}",
        ].enumerated() {
            client.send(
                #"{"jsonrpc":"2.0","id":\#(id),"method":"rkllm.run","params":[null,{"input_type":2,"embed_input":\#(embed)},null,null]}"#
            )
            let tensor = Tensor(rows: 2, columns: 4, values: [1, 2, 3, 4, 5, 6, 7, 8])
            #expect(bench.worker.generations.last?.inputs == [.embeddings(tensor)], "\(client.takeLines())")
        }
    }

    @Test("base64 is that of RFC 4648")
    func base64() throws {
        var random = SeededRandom(seed: 4)
        for count in 0..<60 {
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            let text = Data(bytes).base64EncodedString()
            #expect(bytes.withUnsafeBytes { Base64.quoted($0) } == Array("\"\(text)\"".utf8))
            #expect(Base64.decode(text) == bytes)
        }
        for wrong in ["A", "AA", "AAA", "A===", "=AAA", "AA=A", "AB==", "AAB=", "AA A", "AAA\n", "AAAA=", "AA-_"] {
            #expect(Base64.decode(wrong) == nil, "\(wrong)")
        }
    }
}
