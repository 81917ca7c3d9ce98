import EngineProtocol
import Foundation
import Platform
import Serving
import TestSupport
import Testing

@testable import RPCServer

/// What a handle keeps from one run to the next, and what can be done to it.
@Suite("What a handle keeps") struct HistoryTests {
    private func run(_ params: String, id: Int = 5) -> String {
        #"{"jsonrpc":"2.0","id":\#(id),"method":"rkllm.run","params":\#(params)}"#
    }

    private let keep = #"{"prompt":"Hi","keep_history":1}"#

    private func finish(_ bench: RPCBench, _ text: String = "a", reason: FinishReason = .stop) {
        bench.worker.tell(
            accepted, started, tokens(text), .choiceFinished(choice: 0, reason: reason), finished(completion: 1))
        bench.settle()
    }

    private func final(_ client: TestClient) throws -> [String: Any] {
        try #require(try client.take().last?["result"] as? [String: Any])
    }

    // MARK: Runs

    @Test("keep_history opens a session when it is first used, and the next run goes on in it")
    func keepHistory() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        _ = try client.result("rkllm.init", #"{"param": {}}"#)
        #expect(bench.worker.sessionWords.isEmpty, "nobody needs one yet")
        client.send(run(keep))
        finish(bench)
        #expect(try final(client)["finish_reason"] as? String == "stop")
        #expect(try client.result("rkllm.get_kv_cache_size")["cache_sizes"] as? [Int] == [4], "3 and 1")
        client.send(run(keep, id: 6))
        finish(bench)
        #expect(bench.worker.sessionWords == ["open 1", "run 1 keep", "run 1 keep"])
        _ = client.takeLines()
        client.send(run(#"{"prompt":"Hi"}"#, id: 7))
        finish(bench)
        #expect(bench.worker.sessionWords.last == "run 1", "a run that keeps nothing begins anew, in its order")
        _ = client.takeLines()
        #expect(try client.result("rkllm.destroy")["success"] as? Bool == true)
        #expect(bench.worker.sessionWords.last == "close 1")
    }

    @Test("the handle's own window ends an answer in a session, and its prompt is not sent again")
    func window() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        _ = try client.result("rkllm.init", #"{"param": {"max_context_len": 10}}"#)
        client.send(run(keep))
        bench.worker.tell(accepted, started, tokens("a", [1, 2, 3]))
        #expect(bench.worker.cancels == 0)
        #expect(bench.worker.generations.last?.session?.contextLength == 10, "the engine refuses what does not fit")
        bench.worker.tell(tokens("b", [4, 5, 6, 7]))
        #expect(bench.worker.cancels == 1 && bench.worker.generations.count == 1, "3 of the 10 are the prompt's")
        let result = try final(client)
        #expect(result["finish_reason"] as? String == "length" && result["text"] as? String == "ab")
        bench.worker.tell(.failed(.cancelled))
        bench.settle()
        #expect(try client.result("rkllm.get_kv_cache_size")["cache_sizes"] as? [Int] == [10])
    }

    @Test("what is asked of a handle that keeps something is done in order, one after the other")
    func order() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        client.send(run(keep, id: 1))
        client.send(run(keep, id: 2))
        client.send(#"{"jsonrpc":"2.0","id":3,"method":"rkllm.clear_kv_cache","params":[null,1,null,null]}"#)
        client.send(run(keep, id: 4))
        #expect(bench.worker.generations.count == 1 && client.takeLines().isEmpty)
        finish(bench)
        #expect(bench.worker.generations.count == 2)
        // An abort is answered at once, and the next step waits until the worker has let go.
        client.send(#"{"jsonrpc":"2.0","id":9,"method":"rkllm.cancel","params":{"request_id":2}}"#)
        bench.settle()
        #expect(bench.worker.sessionWords.last == "run 1 keep")
        bench.worker.tell(.failed(.cancelled))
        bench.settle()
        #expect(bench.worker.sessionWords.suffix(2) == ["clear but system", "run 1 keep"])
        #expect(try client.take().compactMap { $0["id"] as? Int } == [1, 9, 2, 3])
        client.session.end()
        bench.settle()
        bench.worker.tell(.failed(.cancelled))
        #expect(bench.worker.sessionWords.last == "close 1", "closed once nothing runs in it")
    }

    @Test("a run that waits for its turn can be aborted, and ends at its deadline")
    func waiting() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        client.send(run(keep, id: 1))
        client.send(run(#"{"prompt":"Hi","keep_history":1,"timeout_ms":1}"#, id: 2))
        client.send(run(keep, id: 3))
        _ = bench.loop.after(nanoseconds: 5_000_000) { [loop = bench.loop] in loop.stop() }
        bench.loop.run()
        #expect(RPCFailure(try #require(try client.take().last)).code == -32003)
        _ = try client.call("rkllm.cancel", #"{"request_id":3}"#, id: "9")
        finish(bench)
        #expect(bench.worker.generations.count == 1 && client.session.runs.isEmpty)
    }

    @Test("after the end of its worker, the first run that counts on a session is told that it is gone")
    func lost() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        client.send(run(keep))
        finish(bench)
        _ = client.takeLines()
        bench.worker.restart()
        #expect(try client.result("rkllm.get_kv_cache_size")["cache_sizes"] as? [Int] == [0])
        let failure = try client.error("rkllm.run", keep)
        #expect(failure.code == -32006 && failure.type == "session_lost", "\(failure.message)")
        client.send(run(keep, id: 6))
        finish(bench)
        #expect(try final(client)["finish_reason"] as? String == "stop", "it has begun anew")
        // One that is at the worker when it dies is told so; a run that keeps nothing does not mind.
        client.send(run(keep, id: 7))
        bench.worker.tell(accepted, started)
        bench.worker.restart()
        bench.settle()
        #expect(RPCFailure(try #require(try client.take().last)).type == "worker_lost")
        client.send(run(#"{"prompt":"Hi"}"#, id: 8))
        finish(bench)
        #expect(try final(client)["text"] as? String == "a")
        client.send(run(keep, id: 9))
        finish(bench)
        #expect(try final(client)["text"] as? String == "a")
    }

    @Test("sessions are bounded, and a worker that opens none is told with its reason")
    func bounds() throws {
        let bench = try RPCBench { $0.sessions = 1 }
        let client = bench.connect()
        bench.worker.refusal = .resourceExhausted(message: "no room", permanent: false)
        let refused = try client.error("rkllm.run", keep)
        #expect(refused.code == -32009 && refused.message == "no room")
        bench.worker.refusal = nil
        client.send(run(keep))
        finish(bench)
        #expect(try final(client)["text"] as? String == "a")
        _ = try client.result("rkllm.init")
        let failure = try client.error("rkllm.run", keep)
        #expect(failure.code == -32009 && failure.data["limit"] as? Int == 1)
        client.session.end()
        bench.settle()
        #expect(bench.worker.sessionWords.last == "close 2")
    }

    @Test("new templates and tools forget what was kept, and a frame's system text stands at the beginning only")
    func templates() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        client.send(run(keep))
        finish(bench)
        _ = client.takeLines()
        _ = try client.result("rkllm.set_chat_template", #"[null, "S", "<", ">"]"#)
        #expect(bench.worker.sessionWords.last == "clear")
        client.send(run(keep, id: 6))
        #expect(bench.worker.generations.last?.inputs == [.text("S<Hi>")])
        finish(bench)
        client.send(run(keep, id: 7))
        #expect(bench.worker.generations.last?.inputs == [.text("<Hi>")])
        finish(bench)
        _ = client.takeLines()
        _ = try client.result("rkllm.set_chat_template", "[null, null, null, null]")
        _ = try client.result("rkllm.set_function_tools", #"[null, "", "[{\"type\":\"function\"}]", null]"#)
        #expect(bench.worker.sessionWords.suffix(2) == ["clear", "clear"])
    }

    // MARK: Pause

    @Test("a paused run ends as such, and goes on as another run with what is left of it")
    func pause() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        #expect(try client.result("rkllm.pause")["paused"] as? Int == 0)
        #expect(try client.error("rkllm.resume").type == "not_paused")
        client.send(run(#"{"prompt":"Hi","pausable":true,"max_new_tokens":10,"seed":4}"#))
        bench.worker.tell(accepted, started, tokens("He", [7, 8]))
        _ = client.takeLines()
        #expect(try client.result("rkllm.pause")["paused"] as? Int == 1)
        #expect(bench.worker.sessionWords == ["open 1", "run 1", "pause"])
        bench.worker.tell(.choiceFinished(choice: 0, reason: .paused), finished())
        bench.settle()
        let paused = try final(client)
        #expect(paused["finish_reason"] as? String == "paused" && paused["text"] as? String == "He")
        #expect(try client.result("rkllm.status")["state"] as? String == "paused")
        #expect(try client.result("rkllm.get_kv_cache_size")["cache_sizes"] as? [Int] == [5])
        #expect(try client.error("rkllm.clear_kv_cache", "[null, 0, [1, 2], [3, 4]]").field == "start_pos")
        #expect(try client.error("rkllm.clear_kv_cache", "[null, 0, [3], [3]]").field == "end_pos")
        #expect(try client.result("rkllm.clear_kv_cache", "[null, 0, [1], [3]]")["success"] as? Bool == true)
        #expect(bench.worker.sessionWords.last == "clear 1..<3")
        client.send(#"{"jsonrpc":"2.0","id":6,"method":"rkllm.resume","params":{"userdata":3}}"#)
        let resumed = try #require(bench.worker.generations.last)
        #expect(resumed.inputs == [.resumed] && resumed.maximumTokens == 8 && resumed.sampling.seed == 4)
        bench.worker.tell(
            accepted, started, tokens("llo", [9]), .choiceFinished(choice: 0, reason: .stop), finished(completion: 1))
        bench.settle()
        let messages = try client.take()
        #expect((messages.first?["params"] as? [String: Any])?["userdata"] as? Int == 3, "it streams like a run")
        let whole = try #require(messages.last?["result"] as? [String: Any])
        #expect(whole["finish_reason"] as? String == "stop" && whole["text"] as? String == "llo")
        #expect(try client.error("rkllm.resume").type == "not_paused", "it has ended")
        #expect(try client.error("rkllm.clear_kv_cache", "[null, 0, [1], [3]]").field == "start_pos")
    }

    @Test("a pause is said again to a worker that was only preparing the run")
    func earlyPause() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        client.send(run(keep))
        _ = try client.result("rkllm.pause")
        bench.worker.tell(accepted)
        bench.worker.tell(started)
        #expect(bench.worker.sessionWords == ["open 1", "run 1 keep", "pause", "pause", "pause"])
    }

    @Test("a run that keeps nothing is not paused, and it is said what would help")
    func notPausable() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        client.send(run(#"{"prompt":"Hi"}"#))
        let failure = try client.error("rkllm.pause")
        #expect(failure.code == -32602 && failure.field == "pausable")
        #expect(bench.worker.sessionWords.isEmpty)
    }

    @Test("with nano's form, a paused run's last frame is a finish, and a resumed one streams frames")
    func nanoPause() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        _ = try client.result("rpc.configure", #"{"compat":"nano"}"#)
        client.send(run(keep))
        bench.worker.tell(accepted, started, tokens("a"), .choiceFinished(choice: 0, reason: .paused), finished())
        bench.settle()
        let state = { (message: [String: Any]) in (message["result"] as? [String: Any])?["_callback_state"] as? Int }
        #expect(try client.take().map(state) == [0, 2])
        client.send(#"{"jsonrpc":"2.0","id":6,"method":"rkllm.resume"}"#)
        finish(bench, "b")
        let frames = try client.take()
        #expect(frames.map(state) == [0, 2] && frames.allSatisfy { $0["id"] as? Int == 6 })
    }

    // MARK: Files

    private func folder() throws -> String {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("apus-caches-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder.path
    }

    private func files(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    }

    @Test("a prompt cache is saved whole or not at all, and loaded from the folder of prompt caches alone")
    func promptCache() throws {
        let root = try folder()
        let bench = try RPCBench(administrators: ["admin-key": "a"], cacheRoot: root)
        let client = bench.connect()
        let save = { (path: String) in
            #"{"prompt":"Hi","prompt_cache_params":{"save_prompt_cache":1,"prompt_cache_path":"\#(path)"}}"#
        }
        #expect(try client.error("rkllm.run", save("one")).code == -32008, "no administrator")
        _ = try client.result("rpc.authenticate", #"{"key":"admin-key"}"#)
        for path in ["../one", "/etc/passwd", root + "/sub/one", ".one", "", "a/../one", root + "/../x"]
        where path != "" {
            let failure = try client.error("rkllm.run", save(path))
            #expect(failure.code == -32008 && failure.field == "prompt_cache_path", "\(path): \(failure.message)")
        }
        bench.worker.onFile = { descriptor in _ = "cache".withCString { write(descriptor, $0, 5) } }
        client.send(run(save("one")))
        #expect(bench.worker.sessionWords.last == "run 1 save")
        #expect(try files(root).allSatisfy { $0.hasPrefix(".one.") }, "nobody sees half a file")
        finish(bench)
        #expect(try final(client)["prompt_cache_saved"] as? Bool == true)
        #expect(try files(root) == ["one"])
        let mode = try FileManager.default.attributesOfItem(atPath: root + "/one")[.posixPermissions] as? Int
        #expect(mode == 0o600 && FileManager.default.contents(atPath: root + "/one") == Data("cache".utf8))

        client.send(run(save(root + "/two"), id: 6))
        client.send(#"{"jsonrpc":"2.0","id":7,"method":"rkllm.abort"}"#)
        #expect(try final(client)["prompt_cache_saved"] as? Bool == false)
        #expect(try files(root) == ["one"], "an aborted run saves nothing")
        bench.worker.tell(.failed(.cancelled))
        bench.settle()

        var loaded = ""
        bench.worker.onFile = { descriptor in
            var bytes = [UInt8](repeating: 0, count: 16)
            loaded = String(decoding: bytes[..<max(0, pread(descriptor, &bytes, 16, 0))], as: UTF8.self)
        }
        bench.worker.sessionState = SessionState(cachedPositions: 12)
        let result = try client.result("rkllm.load_prompt_cache", #"[null, "one"]"#)
        #expect(result["positions"] as? Int == 12 && loaded == "cache", "\(result)")
        #expect(try client.error("rkllm.load_prompt_cache", #"[null, "none"]"#).field == "prompt_cache_path")
        try FileManager.default.createSymbolicLink(atPath: root + "/link", withDestinationPath: root + "/one")
        #expect(try client.error("rkllm.load_prompt_cache", #"[null, "link"]"#).field == "prompt_cache_path")
        #expect(try client.result("rkllm.release_prompt_cache")["success"] as? Bool == true)
        #expect(bench.worker.sessionWords.suffix(2) == ["load", "release"])
        #expect(try bench.connect().result("rkllm.release_prompt_cache")["success"] as? Bool == true, "nothing to do")
    }

    @Test("without a folder of their own there are no prompt caches")
    func noFolder() throws {
        let client = try RPCBench(administrators: ["admin-key": "a"]).connect()
        _ = try client.result("rpc.authenticate", #"{"key":"admin-key"}"#)
        let failure = try client.error("rkllm.load_prompt_cache", #"{"prompt_cache_path":"x"}"#)
        #expect(failure.code == -32008 && failure.message.contains("rpc.cache_root"))
    }

    @Test("an adapter is loaded by an administrator, and chosen by its name")
    func adapters() throws {
        let path = try folder() + "/adapter.gguf"
        try Data("adapter".utf8).write(to: URL(fileURLWithPath: path))
        let bench = try RPCBench(administrators: ["admin-key": "a"])
        let client = bench.connect()
        let load = #"[null, {"lora_adapter_path": "\#(path)", "lora_adapter_name": "story", "scale": 0.5}]"#
        #expect(try client.error("rkllm.load_lora", load).code == -32008)
        _ = try client.result("rpc.authenticate", #"{"key":"admin-key"}"#)
        #expect(try client.error("rkllm.load_lora", load).code == -32008, "not below an allowed folder")
        bench.service.adapterAtPath = { path throws(EngineError) in
            do { return AttachedFile(try FileDescriptor.openForReading(path: path)) } catch {
                throw .pathNotAllowed(path: path)
            }
        }
        var files = 0
        bench.worker.onFile = { _ in files += 1 }
        #expect(try client.result("rkllm.load_lora", load)["success"] as? Bool == true)
        #expect(files == 1)
        #expect(bench.worker.sent.contains { $0.request == .loadAdapter(AdapterRequest(name: "story", scale: 0.5)) })
        client.send(run(#"{"prompt":"Hi","lora_params":{"lora_adapter_name":"story"}}"#))
        #expect(bench.worker.generations.last?.adapter == "story")
        bench.worker.refusal = .unsupported(feature: "adapters (LoRA)")
        #expect(try client.error("rkllm.load_lora", load).code == -32005, "the engine says what it has not")
    }

    // MARK: Other inputs

    @Test("cross attention is checked, kept in the handle, and sent with its runs")
    func crossAttention() throws {
        let bench = try RPCBench { $0.keptTensorBytes = 200 }
        let client = bench.connect()
        let params = { (keys: String) in
            #"{"cross_attn_params":{"encoder_k_cache":\#(keys),"encoder_v_cache":[1,2,3,4],"encoder_mask":[1,0],"#
                + #""encoder_pos":[0,1],"num_tokens":2}}"#
        }
        #expect(try client.error("rkllm.set_cross_attn_params", params("[1,2,3,4]")).field == "cross_attn_params")
        _ = try client.result("rkllm.init", #"{"param":{"extend_param":{"use_cross_attn":1}}}"#)
        #expect(
            try client.error("rkllm.set_cross_attn_params", params("[1,2,3]")).field
                == "cross_attn_params.encoder_k_cache")
        #expect(
            try client.error("rkllm.set_cross_attn_params", params("[1,2,3,4,5,6]")).field
                == "cross_attn_params.encoder_v_cache")
        let base64 = Data((1...4).flatMap { littleEndian(Float($0).bitPattern) }).base64EncodedString()
        let shaped = #"{"dtype":"f32","shape":[1,2,1,2],"b64":"\#(base64)"}"#
        #expect(try client.result("rkllm.set_cross_attn_params", params(shaped))["num_tokens"] as? Int == 2)
        client.send(run(#"{"prompt":"Hi"}"#))
        let sent = try #require(bench.worker.generations.last?.crossAttention)
        #expect(sent.keys.values == [1, 2, 3, 4] && sent.values.values == [1, 2, 3, 4] && sent.positions == [0, 1])
        _ = try client.result("rkllm.set_cross_attn_params", params(shaped))
        let large = "[" + Array(repeating: "1", count: 64).joined(separator: ",") + "]"
        let both = params(large).replacingOccurrences(of: "[1,2,3,4]", with: large)
        #expect(try client.error("rkllm.set_cross_attn_params", both).code == -32009, "kept tensors are bounded")
        #expect(try client.result("rkllm.set_cross_attn_params", "{}")["num_tokens"] as? Int == 0)
        client.send(run(#"{"prompt":"Hi"}"#, id: 6))
        #expect(bench.worker.generations.last?.crossAttention == nil)
    }

    @Test(
        "images come in the forms of all releases",
        arguments: [
            #"[null, {"input_type": 3, "multimodal_input": {"prompt": "<image> what?", "image_embed": [1,2,3,4], "#
                + #""n_image_tokens": 2, "n_image": 1, "image_width": 28, "image_height": 14}}, null, null]"#,
            #"{"prompt": "<image> what?", "multimodal": {"image_embed_base64": "AACAPwAAAEAAAEBAAACAQA==", "#
                + #""n_image_tokens": 2, "image_width": 28, "image_height": 14}}"#,
            #"{"input": {"multimodal_input": {"prompt": "<image> what?", "image": {"image_embed": "#
                + #"{"dtype": "f32", "shape": [2, 2], "b64": "AACAPwAAAEAAAEBAAACAQA=="}, "n_image_tokens": 2, "#
                + #""image_width": 28, "image_height": 14, "image_start": "<", "image_end": "/>", "#
                + #""image_content": "."}}}}"#,
        ])
    func images(params: String) throws {
        let bench = try RPCBench()
        let client = bench.connect()
        _ = try client.result("rkllm.init", #"{"param":{"img_start":"<","img_end":"/>","img_content":"."}}"#)
        client.send(run(params))
        let media = MultimodalInput.Media(
            kind: .image, count: 1, tokensPerFrame: 2, width: 28, height: 14, startTag: "<", endTag: "/>",
            contentTag: ".", embeddings: Tensor(rows: 2, columns: 2, values: [1, 2, 3, 4]))
        #expect(
            bench.worker.generations.last?.inputs
                == [.multimodal(MultimodalInput(prompt: "<image> what?", media: [media]))], "\(client.takeLines())")
        bench.worker.tell(.failed(.unsupported(feature: "images")))
        #expect(RPCFailure(try #require(try client.take().last)).code == -32005, "the engine says what it has not")
    }

    @Test(
        "images that do not fit are refused by the name of their field",
        arguments: [
            (#"{"multimodal": {"prompt": "a"}}"#, "multimodal.image_embed"),
            (#"{"multimodal": {"prompt": "a", "image_embed": [1, 2]}}"#, "multimodal.n_image_tokens"),
            (
                #"{"multimodal": {"prompt": "a", "image_embed": [1, 2, 3], "n_image_tokens": 2}}"#,
                "multimodal.image_embed"
            ),
            (
                #"{"multimodal": {"prompt": "a", "image_embed": [1, 2], "n_image_tokens": 2, "image_height": 2}}"#,
                "multimodal.image_width"
            ),
            (
                #"{"multimodal": {"prompt": "a", "video": {"video_embed": [1]}}}"#,
                "multimodal.video.n_frame_tokens"
            ),
        ])
    func wrongImages(params: String, field: String) throws {
        let failure = try RPCBench().connect().error("rkllm.run", params)
        #expect(failure.code == -32602 && failure.field == field, "\(failure.message)")
    }

    @Test("a vendor's own figures come as they are")
    func vendorFigures() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        client.send(run(#"{"prompt":"Hi"}"#))
        let figures = RuntimeFigures(
            prefillMilliseconds: 1.5, prefillTokens: 9, generateMilliseconds: 2.5, generateTokens: 7,
            memoryMegabytes: 100.5)
        bench.worker.tell(
            accepted, started, .choiceFinished(choice: 0, reason: .stop),
            .finished(
                usage: Usage(promptTokens: 3, completionTokens: 2, cachedTokens: 0),
                timings: Timings(preparation: 1, queue: 1, prefill: 1, decode: 1, runtime: figures)))
        let perf = try #require(try final(client)["perf"] as? [String: Any])
        #expect(perf["prefill_time_ms"] as? Double == 1.5 && perf["prefill_tokens"] as? Int == 9)
        #expect(perf["generate_time_ms"] as? Double == 2.5 && perf["generate_tokens"] as? Int == 7)
        #expect(perf["memory_usage_mb"] as? Double == 100.5)
    }
}
