import Foundation
import TestSupport
import Testing

/// The layouts, against the tables of the interface's documentation, and what the libraries show of themselves.
@Suite struct InterfaceTests {
    private static let common = [
        "RKLLMExtendParam": 120, "RKLLMLoraAdapter": 24, "RKLLMEmbedInput": 16, "RKLLMTokenInput": 16,
        "RKLLMLoraParam": 8, "RKLLMPromptCacheParam": 16, "RKLLMCrossAttnParam": 40, "RKLLMResultLastHiddenLayer": 16,
        "RKLLMResultLogits": 16, "RKLLMPerfStat": 20, "RKLLMResult": 72, "RKLLMParam.n_keep": 20,
        "RKLLMParam.mirostat_eta": 52, "RKLLMParam.skip_special_token": 56, "RKLLMExtendParam.enabled_cpus_mask": 8,
        "RKLLMExtendParam.use_cross_attn": 13, "RKLLMInput.enable_thinking": 8, "RKLLMInput.input_type": 12,
        "RKLLMInput.prompt_input": 16, "RKLLMInferParam.prompt_cache_params": 16, "RKLLMResult.logits": 32,
        "RKLLMResult.perf": 48,
    ]
    private static let own = [
        "12": [
            "RKLLMParam": 208, "RKLLMMultiModalInput": 48, "RKLLMInput": 64, "RKLLMInferParam": 32,
            "RKLLMParam.is_async": 57, "RKLLMParam.img_content": 80, "RKLLMParam.extend_param": 88,
            "RKLLMInferParam.keep_history": 24,
        ],
        "13": [
            "RKLLMParam": 184, "RKLLMMultiModalInput": 144, "RKLLMInput": 160, "RKLLMInferParam": 40,
            "RKLLMSamplingParam": 36, "RKLLMCallback": 48, "RKLLMParam.ignore_eos_token": 57,
            "RKLLMParam.is_async": 58, "RKLLMParam.extend_param": 60, "RKLLMInferParam.sampling_params": 24,
            "RKLLMInferParam.keep_history": 32, "RKLLMInferParam.max_new_tokens": 36,
            "RKLLMMultiModalInput.video.video_embed": 72,
        ],
    ]

    @Test(arguments: CProgram.families) func `every structure has its size and its places`(family: String) throws {
        let facts = try CProgram.drive(family, ["layout"])
        var found: [String: Int] = [:]
        for line in facts.all("size") + facts.all("place") {
            let words = line.split(separator: " ")
            found[String(words[0])] = Int(words[1])
        }
        #expect(found == Self.common.merging(try #require(Self.own[family])) { $1 })
    }

    @Test(arguments: CProgram.families) func `default parameters come by value and end where they end`(
        family: String
    ) throws {
        let facts = try CProgram.drive(family, ["defaults"])
        #expect(facts["untouched"] == "1")
        #expect(facts["values"] == "0 -1 40 0.90 0.80 1.10 1 1")
        #expect(facts["processors"] == "1")
    }

    @Test(arguments: CProgram.families) func `headers are good C and good C++`(family: String) throws {
        let header = Fixtures.packageRoot.appendingPathComponent("Sources/Client/CRKLLM\(family)/include/rkllm.h").path
        for words in [["clang", "-xc", "-std=c11"], ["clang++", "-xc++", "-std=c++11"], ["gcc", "-xc", "-std=c11"]] {
            let output = try Programs.run(
                "/usr/bin/env", words + ["-Wall", "-Wextra", "-Werror", "-fsyntax-only", header])
            // Where there is no such compiler, there is nothing to find out.
            #expect(output.status == 0 || output.status == 127, "\(words): \(output.standardError)")
        }
    }

    @Test(arguments: CProgram.families) func `libraries show the interface only, and need no Swift`(
        family: String
    ) throws {
        let library = try CProgram.driver(family).folder.appendingPathComponent("librkllmrt.so").path
        let symbols = try Programs.run("/usr/bin/env", ["nm", "-D", "--defined-only", "--extern-only", library])
        let names = symbols.standardOutput.split(separator: "\n").compactMap { $0.split(separator: " ").last }
        #expect(names.count == 15 && names.allSatisfy { $0.hasPrefix("rkllm_") }, "\(names)")
        let dynamic = try Programs.run("/usr/bin/env", ["readelf", "-d", library]).standardOutput
        #expect(dynamic.contains("soname: [librkllmrt.so]") && !dynamic.contains("libswift"), "\(dynamic)")
        #expect(!dynamic.contains("Foundation"))
    }
}
