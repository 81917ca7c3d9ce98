import EngineProtocol
import RKLLMEngine
import TestSupport
import Testing

/// What the stand-in reads at the places that the documentation gives for each family is what the engine meant.
@Suite struct LayoutTests {
    @Test(arguments: FakeRuntime.families) func `parameters of a load arrive where the family has them`(
        family: Int
    ) throws {
        let harness = try RuntimeHarness(family, "say x", context: 1024, threads: 3)
        var expected = [
            "init context=1024 new=1024 top_k=1048576 top_p=1 temperature=1 repeat=1 frequency=0 presence=0",
            "init mirostat=0 tau=5 eta=0.1 skip=1 async=0 domain=0",
        ]
        if family == 130 { expected.append("init ignore_eos=0") }
        // The three highest of eight processors.
        if family >= 120 { expected.append("init n_keep=0 flash=0 cpus=3 mask=e0") }
        if family >= 121 { expected.append("init n_batch=1 cross=0") }
        #expect(harness.told == expected)
        #expect(harness.engine.description.contextLength == 1024)
    }

    @Test(arguments: FakeRuntime.families) func `the runtime's options arrive where the family has them`(
        family: Int
    ) throws {
        var options = RuntimeOptions(baseDomain: 3)
        if family >= 120 { (options.readsEmbeddingsFromStorage, options.processorMask) = (true, 0x0F) }
        if family >= 121 { (options.batch, options.usesCrossAttention) = (4, true) }
        let harness = try RuntimeHarness(family, "say x", threads: 3, runtime: options)
        let told = harness.told
        #expect(told.contains { $0.hasSuffix("async=0 domain=3") })
        #expect(family < 120 || told.contains("init n_keep=0 flash=1 cpus=4 mask=f"))
        #expect(family < 121 || told.contains("init n_batch=4 cross=1"))
        #expect(harness.engine.description.parallel == (family >= 121 ? 4 : 1))
    }

    @Test func `options that a family lacks, or that cannot be, are refused by name`() throws {
        func refusal(_ family: Int, _ options: RuntimeOptions) -> EngineError? {
            #expect(throws: EngineError.self) { try RuntimeHarness(family, "say x", runtime: options) }
        }
        #expect(
            refusal(120, RuntimeOptions(batch: 2))
                == .unsupported(feature: "batches (rkllm_batch) with runtime 1.2.0"))
        #expect(
            refusal(110, RuntimeOptions(usesCrossAttention: true))
                == .unsupported(feature: "cross-attention with runtime 1.1"))
        #expect(
            refusal(110, RuntimeOptions(readsEmbeddingsFromStorage: true))
                == .unsupported(feature: "embeddings in storage (rkllm_embed_flash) with runtime 1.1"))
        #expect(
            refusal(110, RuntimeOptions(processors: 2))
                == .unsupported(feature: "a choice of processors (rkllm_cpus) with runtime 1.1"))
        for options in [
            RuntimeOptions(processors: 9), RuntimeOptions(processors: 3, processorMask: 0xF0),
            RuntimeOptions(batch: 101), RuntimeOptions(baseDomain: .max), RuntimeOptions(processorMask: 0x100),
        ] {
            guard case .invalidRequest? = refusal(130, options) else {
                Issue.record("\(options) is not refused")
                return
            }
        }
    }

    @Test(arguments: FakeRuntime.families) func `inputs of a run arrive, and its results come back`(
        family: Int
    ) throws {
        let harness = try RuntimeHarness(family, "say one\\_\nsay two")
        let text = try harness.run(harness.ask("Hello", tokens: 50))
        #expect(text.text == "one two" && text.ids == [100, 101] && text.reasons == [.stop])
        _ = try harness.run(GenerateRequest(inputs: [.ids([7, 8, 9])], maximumTokens: 50))
        let rows = Tensor(rows: 2, columns: 3, values: [1.5, 2, 3, 4, 5, 6])
        _ = try harness.run(GenerateRequest(inputs: [.embeddings(rows)], maximumTokens: 50))
        let told = harness.told.filter { $0.hasPrefix("run ") }
        let role = family >= 121 ? ["run role=user thinking=0"] : []
        let sampling =
            family == 130
            ? [
                "run top_k=1048576 top_p=1 temperature=1 repeat=1 frequency=0 presence=0 mirostat=0 tau=5 eta=0.1"
            ] : []
        func rest(_ keep: Int) -> [String] {
            let kept = family == 110 ? [] : family == 130 ? ["run keep=\(keep) new=50"] : ["run keep=\(keep)"]
            return ["run mode=0 lora=0 cache=0"] + kept + sampling
        }
        var expected = role + ["run prompt=Hello"] + rest(1)
        expected += role + ["run tokens=3 first=7"] + rest(0)
        expected += role + ["run rows=2 first=1.5"] + rest(0)
        #expect(told == expected)
    }

    @Test func `sampling comes with the run where the family takes it`() throws {
        let harness = try RuntimeHarness(130, "say x")
        var request = harness.ask("Hello", tokens: 3)
        request.sampling = SamplingParameters(
            temperature: 0.5, topP: 0.25, topK: 7, repetitionPenalty: 1.5, presencePenalty: 0.75,
            frequencyPenalty: -0.5)
        request.sampling.mirostat.version = .two
        request.sampling.mirostat.target = 3
        request.sampling.mirostat.rate = 0.5
        _ = try harness.run(request)
        #expect(
            harness.told.contains(
                "run top_k=7 top_p=0.25 temperature=0.5 repeat=1.5 frequency=-0.5 presence=0.75 mirostat=2 tau=3 eta=0.5"
            ))
        request.sampling = SamplingParameters(temperature: 0)
        _ = try harness.run(request)
        #expect(harness.told.contains { $0.hasPrefix("run top_k=1 top_p=1 temperature=1 ") })
    }

    @Test(arguments: [110, 120, 121]) func `a family that takes sampling with a model has it loaded again`(
        family: Int
    ) throws {
        let harness = try RuntimeHarness(family, "say x")
        var request = harness.ask("Hello")
        request.sampling.temperature = 0.75
        for _ in 0..<2 { #expect(try harness.run(request).text == "x") }
        #expect(try harness.run(harness.ask("Hello")).text == "x")
        let temperatures = harness.told.filter { $0.hasPrefix("init context") }.map { line in
            line.split(separator: " ").first { $0.hasPrefix("temperature=") }.map(String.init) ?? ""
        }
        #expect(temperatures == ["temperature=1", "temperature=0.75", "temperature=1"])
        #expect(harness.told.count { $0 == "destroy" } == 2)
    }

    @Test(arguments: [121, 130]) func `thinking is switched on where the family can`(family: Int) throws {
        let harness = try RuntimeHarness(family, "say x")
        let chat = RuntimeHarness.chat(["Hello"], variables: #"{"enable_thinking":true}"#)
        _ = try harness.run(GenerateRequest(inputs: [.chat(chat)]))
        #expect(harness.told.contains("run role=user thinking=1"))
    }

    @Test(arguments: FakeRuntime.families) func `the runtime's own figures come where it tells them`(
        family: Int
    ) throws {
        let harness = try RuntimeHarness(family, "say x")
        let events = try harness.run(harness.ask("Hello"))
        let usage = try #require(events.usage)
        #expect(usage.promptTokens == (family >= 121 ? 1 : 0) && usage.completionTokens == 1)
        let figures = RuntimeFigures(
            prefillMilliseconds: 12.5, prefillTokens: 1, generateMilliseconds: 80, generateTokens: 3,
            memoryMegabytes: 99)
        #expect(events.figures == (family >= 121 ? figures : nil))
        let ids = try #require(try harness.run(GenerateRequest(inputs: [.ids([1, 2])])).usage)
        #expect(ids.promptTokens == 2)
    }
}
