import EngineProtocol
import Foundation
import JSON
import Observability
import TestSupport
import Testing

@testable import RPCServer
@testable import Serving

/// What each method answers, and what it asks the engine for.
@Suite("Methods") struct MethodTests {
    // MARK: Parameters

    @Test(
        "positional, named, flat and full-struct-name parameters mean the same",
        arguments: [
            #"[null, {"role": "user", "input_type": 0, "prompt_input": "Hi"}, "#
                + #"{"mode": 0, "max_new_tokens": 5, "seed": 9}, null]"#,
            #"{"input": {"prompt_input": "Hi"}, "infer_param": {"max_new_tokens": 5, "seed": 9}}"#,
            #"{"RKLLMInput": {"prompt": "Hi", "input_type": "RKLLM_INPUT_PROMPT"}, "RKLLMInferParam": "#
                + #"{"mode": "RKLLM_INFER_GENERATE", "max_new_tokens": 5, "seed": 9, "lora_params": null}}"#,
            #"{"prompt": "Hi", "role": "user", "input_type": 0, "mode": 0, "keep_history": 0, "#
                + #""max_new_tokens": 5, "seed": 9}"#,
        ])
    func forms(params: String) throws {
        let bench = try RPCBench()
        let client = bench.connect()
        client.send(#"{"jsonrpc":"2.0","id":1,"method":"rkllm.run","params":\#(params)}"#)
        #expect(client.takeLines().isEmpty)
        let request = try #require(bench.worker.generations.first)
        #expect(request.maximumTokens == 5 && request.sampling.seed == 9)
        #expect(request.sampling.temperature == 0.8 && request.sampling.topK == 40 && request.sampling.topP == 0.9)
        #expect(request.sampling.repetitionPenalty == 1.1)
        guard case .chat(let chat) = try #require(request.inputs.first) else { return #expect(Bool(false), "a chat") }
        #expect(chat.messagesJSON == #"[{"role":"user","content":"Hi"}]"#)
        #expect(chat.variablesJSON == #"{"enable_thinking":false}"#)
    }

    @Test(
        "what does not fit is refused by the name of its field",
        arguments: [
            (#"{"prompt": "a", "bogus": 1}"#, "bogus"),
            (#"{"input": {"prompt_input": "a", "bogus": 1}}"#, "input.bogus"),
            (
                #"{"infer_param": {"sampling_params": {"top_p": 2}}, "prompt": "a"}"#,
                "infer_param.sampling_params.top_p"
            ),
            (#"{"prompt": 7}"#, "prompt"), (#"{"prompt": "a", "mode": 3}"#, "mode"), (#"{"mode": 0}"#, "prompt_input"),
            (#"{"prompt": "a", "token_input": {"input_ids": [1]}}"#, "prompt_input"),
            (#"{"prompt": "a", "input_type": 1}"#, "input_type"),
            (#"{"token_input": {"input_ids": [1, 2], "n_tokens": 3}}"#, "token_input.n_tokens"),
            (#"{"token_input": {"input_ids": [1, "x"]}}"#, "token_input.input_ids[1]"),
            (#"{"token_input": {"input_ids": []}}"#, "token_input.input_ids"),
            (#"{"embed_input": {"embed": [1, 2, 3]}}"#, "n_tokens"),
            (#"{"embed_input": {"embed": [1, 2, 3], "n_tokens": 2}}"#, "embed_input.embed"),
            (#"{"embed_input": {"embed": [1, 2, 3, 4, 5], "n_tokens": 1}}"#, "embed_input.embed"),
            (#"{"embed_input": {"embed": {"dtype": "f16", "shape": [1, 4], "b64": ""}}}"#, "embed_input.embed.dtype"),
            (#"{"embed_input": {"embed": {"dtype": "f32", "shape": [1, 4], "b64": "AAAA"}}}"#, "embed_input.embed.b64"),
            (#"{"input": {"prompt_input": "a"}, "prompt": "a"}"#, "prompt_input"),
            (#"{"prompt": "a", "stop": [""]}"#, "stop"),
            (#"{"prompt": "a", "prompt_input": "b"}"#, "prompt_input"),
            (#"{"prompt": "a", "timeout_ms": 0}"#, "timeout_ms"),
            (#"[null, {"prompt_input": "a"}, null, null, 5]"#, "params"), (#"[7]"#, "handle"),
            (#"{"input": [{"prompt_input": "a"}, {"prompt_input": "b"}]}"#, "input"),
        ])
    func refused(params: String, field: String) throws {
        let bench = try RPCBench()
        let failure = try bench.connect().error("rkllm.run", params)
        #expect(failure.code == -32602, "\(failure.message)")
        #expect(failure.field == field, "\(failure.message)")
        #expect(bench.worker.generations.isEmpty)
    }

    @Test(
        "what this engine has not is -32005 and named",
        arguments: [
            ("rkllm.run", #"{"input": [{"prompt": "a"}, {"prompt": "b"}], "keep_history": 1}"#, "n_batch"),
            ("rkllm.run", #"{"input": [{"prompt": "a"}, {"prompt": "b"}], "pausable": 1}"#, "n_batch"),
            ("rkllm.load_prompt_cache", #"[null, "x"]"#, "n_batch"),
            ("rkllm.init", #"{"param": {"skip_special_token": 0}}"#, "special tokens"),
            ("rkllm.init", #"{"param": {"max_context_len": 64, "extend_param": {"n_batch": 2}}}"#, "n_batch"),
        ])
    func unsupported(method: String, params: String, word: String) throws {
        let client = try RPCBench().connect()
        _ = try client.result("rkllm.init", #"{"param": {"extend_param": {"n_batch": 2}}}"#)
        let failure = try client.error(method, params)
        #expect(failure.code == -32005 && failure.type == "unsupported")
        #expect((failure.data["feature"] as? String)?.contains(word) == true, "\(failure.message)")
    }

    // MARK: Handles

    @Test("init honours every parameter, and tells what holds")
    func initialise() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        let result = try client.result(
            "rkllm.init",
            #"[null, {"model_path": "tiny", "max_context_len": 256, "max_new_tokens": 20, "top_k": 1, "top_p": 0.5,"#
                + #""temperature": 0.25, "repeat_penalty": 1.5, "frequency_penalty": 0.5, "presence_penalty": -1,"#
                + #""mirostat": 2, "mirostat_tau": 4, "mirostat_eta": 0.2, "n_keep": 8, "is_async": true,"#
                + #""ignore_eos_token": true, "skip_special_token": true, "img_start": "", "img_end": null,"#
                + #""extend_param": {"base_domain_id": 1, "enabled_cpus_num": 7, "n_batch": 1, "reserved": null}}, null]"#
        )
        #expect(result["success"] as? Bool == true && result["model"] as? String == "tiny")
        #expect((result["handle"] as? String)?.hasPrefix("handle-") == true)
        let param = try #require(result["param"] as? [String: Any])
        #expect(param["max_context_len"] as? Int == 256 && param["temperature"] as? Double == 0.25)
        let extend = try #require(param["extend_param"] as? [String: Any])
        #expect(
            extend["base_domain_id"] as? Int == 0 && extend["enabled_cpus_num"] as? Int == 2,
            "what is, not what was said")
        #expect(
            result["not_applied"] as? [String] == [
                "param.extend_param.base_domain_id", "param.extend_param.enabled_cpus_num",
            ])
        client.send(#"{"jsonrpc":"2.0","id":5,"method":"rkllm.run","params":{"prompt":"Hi"}}"#)
        let request = try #require(bench.worker.generations.first)
        let sampling = request.sampling
        #expect(sampling.topK == 1 && sampling.topP == 0.5 && sampling.temperature == 0.25)
        #expect(sampling.repetitionPenalty == 1.5 && sampling.frequencyPenalty == 0.5 && sampling.presencePenalty == -1)
        #expect(sampling.mirostat.version == .two && sampling.mirostat.target == 4 && sampling.mirostat.rate == 0.2)
        #expect(request.maximumTokens == 20 && request.ignoreEndOfSequence)
        client.send(
            #"{"jsonrpc":"2.0","id":6,"method":"rkllm.run","params":{"prompt":"Hi","sampling_params":{"top_k":5}}}"#)
        let changed = try #require(bench.worker.generations.last).sampling
        #expect(changed.topK == 5 && changed.topP == 0.5, "what a run does not say is the handle's")
    }

    @Test("a context above the model's is refused with both numbers")
    func contextLimit() throws {
        let client = try RPCBench().connect()
        let failure = try client.error("rkllm.init", #"{"param": {"max_context_len": 513}}"#)
        #expect(failure.code == -32602 && failure.field == "param.max_context_len")
        #expect(failure.data["limit"] as? Int == 512 && failure.data["value"] as? Int == 513)
    }

    @Test("the handle's own window ends an answer, and refuses a prompt that does not fit")
    func window() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        _ = try client.result("rkllm.init", #"{"param": {"max_context_len": 10}}"#)
        client.send(#"{"jsonrpc":"2.0","id":5,"method":"rkllm.run","params":{"prompt":"Hi"}}"#)
        bench.worker.tell(accepted)
        #expect(bench.worker.cancels == 1 && bench.worker.generations.count == 2)
        #expect(bench.worker.generations.last?.maximumTokens == 7, "3 of the 10 are the prompt's")
        bench.worker.tell(accepted, started, tokens("a"), .choiceFinished(choice: 0, reason: .length), finished())
        #expect((try client.take().last?["result"] as? [String: Any])?["finish_reason"] as? String == "length")
        client.send(#"{"jsonrpc":"2.0","id":6,"method":"rkllm.run","params":{"prompt":"Hi"}}"#)
        bench.worker.tell(.accepted(promptTokens: 10, queuePosition: 0))
        let failure = RPCFailure(try #require(try client.take().last))
        #expect(failure.code == -32007 && failure.data["limit"] as? Int == 10 && failure.data["prompt"] as? Int == 10)
    }

    @Test("an answer that is longer than the model's context ends there, as RKLLM's does")
    func shortened() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        client.send(#"{"jsonrpc":"2.0","id":5,"method":"rkllm.run","params":{"prompt":"Hi","max_new_tokens":9999}}"#)
        bench.worker.tell(.failed(.contextLengthExceeded(limit: 512, prompt: 12, requested: 9999)))
        #expect(bench.worker.generations.last?.maximumTokens == 500)
        #expect(client.takeLines().isEmpty)
        bench.worker.tell(.failed(.contextLengthExceeded(limit: 512, prompt: 600, requested: 500)))
        #expect(RPCFailure(try #require(try client.take().last)).code == -32007)
    }

    @Test("set_* belongs to the handle: no client changes another's answers")
    func twoClients() throws {
        let bench = try RPCBench()
        let (first, second) = (bench.connect(), bench.connect())
        #expect(
            try first.result("rkllm.set_chat_template", #"[null, "SYS", "<u>", "</u>"]"#)["success"] as? Bool == true)
        #expect(
            try second.result(
                "rkllm.set_chat_template", #"{"template_config": {"prompt_prefix": "", "prompt_postfix": ""}}"#)[
                    "success"] as? Bool == true)
        let run = #"{"jsonrpc":"2.0","id":1,"method":"rkllm.run","params":{"prompt":"Hi"}}"#
        first.send(run)
        #expect(bench.worker.generations.last?.inputs == [.text("SYS<u>Hi</u>")])
        second.send(run)
        #expect(bench.worker.generations.last?.inputs == [.text("Hi")], "empty strings are the prompt alone")
        _ = try second.result("rkllm.set_chat_template", "[null, null, null, null]")
        second.send(run.replacingOccurrences(of: #""id":1"#, with: #""id":2"#))
        guard case .chat? = bench.worker.generations.last?.inputs.first else { return #expect(Bool(false), "undone") }
    }

    @Test("tokens never reach another client")
    func noMixing() throws {
        let bench = try RPCBench()
        let clients = (0..<3).map { _ in bench.connect() }
        for client in clients {
            client.send(#"{"jsonrpc":"2.0","id":1,"method":"rkllm.run","params":{"prompt":"Hi"}}"#)
        }
        for (index, _) in clients.enumerated() {
            bench.worker.tell(accepted, started, tokens("text \(index)"), of: index)
        }
        for (index, client) in clients.enumerated() {
            let text = client.takeLines().joined()
            #expect(text.contains("text \(index)") && !text.contains("text \((index + 1) % 3)"))
        }
    }

    @Test("tools go with the model's template, as an array or as its text; both kinds of template together are refused")
    func tools() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        let tool = #"{"type":"function","function":{"name":"f","parameters":{}}}"#
        let result = try client.result(
            "rkllm.set_function_tools",
            #"{"system_prompt": "S", "tools": [\#(tool)], "tool_response_str": "tool_response"}"#)
        #expect(
            result["tools"] as? String == "[\(tool)]" && result["not_applied"] as? [String] == ["tool_response_str"])
        client.send(#"{"jsonrpc":"2.0","id":1,"method":"rkllm.run","params":{"prompt":"[1]","role":"tool"}}"#)
        guard case .chat(let chat)? = bench.worker.generations.last?.inputs.first else { return #expect(Bool(false)) }
        #expect(chat.toolsJSON == "[\(tool)]")
        #expect(chat.messagesJSON == #"[{"role":"system","content":"S"},{"role":"tool","content":"[1]"}]"#)
        bench.worker.tell(
            accepted, started, .tokens(TokenChunk(choice: 0, ids: [1], text: #"{"name":"f"}"#, kind: .toolCall)),
            .choiceFinished(choice: 0, reason: .stop), finished())
        let answer = try #require(try client.take().last?["result"] as? [String: Any])
        #expect(answer["text"] as? String == #"<tool_call>{"name":"f"}</tool_call>"#)
        #expect((answer["tool_calls"] as? [[String: Any]])?.first?["name"] as? String == "f")
        #expect(try client.error("rkllm.set_chat_template", #"[null, "a", "b", "c"]"#).code == -32602)
        _ = try client.result("rkllm.set_function_tools", #"[null, null, "[]", null]"#)
        #expect(try client.result("rkllm.set_chat_template", #"[null, "a", "b", "c"]"#)["success"] as? Bool == true)
        #expect(try client.error("rkllm.set_function_tools", #"[null, "", "[{}]", ""]"#).field == "tools")
        #expect(try client.error("rkllm.set_function_tools", #"{"tools": "[{]"}"#).field == "tools")
    }

    @Test("a handle is the connection's own, and ends with destroy")
    func handles() throws {
        let bench = try RPCBench { $0.handles = 2 }
        let (first, second) = (bench.connect(), bench.connect())
        let handle = try #require(try first.result("rkllm.init", "[null, null, null]")["handle"] as? String)
        #expect(try first.result("rkllm.is_running", #"["\#(handle)"]"#)["is_running"] as? Bool == false)
        #expect(try second.error("rkllm.is_running", #"["\#(handle)"]"#).code == -32001, "another client's")
        _ = try first.result("rkllm.init")
        #expect(try first.error("rkllm.init").code == -32009)
        #expect(try first.result("rkllm.destroy", "[null]")["success"] as? Bool == true)
        #expect(try first.error("rkllm.run", #"{"prompt":"a"}"#).code == -32001, "the last one is closed")
        #expect(try first.result("rkllm.is_running", #"{"handle":"\#(handle)"}"#)["is_running"] as? Bool == false)
    }

    @Test("200 times init and destroy leave nothing behind")
    func manyHandles() throws {
        let bench = try RPCBench { $0.requestsPerSecond = 100_000 }
        let client = bench.connect()
        for _ in 0..<200 {
            #expect(try client.result("rkllm.init", #"{"model_path":"tiny"}"#)["success"] as? Bool == true)
            #expect(try client.result("rkllm.destroy")["success"] as? Bool == true)
        }
        #expect(client.session.handleCount == 0 && bench.serving.callsInFlight == 0)
    }

    @Test("models are opened by name; a path needs an administrator's key")
    func models() throws {
        let bench = try RPCBench(models: ["tiny", "other"], administrators: ["admin-key": "a"])
        bench.service.nameOfModelAtPath = { $0 == "/models/tiny.gguf" ? "tiny" : nil }
        let client = bench.connect()
        let unclear = try client.error("rkllm.run", #"{"prompt":"a"}"#)
        #expect(unclear.code == -32001 && unclear.message.contains("tiny, other"))
        #expect(try client.error("rkllm.init", #"{"model_path":"nothing"}"#).code == -32001)
        #expect(try client.error("rkllm.init", #"{"model_path":"/etc/passwd"}"#).code == -32008)
        #expect(try client.result("rkllm.init", #"{"model_path":"/models/tiny.gguf"}"#)["model"] as? String == "tiny")
        #expect(try client.result("rpc.authenticate", #"{"key":"admin-key"}"#)["administrator"] as? Bool == true)
        let refused = try client.error("rkllm.init", #"{"model_path":"/etc/passwd"}"#)
        #expect(refused.code == -32008, "not below an allowed folder either")
        #expect(bench.sink.lines.joined().contains("rpc.load"))
    }

    @Test("a model without a template gets the prompt alone")
    func noTemplate() throws {
        let bench = try RPCBench(hasChatTemplate: false)
        bench.connect().send(#"{"jsonrpc":"2.0","id":1,"method":"rkllm.run","params":{"prompt":"Hi"}}"#)
        #expect(bench.worker.generations.first?.inputs == [.text("Hi")])
    }

    // MARK: At once

    @Test("instant methods are answered while a run goes on and the model is silent")
    func instant() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        client.send(#"{"jsonrpc":"2.0","id":"r","method":"rkllm.run","params":{"prompt":"Hi"}}"#)
        #expect(try client.result("rkllm.is_running")["is_running"] as? Bool == true)
        let status = try client.result("rkllm.status")
        #expect(status["state"] as? String == "running" && status["model_state"] as? String == "ready")
        #expect((status["runs"] as? [[String: Any]])?.first?["phase"] as? String == "waiting")
        #expect(try client.result("rkllm.get_kv_cache_size")["cache_sizes"] as? [Int] == [0])
        bench.worker.tell(accepted, started, tokens("a"))
        _ = client.takeLines()
        #expect(try client.result("rkllm.get_kv_cache_size")["cache_sizes"] as? [Int] == [4])
        #expect(try client.result("rkllm.clear_kv_cache", "[null, 1, null, null]")["keep_system_prompt"] as? Int == 1)
        for method in [
            "rkllm.createDefaultParam", "rkllm.get_constants", "rkllm.list_models", "server.info", "server.stats",
        ] {
            #expect(try client.result(method)["error"] == nil)
        }
        client.send(#"{"jsonrpc":"2.0","id":2,"method":"rkllm.abort"}"#)
        let messages = try client.take()
        #expect((messages.first?["result"] as? [String: Any])?["aborted"] as? Int == 1)
        #expect(messages.last?["id"] as? String == "r")
        let result = try #require(messages.last?["result"] as? [String: Any])
        #expect(result["finish_reason"] as? String == "aborted" && result["text"] as? String == "a")
        #expect(result["perf"] is NSNull, "the worker measured nothing to the end")
        #expect(bench.worker.cancels == 1)
        #expect(try client.result("rkllm.is_running")["is_running"] as? Bool == false)
        #expect(try client.result("rkllm.abort")["aborted"] as? Int == 0)
    }

    @Test("cancel ends one run of several")
    func cancel() throws {
        let bench = try RPCBench()
        let client = bench.connect()
        for id in [#""a""#, "7"] {
            client.send(#"{"jsonrpc":"2.0","id":\#(id),"method":"rkllm.run","params":{"prompt":"Hi"}}"#)
        }
        #expect(try client.error("rkllm.cancel", #"{"request_id":[1]}"#).field == "request_id")
        #expect(
            try client.result("rkllm.cancel", #"{"request_id":"7"}"#)["cancelled"] as? Int == 0, "a number is no string"
        )
        client.send(#"{"jsonrpc":"2.0","id":1,"method":"rkllm.cancel","params":{"request_id":7}}"#)
        #expect(try client.take().compactMap { $0["id"] as? Int } == [1, 7])
        #expect(client.session.runs.count == 1 && bench.worker.cancels == 1)
    }

    @Test("constants and defaults are those of the header")
    func constants() throws {
        let client = try RPCBench().connect()
        let constants = try client.result("rkllm.get_constants")
        #expect((constants["CPU_MASKS"] as? [String: Int])?["CPU7"] == 128)
        #expect(
            constants["LLM_CALL_STATES"] as? [String: Int] == [
                "RKLLM_RUN_NORMAL": 0, "RKLLM_RUN_WAITING": 1, "RKLLM_RUN_FINISH": 2, "RKLLM_RUN_ERROR": 3,
            ])
        #expect((constants["INPUT_TYPES"] as? [String: Int])?["RKLLM_INPUT_MULTIMODAL"] == 3)
        #expect((constants["INFER_MODES"] as? [String: Int])?["RKLLM_INFER_GET_LOGITS"] == 2)
        let param = try client.result("rkllm.createDefaultParam")
        #expect(
            param["top_k"] as? Int == 40 && param["top_p"] as? Double == 0.9 && param["temperature"] as? Double == 0.8)
        #expect(param["repeat_penalty"] as? Double == 1.1 && param["mirostat_tau"] as? Double == 5)
        let extend = try #require(param["extend_param"] as? [String: Any])
        #expect(extend["reserved"] is NSNull && extend["n_batch"] as? Int == 1)
        client.send(#"{"jsonrpc":"2.0","id":1,"method":"rkllm.createDefaultParam"}"#)
        let defaults = try JSONValue.parse(client.takeLines()[0])["result"] ?? .null
        let again = try client.result("rkllm.init", #"{"param": \#(defaults.serializedText)}"#)
        #expect(again["success"] as? Bool == true, "the defaults are accepted as parameters: \(again)")
    }

    @Test("the document of all methods comes from the table")
    func discover() throws {
        let document = try RPCBench().connect().result("rpc.discover")
        #expect((document["openrpc"] as? String)?.hasPrefix("1.") == true)
        let methods = try #require(document["methods"] as? [[String: Any]])
        let names = Set(methods.compactMap { $0["name"] as? String })
        #expect(names == Set(RPCMethod.all.map(\.name)) && names.count == RPCMethod.all.count)
        #expect(RPCMethod.all.filter { $0.name.hasPrefix("rkllm.") }.count == 21, "16 of the ancestor and 5 of ours")
        let schemas = try #require((document["components"] as? [String: Any])?["schemas"] as? [String: Any])
        let text = String(decoding: OpenRPCDocument.bytes, as: UTF8.self)
        for match in text.matches(of: /#\/components\/schemas\/(\w+)/) {
            #expect(schemas[String(match.1)] != nil, "\(match.1) is referred to")
        }
    }

    // MARK: Who may ask

    @Test("with keys, everything but a few open methods needs one; three wrong keys end the connection")
    func keys() throws {
        let bench = try RPCBench(keys: ["right-key": "t1"])
        let client = bench.connect()
        for method in ["rkllm.run", "rkllm.init", "rkllm.list_models", "server.stats", "rpc.configure"] {
            #expect(try client.error(method).code == -32010)
        }
        for method in ["server.health", "server.info", "rpc.discover"] {
            #expect(try client.result(method)["error"] == nil)
        }
        #expect(try client.error("rpc.authenticate", #"{"key":"wrong"}"#).code == -32010)
        #expect(try client.result("rpc.authenticate", #"["right-key"]"#)["authenticated"] as? Bool == true)
        client.send(#"{"jsonrpc":"2.0","id":1,"method":"rkllm.run","params":{"prompt":"Hi"}}"#)
        #expect(bench.worker.generations.first?.tenant == "t1")
        bench.service.apply(RPCBench.settings(["other-key": "t2"]))
        #expect(try client.error("rkllm.list_models").code == -32010, "the key is gone")
        let stranger = bench.connect()
        for _ in 0..<3 { #expect(try stranger.error("rpc.authenticate", #"["wrong-key"]"#).code == -32010) }
        #expect(stranger.session.isEnding)
        #expect(!bench.sink.lines.joined().contains("right-key"))
    }

    @Test("rates, runs and ids are bounded")
    func bounds() throws {
        let bench = try RPCBench { ($0.requestsPerSecond, $0.runs) = (4, 2) }
        let client = bench.connect()
        let run = { (id: Int) in #"{"jsonrpc":"2.0","id":\#(id),"method":"rkllm.run","params":{"prompt":"Hi"}}"# }
        client.send(run(1))
        client.send(run(1))
        #expect(RPCFailure(try #require(try client.take().last)).code == -32600, "the id is in use")
        client.send(run(2))
        client.send(run(3))
        let full = RPCFailure(try #require(try client.take().last))
        #expect(full.code == -32002 && full.data["limit"] as? Int == 2)
        for _ in 0..<10 { client.send(#"{"jsonrpc":"2.0","id":9,"method":"server.health"}"#) }
        let fast = RPCFailure(try #require(try client.take().last))
        #expect(fast.code == -32009 && fast.type == "rate_limited" && fast.data["retry_after_ms"] as? Int == 250)
    }

    @Test("messages that are none count too, and a client that goes on and on beyond the rate is left")
    func abuse() throws {
        let bench = try RPCBench { ($0.requestsPerSecond, $0.refusedRequests) = (2, 5) }
        let client = bench.connect()
        for _ in 0..<4 { client.send("nonsense") }
        #expect(try client.take().map { RPCFailure($0).code } == Array(repeating: -32700, count: 4))
        for number in 0..<5 {
            client.send(number.isMultiple(of: 2) ? "nonsense" : #"{"jsonrpc":"2.0","id":9,"method":"server.health"}"#)
        }
        #expect(try client.take().allSatisfy { RPCFailure($0).code == -32009 })
        #expect(!client.session.isEnding)
        client.send("[1, 2]")
        #expect(client.session.isEnding)
        let last = try #require(try client.take().last?["batch"] as? [[String: Any]])
        #expect(last.allSatisfy { RPCFailure($0).data["limit"] as? Int == 2 }, "the reason is delivered")
    }
}
