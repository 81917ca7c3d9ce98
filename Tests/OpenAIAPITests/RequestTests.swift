import EngineProtocol
import JSON
import Testing

@testable import OpenAIAPI

@Suite("Reading generation requests")
struct RequestTests {
    private func chat(_ members: String) throws -> GenerationRequest {
        try .chat(JSONValue.parse(#"{"messages": [{"role": "user", "content": "Hi"}]\#(members)}"#))
    }

    private func completion(_ json: String) throws -> GenerationRequest { try .completion(JSONValue.parse(json)) }

    @Test("the smallest chat asks for one choice, with the rest of the context")
    func smallestChat() throws {
        let request = try chat("")
        #expect(request.shape == .chat && request.model == nil && !request.streams && !request.includesUsage)
        #expect(request.generate.choices == 1 && request.generate.maximumTokens == nil)
        #expect(request.generate.inputs == [.chat(ChatInput(messagesJSON: #"[{"role":"user","content":"Hi"}]"#))])
        var sampling = SamplingParameters()
        sampling.seed = request.generate.sampling.seed
        #expect(request.generate.sampling == sampling)
        #expect(try chat("").generate.sampling.seed != request.generate.sampling.seed)
    }

    @Test("every field arrives where it belongs")
    func everyField() throws {
        let request = try chat(
            """
            , "model": "m", "stream": true, "stream_options": {"include_usage": true}, "n": 3, "seed": -2,
            "max_completion_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.05,
            "repetition_penalty": 1.1, "presence_penalty": -1, "frequency_penalty": 2, "stop": ["a", "b"],
            "logit_bias": {"9": 5, "3": -100}, "ignore_eos": true, "user": "u",
            "resume_on_worker_loss": true, "chat_template_kwargs": {"enable_thinking": false}
            """)
        #expect(request.model == "m" && request.streams && request.includesUsage && request.resumes)
        let generate = request.generate
        #expect(generate.choices == 3 && generate.maximumTokens == 7 && generate.stopStrings == ["a", "b"])
        #expect(generate.ignoreEndOfSequence)
        #expect(
            generate.sampling
                == SamplingParameters(
                    temperature: 0.5, topP: 0.9, topK: 40, minP: 0.05, repetitionPenalty: 1.1, presencePenalty: -1,
                    frequencyPenalty: 2,
                    logitBias: [LogitBias(token: 3, bias: -100), LogitBias(token: 9, bias: 5)],
                    seed: UInt64(bitPattern: -2)))
        guard case .chat(let input) = generate.inputs[0] else {
            Issue.record("no chat")
            return
        }
        #expect(input.variablesJSON == #"{"enable_thinking":false}"#)
    }

    @Test("an answer is resumed if the client asked for it, or waits for the whole of it")
    func resumption() throws {
        #expect(try chat(#", "stream": false"#).resumes)
        #expect(try !chat(#", "stream": true"#).resumes)
        #expect(try chat(#", "stream": true, "resume_on_worker_loss": true"#).resumes)
        #expect(throws: APIError.self) { try chat(#", "resume_on_worker_loss": 1"#) }
    }

    @Test("every sampler's fields arrive, by the names that other servers' clients use")
    func samplers() throws {
        let sampling = try chat(
            """
            , "typical_p": 0.9, "top_n_sigma": 1.5, "xtc_probability": 0.5, "xtc_threshold": 0.2,
            "dry_multiplier": 0.8, "dry_base": 2, "dry_allowed_length": 3, "dry_penalty_last_n": 512,
            "dry_sequence_breakers": ["\\n", "###"], "mirostat": 2, "mirostat_tau": 4, "mirostat_eta": 0.2,
            "dynatemp_range": 0.5, "dynatemp_exponent": 2
            """
        ).generate.sampling
        #expect(sampling.typicalP == 0.9 && sampling.topNSigma == 1.5)
        #expect(sampling.xtcProbability == 0.5 && sampling.xtcThreshold == 0.2)
        #expect(sampling.dynamicTemperatureRange == 0.5 && sampling.dynamicTemperatureExponent == 2)
        var dry = DRYParameters()
        dry.multiplier = 0.8
        dry.base = 2
        dry.allowedLength = 3
        dry.window = 512
        dry.breakers = ["\n", "###"]
        #expect(sampling.dry == dry)
        var mirostat = MirostatParameters()
        mirostat.version = .two
        mirostat.target = 4
        mirostat.rate = 0.2
        #expect(sampling.mirostat == mirostat)
        let defaults = try chat(#", "dry_multiplier": 1, "dry_penalty_last_n": -1"#).generate.sampling.dry
        #expect(defaults.window == nil && defaults.breakers == ["\n", ":", "\"", "*"])
        #expect(try chat(#", "dry_multiplier": 1, "dry_sequence_breakers": []"#).generate.sampling.dry.breakers.isEmpty)
    }

    @Test("ends and log-probabilities arrive")
    func endsAndLogProbabilities() throws {
        let request = try chat(#", "min_tokens": 3, "stop_token_ids": [5, 7], "logprobs": true, "top_logprobs": 4"#)
        #expect(request.generate.minimumTokens == 3 && request.generate.stopTokenIDs == [5, 7])
        #expect(request.generate.logProbabilities == LogProbabilityOptions(top: 4, stage: .model))
        let bare = try chat(#", "logprobs": true, "post_sampling_probs": true"#)
        #expect(bare.generate.logProbabilities == LogProbabilityOptions(top: 0, stage: .sampling))
        #expect(try chat("").generate.logProbabilities == nil)
        #expect(try chat("").generate.speculation == .automatic)
        #expect(try chat(#", "speculation": "model""#).generate.speculation == .model)
        #expect(try chat(#", "speculation": "ngram""#).generate.speculation == .ngram)
        #expect(try completion(#"{"prompt": "x", "speculation": "off"}"#).generate.speculation == .off)
        #expect(try chat(#", "cache_salt": "né""#).generate.cacheSalt == "né")
        #expect(try completion(#"{"prompt": "x", "cache_salt": null}"#).generate.cacheSalt == "")
        let text = try completion(#"{"prompt": "x", "logprobs": 0}"#)
        #expect(text.generate.logProbabilities == LogProbabilityOptions(top: 0))
        #expect(try completion(#"{"prompt": "x"}"#).generate.logProbabilities == nil)
    }

    @Test(
        "a sampler's value out of range is refused with field, limit and value",
        arguments: [
            ("typical_p", "1.5", "between 0 and 1, not 1.5"), ("top_n_sigma", "101", "between -1 and 100, not 101"),
            ("xtc_probability", "-0.1", "between 0 and 1, not -0.1"), ("xtc_threshold", "2", "between 0 and 1, not 2"),
            ("dry_multiplier", "-1", "between 0 and 100, not -1"), ("dry_base", "0.5", "between 1 and 10, not 0.5"),
            ("dry_allowed_length", "0", "between 1 and 1024, not 0"),
            ("dry_penalty_last_n", "-2", "between -1 and 2147483647, not -2"),
            ("dry_sequence_breakers", #"[""]"#, "1 to 128 bytes, not 0"),
            ("dry_sequence_breakers", "[\([String](repeating: "\"x\"", count: 33).joined(separator: ","))]", "not 33"),
            ("dry_sequence_breakers", #""x""#, "an array of strings, not"), ("mirostat", "3", "between 0 and 2, not 3"),
            ("mirostat_tau", "-1", "between 0 and 100, not -1"), ("mirostat_eta", "1.1", "between 0 and 1, not 1.1"),
            ("dynatemp_range", "3", "between 0 and 2, not 3"), ("dynatemp_exponent", "11", "between 0 and 10, not 11"),
            (
                "stop_token_ids", "[\([String](repeating: "1", count: 129).joined(separator: ","))]",
                "at most 128 ids, not 129"
            ),
        ])
    func badSamplers(name: String, value: String, message: String) throws {
        let error = try #require(throws: APIError.self) { try chat(", \"\(name)\": \(value)") }
        #expect(error.parameter == name && error.status == 400 && error.message.contains("'\(name)'"))
        #expect(error.message.contains(message), "\(error.message)")
    }

    @Test("null is the same as absent, and fields that change nothing are taken")
    func harmless() throws {
        _ = try chat(
            """
            , "model": null, "stop": null, "n": null, "temperature": null, "tools": [], "tool_choice": "auto",
            "response_format": {"type": "text"}, "logprobs": false, "top_logprobs": 0, "store": false,
            "post_sampling_probs": false, "top_n_sigma": -1, "mirostat": 0, "stop_token_ids": [], "min_tokens": 0,
            "metadata": {"a": "b"}, "service_tier": "auto", "parallel_tool_calls": true, "modalities": ["text"],
            "safety_identifier": "x", "prompt_cache_key": "k", "top_k": -1, "max_tokens": 5,
            "max_completion_tokens": 5
            """)
    }

    @Test("text parts are joined, roles are checked, other members stay for the template")
    func messages() throws {
        let request = try GenerationRequest.chat(
            JSONValue.parse(
                """
                {"messages": [
                  {"role": "developer", "content": "Be brief."},
                  {"role": "user", "name": "Ann", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                  {"role": "assistant", "content": null, "tool_calls": [{"id": "1"}]},
                  {"role": "tool", "tool_call_id": "1", "content": "4"}
                ]}
                """))
        guard case .chat(let input) = request.generate.inputs[0] else {
            Issue.record("no chat")
            return
        }
        #expect(
            input.messagesJSON
                == #"[{"role":"system","content":"Be brief."},{"role":"user","name":"Ann","content":"ab"},"#
                + #"{"role":"assistant","content":null,"tool_calls":[{"id":"1"}]},"#
                + #"{"role":"tool","tool_call_id":"1","content":"4"}]"#)
    }

    @Test("a prompt has four forms")
    func prompts() throws {
        #expect(try completion(#"{"prompt": ""}"#).generate.inputs == [.text("")])
        #expect(try completion(#"{"prompt": ["a", "b"]}"#).generate.inputs == [.text("a"), .text("b")])
        #expect(try completion(#"{"prompt": [1, 2.0]}"#).generate.inputs == [.ids([1, 2])])
        let several = try completion(#"{"prompt": [[1], [2, 3]], "n": 2}"#)
        #expect(several.generate.inputs == [.ids([1]), .ids([2, 3])])
        #expect(several.generate.choices == 2 && several.generate.maximumTokens == 16 && several.shape == .completion)
    }

    @Test(
        "what is wrong with a chat is named",
        arguments: [
            (#", "temperature": 2.1"#, "temperature", "invalid_value"), (#", "top_p": "1""#, "top_p", "invalid_type"),
            (#", "temperature": 1e400"#, "temperature", "invalid_type"), (#", "n": 0"#, "n", "invalid_value"),
            (#", "n": 129"#, "n", "invalid_value"), (#", "n": 1.5"#, "n", "invalid_type"),
            (#", "max_tokens": 0"#, "max_tokens", "invalid_value"),
            (#", "max_tokens": 5, "max_completion_tokens": 6"#, "max_tokens", "invalid_value"),
            (#", "seed": 9223372036854775808"#, "seed", "invalid_type"),
            (#", "stop": ["1", "2", "3", "4", "5"]"#, "stop", "invalid_value"),
            (#", "stop": [1]"#, "stop", "invalid_type"),
            (#", "stop": """#, "stop", "invalid_value"), (#", "logit_bias": {"x": 1}"#, "logit_bias", "invalid_value"),
            (#", "logit_bias": {"1": 101}"#, "logit_bias", "invalid_value"),
            (#", "logit_bias": {"1": 1, "01": 2}"#, "logit_bias", "invalid_value"),
            (#", "logit_bias": [1]"#, "logit_bias", "invalid_type"), (#", "stream": 1"#, "stream", "invalid_type"),
            (#", "stream_options": {"include_usage": true}"#, "stream_options", "invalid_value"),
            (#", "stream": true, "stream_options": {"bogus": 1}"#, "bogus", "unknown_parameter"),
            (#", "bogus": 1"#, "bogus", "unknown_parameter"), (#", "model": 5"#, "model", "invalid_type"),
            (#", "tools": [{}]"#, "tools", "unsupported"),
            (#", "logprobs": 1"#, "logprobs", "invalid_type"),
            (#", "logprobs": true, "top_logprobs": 21"#, "top_logprobs", "invalid_value"),
            (#", "top_logprobs": 2"#, "top_logprobs", "invalid_value"),
            (#", "post_sampling_probs": true"#, "post_sampling_probs", "invalid_value"),
            (#", "stop_token_ids": 5"#, "stop_token_ids", "invalid_type"),
            (#", "stop_token_ids": [-1]"#, "stop_token_ids", "invalid_type"),
            (#", "min_tokens": -1"#, "min_tokens", "invalid_value"),
            (#", "speculation": "draft""#, "speculation", "invalid_value"),
            (#", "speculation": true"#, "speculation", "invalid_type"),
            (#", "cache_salt": """#, "cache_salt", "invalid_value"),
            (#", "cache_salt": "\#(String(repeating: "x", count: 129))""#, "cache_salt", "invalid_value"),
            (#", "cache_salt": 5"#, "cache_salt", "invalid_type"),
            (#", "min_tokens": 6, "max_tokens": 5"#, "min_tokens", "invalid_value"),
            (#", "response_format": {"type": "json_object"}"#, "response_format", "unsupported"),
            (#", "modalities": ["audio"]"#, "modalities", "unsupported"), (#", "audio": {}"#, "audio", "unsupported"),
            (#", "store": true"#, "store", "unsupported"),
            (#", "service_tier": "flex""#, "service_tier", "unsupported"),
            (#", "reasoning_effort": "low""#, "reasoning_effort", "unsupported"),
        ])
    func badChats(members: String, parameter: String, code: String) throws {
        let error = try #require(throws: APIError.self) { try chat(members) }
        #expect(error.parameter == parameter && error.code == code && error.status == 400, "\(error)")
        #expect(error.type == "invalid_request_error")
    }

    @Test(
        "what is wrong with messages is named by its place",
        arguments: [
            ("{}", "messages", "missing_required_parameter"), (#"{"messages": "x"}"#, "messages", "invalid_type"),
            (#"{"messages": []}"#, "messages", "invalid_value"), (#"{"messages": [1]}"#, "messages[0]", "invalid_type"),
            (#"{"messages": [{"role": "robot", "content": ""}]}"#, "messages[0].role", "invalid_value"),
            (#"{"messages": [{"role": "user"}]}"#, "messages[0].content", "missing_required_parameter"),
            (#"{"messages": [{"role": "user", "content": 1}]}"#, "messages[0].content", "invalid_type"),
            (
                #"{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}"#, "messages[0].content[0]",
                "unsupported"
            ),
            (
                #"{"messages": [{"role": "user", "content": [{"type": "text"}]}]}"#, "messages[0].content[0].text",
                "invalid_type"
            ),
            ("[]", nil, "invalid_type"),
        ] as [(String, String?, String)])
    func badMessages(json: String, parameter: String?, code: String) throws {
        let error = try #require(throws: APIError.self) { try GenerationRequest.chat(JSONValue.parse(json)) }
        #expect(error.parameter == parameter && error.code == code, "\(error)")
    }

    @Test(
        "what is wrong with a completion is named",
        arguments: [
            ("{}", "prompt", "missing_required_parameter"), (#"{"prompt": []}"#, "prompt", "invalid_value"),
            (#"{"prompt": [1, "a"]}"#, "prompt", "invalid_type"), (#"{"prompt": ["a", 1]}"#, "prompt", "invalid_type"),
            (#"{"prompt": [-1]}"#, "prompt", "invalid_type"), (#"{"prompt": [[]]}"#, "prompt", "invalid_type"),
            (#"{"prompt": "x", "echo": true}"#, "echo", "unsupported"),
            (#"{"prompt": "x", "suffix": "y"}"#, "suffix", "unsupported"),
            (#"{"prompt": "x", "best_of": 2}"#, "best_of", "unsupported"),
            (#"{"prompt": "x", "logprobs": 21}"#, "logprobs", "invalid_value"),
            (#"{"prompt": "x", "logprobs": true}"#, "logprobs", "invalid_type"),
            (#"{"prompt": "x", "top_logprobs": 1}"#, "top_logprobs", "unknown_parameter"),
            (#"{"prompt": "x", "min_tokens": 17}"#, "min_tokens", "invalid_value"),
            (#"{"prompt": ["a", "b", "c"], "n": 50}"#, "n", "invalid_value"),
            (#"{"prompt": "x", "messages": []}"#, "messages", "unknown_parameter"),
        ])
    func badCompletions(json: String, parameter: String, code: String) throws {
        let error = try #require(throws: APIError.self) { try completion(json) }
        #expect(error.parameter == parameter && error.code == code, "\(error)")
    }
}
