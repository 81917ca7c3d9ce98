import EngineProtocol
import RKLLMEngine
import TestSupport
import Testing

/// Adapters, cross-attention, images, batches, templates and tools, in each family that has them.
@Suite struct FeatureTests {
    private func message(_ error: EngineError?) -> String {
        switch error {
        case .invalidRequest(_, let message), .internalError(_, let message): message
        case .unsupported(let feature): feature
        default: "\(error as Any)"
        }
    }

    // MARK: Adapters

    @Test(arguments: FakeRuntime.families) func `adapters are chosen by name`(family: Int) throws {
        let harness = try RuntimeHarness(family, "state")
        try harness.loadAdapter("poems", scale: 0.5)
        try harness.loadAdapter("code")
        #expect(harness.told.contains("load_lora name=poems scale=0.5"))
        var request = harness.ask("Hello")
        #expect(try harness.run(request).text.contains("adapter=none"))
        request.adapter = "poems"
        #expect(try harness.run(request).text.contains("adapter=poems"))
        request.adapter = "code"
        #expect(try harness.run(request).text.contains("adapter=code"))
        // What was computed with one adapter is not found by the other.
        #expect(family == 110 || harness.told.count { $0.hasPrefix("clear") } == 2)
        request.adapter = "prose"
        #expect(message(try harness.run(request).failure) == "there is no adapter 'prose'")
        #expect(throws: EngineError.self) { try harness.loadAdapter("code") }
    }

    @Test(arguments: FakeRuntime.families) func `an unloaded adapter is gone, and its name is free`(family: Int) throws
    {
        let harness = try RuntimeHarness(family, "state")
        try harness.loadAdapter("poems")
        try harness.loadAdapter("code")
        try harness.perform(harness.engine.prepare(unloading: "poems"))
        var request = harness.ask("Hello")
        request.adapter = "poems"
        #expect(message(try harness.run(request).failure) == "there is no adapter 'poems'")
        #expect(throws: EngineError.self) { try harness.perform(harness.engine.prepare(unloading: "poems")) }
        // The runtime cannot let go of the old one, so the model is loaded again, with the adapters that are left.
        try harness.loadAdapter("poems", scale: 2)
        #expect(harness.told.contains("destroy"))
        #expect(try harness.run(request).text.contains("adapter=poems"))
        request.adapter = "code"
        #expect(try harness.run(request).text.contains("adapter=code"))
    }

    @Test func `adapters are checked, and a refusal tells the runtime's reason`() throws {
        let harness = try RuntimeHarness(130, "say a")
        do {
            try harness.loadAdapter("poems", content: "something else")
            Issue.record("not refused")
        } catch EngineError.invalidRequest("adapter", let message) {
            #expect(message.contains("rkllm_load_lora: -1"))
        }
        for name in ["", "zero \u{0}", String(repeating: "x", count: 257)] {
            #expect(throws: EngineError.self) { try harness.loadAdapter(name) }
        }
        #expect(throws: EngineError.self) { try harness.loadAdapter("poems", scale: .nan) }
        #expect(throws: EngineError.self) { try harness.engine.prepare(AdapterRequest(name: "poems"), file: nil) }
        #expect(try harness.run(harness.ask("Hello")).text == "a")
    }

    // MARK: Cross-attention

    private static func encoder(tokens: Int = 3) -> CrossAttention {
        func tensor(_ count: Int, _ first: Float) -> Tensor {
            Tensor(rows: 1, columns: UInt32(count), values: (0..<count).map { first + Float($0) })
        }
        return CrossAttention(
            keys: tensor(2 * tokens, 1), values: tensor(2 * tokens, 100), mask: tensor(tokens, 0.5),
            positions: (0..<Int32(tokens)).map { $0 + 40 })
    }

    @Test(arguments: [121, 130]) func `an encoder's output lasts for its run, and is gone after it`(family: Int) throws
    {
        let harness = try RuntimeHarness(family, "state", runtime: RuntimeOptions(usesCrossAttention: true))
        var request = harness.ask("Hello")
        request.crossAttention = Self.encoder()
        #expect(try harness.run(request).text.contains("encoder=3"))
        let told = harness.told
        #expect(told.contains("set_cross_attn_params tokens=3 key=1 value=100 mask=0.5 position=40"))
        #expect(told.contains("run encoder=3 last=42") && told.last == "set_cross_attn_params none")
        #expect(try harness.run(harness.ask("Hello")).text.contains("encoder=0"))
        // What was computed with an encoder's output is found by nobody else.
        #expect(harness.told.count { $0.hasPrefix("clear") } == 1)
    }

    @Test func `an encoder's output that the runtime would read beyond is refused`() throws {
        let harness = try RuntimeHarness(130, "say a", runtime: RuntimeOptions(usesCrossAttention: true))
        func refusal(_ change: (inout CrossAttention) -> Void) -> String {
            var request = harness.ask("Hello")
            var encoder = Self.encoder()
            change(&encoder)
            request.crossAttention = encoder
            do {
                _ = try harness.engine.prepare(request)
                return "nothing"
            } catch {
                return message(error)
            }
        }
        #expect(refusal { $0.keys.values.removeLast() }.contains("5 keys and 6 values for 3 tokens"))
        #expect(
            refusal {
                $0.keys.values.removeLast()
                $0.values.values.removeLast()
            }.contains("a multiple"))
        #expect(refusal { $0.mask.values.removeLast() }.contains("the mask has 2 numbers for 3 tokens"))
        #expect(refusal { $0.positions = [] }.contains("0 positions"))
        #expect(refusal { $0.keys.values[0] = .infinity }.contains("not finite"))
        var request = try RuntimeHarness(130, "say a").ask("Hello")
        request.crossAttention = Self.encoder()
        #expect(try RuntimeHarness(130, "say a").unsupported(request).contains("rkllm_cross_attention"))
        let old = try RuntimeHarness(120, "say a")
        #expect(old.unsupported(request) == "cross-attention with runtime 1.2.0")
    }

    // MARK: Images and videos

    private static func images(_ count: UInt32 = 1, tags: [String] = ["", "", ""], columns: UInt32 = 2)
        -> MultimodalInput.Media
    {
        let rows = count * 3
        return MultimodalInput.Media(
            kind: .image, count: count, tokensPerFrame: 3, width: 392, height: 280, startTag: tags[0], endTag: tags[1],
            contentTag: tags[2],
            embeddings: Tensor(
                rows: rows, columns: columns, values: (0..<Int(rows * columns)).map { 5 + Float($0) }))
    }

    private static func ask(_ prompt: String, _ media: MultimodalInput.Media...) -> GenerateRequest {
        GenerateRequest(inputs: [.multimodal(MultimodalInput(prompt: prompt, media: media))])
    }

    @Test(arguments: FakeRuntime.families) func `images arrive in the family's structure`(family: Int) throws {
        let harness = try RuntimeHarness(family, "say a cat")
        let tags = ["<start>", "<end>", "<pad>"]
        #expect(try harness.run(Self.ask("What is <image> ?", Self.images(tags: tags))).text == "a cat")
        let told = harness.told
        #expect(told.contains("run multimodal prompt=What is <image> ? rows=5 tokens=3"))
        switch family {
        case 130:
            #expect(
                told.contains(
                    "run images=1 width=392 height=280 start=<start> end=<end> content=<pad>"))
        case 121:
            #expect(told.contains("run images=1 width=392 height=280"))
            fallthrough
        default:
            // What stands around an image comes with the model, which is loaded again for it.
            #expect(told.contains("init tags=<start> <end> <pad>") && told.contains("destroy"))
        }
        #expect(!told.contains("a tag did not last"))
        #expect(try harness.run(Self.ask("And <image>", Self.images(tags: tags))).text == "a cat")
        #expect(harness.told.count { $0.hasPrefix("init context") } == (family == 130 ? 1 : 2))
    }

    @Test(arguments: [121, 130]) func `several images come together`(family: Int) throws {
        let harness = try RuntimeHarness(family, "say two")
        #expect(try harness.run(Self.ask("<image> or <image>", Self.images(2))).text == "two")
        #expect(harness.told.contains { $0.hasPrefix("run images=2 width=392 height=280") })
        let old = try RuntimeHarness(120, "say a")
        #expect(
            old.unsupported(Self.ask("<image> or <image>", Self.images(2)))
                == "several images in one prompt with runtime 1.2.0")
    }

    @Test func `videos arrive, beside images`() throws {
        let harness = try RuntimeHarness(130, "say both")
        let video = MultimodalInput.Media(
            kind: .video, count: 1, framesPerItem: 2, tokensPerFrame: 2, width: 64, height: 32, startTag: "s",
            endTag: "e", contentTag: "c", embeddings: Tensor(rows: 4, columns: 1, values: [9, 8, 7, 6]))
        let request = Self.ask("<video> and <image>", video, Self.images())
        #expect(try harness.run(request).text == "both")
        #expect(
            harness.told.contains(
                "run videos=1 frames=2 tokens=2 rows=9 width=64 height=32 start=s end=e content=c"))
        let old = try RuntimeHarness(121, "say a")
        #expect(old.unsupported(request) == "videos with runtime 1.2")
    }

    @Test func `images that the runtime would read beyond are refused`() throws {
        let harness = try RuntimeHarness(130, "hidden 1 4")
        func refusal(_ prompt: String, _ media: MultimodalInput.Media...) -> String {
            do {
                let input = MultimodalInput(prompt: prompt, media: media)
                _ = try harness.engine.prepare(GenerateRequest(inputs: [.multimodal(input)]))
                return "nothing"
            } catch {
                return message(error)
            }
        }
        #expect(refusal("no place", Self.images()).contains("1 images, but <image> is 0 times"))
        #expect(refusal("<image> <image>", Self.images()).contains("1 images, but <image> is 2 times"))
        #expect(refusal("<image>").contains("neither"))
        #expect(refusal("<image> <image>", Self.images(), Self.images()).contains("two sets"))
        var short = Self.images()
        short.tokensPerFrame = 4
        #expect(refusal("<image>", short).contains("there are 3"))
        short = Self.images()
        (short.count, short.framesPerItem, short.tokensPerFrame) = (1, 1, 0)
        #expect(refusal("<image>", short).contains("need as many rows"))
        short = Self.images()
        short.framesPerItem = 3
        #expect(refusal("<image>", short).contains("one frame"))
        short = Self.images()
        short.embeddings.values[1] = .nan
        #expect(refusal("<image>", short).contains("not finite"))
        short = Self.images()
        short.startTag = "\u{0}"
        #expect(refusal("<image>", short).contains("zero byte"))
        // Once the model's width is known, rows are a multiple of it: an encoder may have several outputs.
        _ = try harness.embed(EmbedRequest(inputs: [.ids([1])]))
        #expect(refusal("<image>", Self.images()).contains("no multiple of the model's 4"))
        #expect(refusal("<image>", Self.images(columns: 8)) == "nothing")
    }

    // MARK: Batches

    @Test(arguments: [121, 130]) func `inputs are computed together, and end one by one`(family: Int) throws {
        let harness = try RuntimeHarness(
            family, "echo\nend 1\nsay -\nend 0\nsay +", runtime: RuntimeOptions(batch: 3))
        let inputs = ["one", "two", "three", "four"].map { GenerateRequest.Input.text($0) }
        let events = try harness.run(GenerateRequest(inputs: inputs))
        func text(_ choice: UInt32) -> String {
            events.reduce(into: "") { text, event in
                if case .tokens(let chunk) = event, chunk.choice == choice { text += chunk.text }
            }
        }
        #expect((0..<4).map(text) == ["one-", "two", "three-+", "four-"])
        #expect(events.reasons == [.stop, .stop, .stop, .stop])
        #expect(events.usage?.completionTokens == 8)
        // Three together, and the fourth with two copies, whose answers nobody asked for.
        #expect(harness.told.count { $0.hasPrefix("run mode") } == 2)
        #expect(harness.told.count { $0 == "run prompt=four" } == 3)
    }

    @Test(arguments: [121, 130]) func `what goes on after all of a batch have had enough is aborted`(
        family: Int
    ) throws {
        let harness = try RuntimeHarness(family, "delay 1\nmany 100000 ab", runtime: RuntimeOptions(batch: 2))
        var request = GenerateRequest(inputs: [.ids([1]), .ids([2, 3])], maximumTokens: 4)
        #expect(try harness.run(request).reasons == [.length, .length])
        request.stopStrings = ["bab"]
        let stopped = try harness.run(request)
        #expect(stopped.text == "aa" && stopped.reasons == [.stop, .stop])
        #expect(harness.told.contains("aborted") && !harness.told.contains("two runs at once"))
    }

    @Test(arguments: [121, 130]) func `a batch of inputs is embedded, and has no logits`(family: Int) throws {
        let harness = try RuntimeHarness(family, "hidden 2 3", runtime: RuntimeOptions(batch: 2))
        let inputs: [GenerateRequest.Input] = [.ids([1, 2]), .ids([3, 4]), .ids([5, 6])]
        guard
            case .result(.embedded(let vectors, promptTokens: 6))? = try harness.embed(
                EmbedRequest(inputs: inputs, normalizes: false))
        else {
            Issue.record("not embedded")
            return
        }
        #expect(vectors == Tensor(rows: 3, columns: 3, values: [0.75, 1, 1.25, 0.75, 1, 1.25, 0.75, 1, 1.25]))
        var logits = GenerateRequest(inputs: [.ids([1])], maximumTokens: 0)
        logits.tensors = TensorRequest(kind: .logits, credit: 1)
        #expect(harness.unsupported(logits).hasPrefix("logits with batches"))
    }

    // MARK: Templates and tools

    @Test(arguments: [120, 121, 130]) func `a text is computed as it is, and chats have the model's template again`(
        family: Int
    ) throws {
        let harness = try RuntimeHarness(family, "state")
        try harness.loadAdapter("poems")
        let raw = GenerateRequest(inputs: [.text("raw")])
        #expect(try harness.run(raw).text.contains("template=[][][]"))
        #expect(try harness.run(raw).text.contains("template=[][][]"))
        #expect(harness.told.count { $0.hasPrefix("set_chat_template") } == 1)
        // Nothing takes a template out of the handle again, so the model is loaded again, with its adapters.
        var chat = harness.ask("Hello")
        chat.adapter = "poems"
        #expect(try harness.run(chat).text.contains("template=model tools=none adapter=poems"))
        #expect(harness.told.count { $0 == "destroy" } == 1)
        // Tokens stand in no template, so any will do.
        _ = try harness.run(raw)
        #expect(try harness.run(GenerateRequest(inputs: [.ids([1])])).text.contains("template=[][][]"))
    }

    @Test(arguments: [121, 130]) func `tools are told to the model's template, and taken back`(family: Int) throws {
        let harness = try RuntimeHarness(family, "state")
        let tool = #"[{"type":"function","function":{"name":"f"}}]"#
        func ask(tools: String?, _ messages: String) -> GenerateRequest {
            GenerateRequest(inputs: [.chat(ChatInput(messagesJSON: messages, toolsJSON: tools))])
        }
        let hello = #"[{"role":"system","content":"Be kind."},{"role":"user","content":"Hello"}]"#
        #expect(try harness.run(ask(tools: tool, hello)).text.contains("tools=[{"))
        #expect(harness.told.contains("set_function_tools [Be kind.][\(tool)][tool_response]"))
        #expect(try harness.run(ask(tools: tool, hello)).text.contains("tools=[{"))
        #expect(harness.told.count { $0.hasPrefix("set_function_tools") } == 1)
        #expect(try harness.run(harness.ask("Hello")).text.contains("tools=none"))
        // After a text as it is, the template that has the tools is gone too.
        _ = try harness.run(GenerateRequest(inputs: [.text("raw")]))
        #expect(try harness.run(ask(tools: tool, hello)).text.contains("template=model tools=[{"))
        #expect(!harness.told.contains("tools after a template"))
        #expect(harness.told.count { $0 == "destroy" } == 2)
        #expect(harness.unsupported(ask(tools: nil, hello)).hasPrefix("messages[0].role 'system' without tools"))
    }

    @Test(arguments: [121, 130]) func `results of tools are a turn of their own`(family: Int) throws {
        let harness = try RuntimeHarness(family, "say Good")
        let id = try harness.open(1)
        func turn(_ messages: String) -> GenerateRequest {
            var request = GenerateRequest(inputs: [.chat(ChatInput(messagesJSON: messages, toolsJSON: "[{}]"))])
            request.session = SessionUse(id: id, keepsHistory: true)
            return request
        }
        #expect(try harness.run(turn(#"[{"role":"user","content":"Hello"}]"#)).text == "Good")
        let results = #"[{"role":"tool","content":"{\"a\":1}"},{"role":"tool","content":"warm"}]"#
        #expect(try harness.run(turn(results)).text == "Good")
        #expect(harness.told.contains(#"run prompt=[{"a":1},"warm"]"#))
        #expect(harness.told.contains("run role=tool thinking=0"))
        #expect(try harness.run(turn(#"[{"role":"tool","content":"[1,2]"}]"#)).text == "Good")
        #expect(harness.told.contains("run prompt=[1,2]"))
    }

    @Test(arguments: FakeRuntime.families) func `a model that cannot be loaded again is tried with the next request`(
        family: Int
    ) throws {
        let harness = try RuntimeHarness(family, "say a\nsecond fail")
        var request = GenerateRequest(inputs: [.ids([1])])
        guard family < 130 else { return }
        request.sampling.temperature = 0.5
        for _ in 0..<2 { #expect(message(try harness.run(request).failure).contains("rkllm_init: -1")) }
    }

    // MARK: What fails

    @Test(arguments: FakeRuntime.families) func `a function that fails is named, and the next call runs`(
        family: Int
    ) throws {
        let functions = [
            "load_lora", "load_prompt_cache", "release_prompt_cache", "clear_kv_cache", "get_kv_cache_size",
            "set_chat_template", "set_function_tools", "set_cross_attn_params",
        ]
        for function in functions where RuntimeCalls.families(with: function).contains(family) {
            let harness = try RuntimeHarness(
                family, "say a\nat \(function) fail",
                runtime: RuntimeOptions(usesCrossAttention: family >= 121))
            let error = try RuntimeCalls.failure(of: function, harness)
            #expect(message(error).contains("rkllm_\(function): -1"), "\(function): \(error as Any)")
            #expect(try harness.run(GenerateRequest(inputs: [.ids([1])])).failure == nil, "\(function)")
        }
    }

    @Test(arguments: FakeRuntime.families) func `a function that lies does the next call no harm`(family: Int) throws {
        let functions = [
            "load_lora", "load_prompt_cache", "release_prompt_cache", "clear_kv_cache", "get_kv_cache_size",
            "set_chat_template", "set_function_tools", "set_cross_attn_params",
        ]
        for function in functions where RuntimeCalls.families(with: function).contains(family) {
            let harness = try RuntimeHarness(
                family, "say a\nat \(function) lie", runtime: RuntimeOptions(usesCrossAttention: family >= 121))
            _ = try RuntimeCalls.failure(of: function, harness)
            #expect(try harness.run(GenerateRequest(inputs: [.ids([1])])).text == "a", "\(function)")
            guard function == "load_lora" else { continue }
            // The runtime said that it has it.
            var request = harness.ask("Hello")
            request.adapter = "poems"
            #expect(message(try harness.run(request).failure).contains("rkllm_run: -1"))
        }
    }

    @Test(arguments: [121, 130]) func `a cache that cannot be as large as told is not believed`(family: Int) throws {
        let harness = try RuntimeHarness(family, "say a\nat get_kv_cache_size lie")
        let id = try harness.open(1)
        _ = try harness.run(harness.turn("Hello", in: id))
        #expect { try harness.change(id, .releaseCache) } throws: {
            message($0 as? EngineError).contains("told of -12345 positions")
        }
    }
}

/// How each function of the runtime is reached.
enum RuntimeCalls {
    static func families(with function: String) -> [Int] {
        switch function {
        case "load_lora", "load_prompt_cache", "release_prompt_cache": [110, 120, 121, 130]
        case "clear_kv_cache", "set_chat_template": [120, 121, 130]
        default: [121, 130]
        }
    }

    /// The error of a call that needs the function.
    static func failure(of function: String, _ harness: RuntimeHarness) throws -> EngineError? {
        do {
            return try run(function, harness)
        } catch {
            return error as? EngineError
        }
    }

    private static func run(_ function: String, _ harness: RuntimeHarness) throws -> EngineError? {
        let id = try harness.open(1)
        switch function {
        case "load_lora": try harness.loadAdapter("poems")
        case "load_prompt_cache", "release_prompt_cache":
            let file = try TestFile()
            _ = try harness.run(
                harness.turn("one two", in: id, keepsHistory: false, savesCache: true), file: file.runtime)
            try harness.change(id, .loadCache, file: file.runtime)
            try harness.change(id, .releaseCache)
        case "clear_kv_cache":
            _ = try harness.run(harness.turn("one", in: id))
            try harness.change(id, .clear(keepsSystemPrompt: false))
        case "get_kv_cache_size":
            _ = try harness.run(harness.turn("one", in: id))
            try harness.change(id, .releaseCache)
        case "set_chat_template": return try harness.run(GenerateRequest(inputs: [.text("raw")])).failure
        case "set_function_tools":
            let chat = RuntimeHarness.chat(["Hello"], tools: "[{}]")
            return try harness.run(GenerateRequest(inputs: [.chat(chat)])).failure
        case "set_cross_attn_params":
            var request = harness.ask("Hello")
            let one = Tensor(rows: 1, columns: 1, values: [1])
            request.crossAttention = CrossAttention(keys: one, values: one, mask: one, positions: [0])
            return try harness.run(request).failure
        default: break
        }
        return nil
    }
}
