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
            "chat_template_kwargs": {"enable_thinking": false}
            """)
        #expect(request.model == "m" && request.streams && request.includesUsage)
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

    @Test("null is the same as absent, and fields that change nothing are taken")
    func harmless() throws {
        _ = try chat(
            """
            , "model": null, "stop": null, "n": null, "temperature": null, "tools": [], "tool_choice": "auto",
            "response_format": {"type": "text"}, "logprobs": false, "top_logprobs": 0, "store": false,
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
            (#", "tools": [{}]"#, "tools", "unsupported"), (#", "logprobs": true"#, "logprobs", "unsupported"),
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
            (#"{"prompt": "x", "logprobs": 1}"#, "logprobs", "unsupported"),
            (#"{"prompt": ["a", "b", "c"], "n": 50}"#, "n", "invalid_value"),
            (#"{"prompt": "x", "messages": []}"#, "messages", "unknown_parameter"),
        ])
    func badCompletions(json: String, parameter: String, code: String) throws {
        let error = try #require(throws: APIError.self) { try completion(json) }
        #expect(error.parameter == parameter && error.code == code, "\(error)")
    }
}
