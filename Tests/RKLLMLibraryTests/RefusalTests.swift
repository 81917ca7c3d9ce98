import Foundation
import TestSupport
import Testing

/// What cannot be done returns -1 and says why in one line.
@Suite(.serialized, .timeLimit(.minutes(10))) struct RefusalTests {
    private static let values = [
        ("model_path", "model_path is NULL"), ("model_path", "'at-all.gguf' cannot be opened"),
        ("model_path", "APUS_RKLLM_MAP names no GGUF"), ("max_context_len", "max_context_len is -5"),
        ("max_context_len", "max_context_len is 1048576, but the model's limit is 1024"),
        ("max_new_tokens", "max_new_tokens is -2"), ("top_k", "top_k is -2"), ("top_p", "top_p is 1.5"),
        ("temperature", "temperature is -0.5"), ("repeat_penalty", "repeat_penalty is 0.0"),
        ("frequency_penalty", "frequency_penalty is 3.0"), ("presence_penalty", "presence_penalty is -2.5"),
        ("mirostat", "mirostat is 3"), ("mirostat_tau", "mirostat_tau is -1.0"),
        ("mirostat_eta", "mirostat_eta is 2.0"),
        ("skip_special_token", "skip_special_token is false"),
        ("extend_param.enabled_cpus_num", "enabled_cpus_num is -1"), ("extend_param.n_batch", "n_batch is 200"),
        ("extend_param.use_cross_attn", "use_cross_attn"),
    ]

    @Test(arguments: CProgram.families) func `a wrong parameter is named with its value`(family: String) throws {
        let facts = try CProgram.drive(family, ["values"])
        for (place, (field, words)) in Self.values.enumerated() {
            #expect(facts.lines[place] == "\(field) -1 0", "the handle stays NULL")
            #expect(facts.refusals[place].hasPrefix("rkllm_init: ") && facts.refusals[place].contains(words))
        }
        #expect(facts["null"] == "-1" && facts["out"] == "-1" && (family == "12" || facts["embed_callback"] == "-1"))
    }

    @Test(arguments: CProgram.families) func `a wrong call is refused and harms nothing`(family: String) throws {
        let facts = try CProgram.drive(family, ["calls"])
        let results = facts.lines.map { ($0.hasSuffix(" -1"), $0) }
        let good = results.filter { !$0.0 }.map(\.1)
        #expect(
            good == [
                "rkllm_set_chat_template(handle, \"a\", NULL, NULL) 0", "rkllm_abort(handle) 0",
                "rkllm_destroy(handle) 0",
            ], "\(facts)")
        #expect(facts.refusals.count == results.count - good.count, "a line for each")
    }

    @Test func `without a worker the model does not load, and the way to one is told`() throws {
        let driver = try CProgram.driver("12")
        let missing = try driver.run(["run", "Hello"], environment: ["APUS_WORKER": "/nowhere/apus-worker"])
        #expect(missing.status == 3 && missing.standardError.contains("APUS_WORKER is '/nowhere/apus-worker'"))
        let wrong = try driver.run(["run", "Hello"], environment: ["APUS_WORKER": "/bin/true"])
        #expect(wrong.status == 3 && wrong.standardError.contains("rkllm_init: the model's process is gone"))
    }

    @Test func `what means nothing here is named and does no harm`() throws {
        let facts = try CProgram.drive("12", ["board", "Hello"])
        #expect(facts["run"] == "0 finish 1 error 0 here")
        #expect(
            facts.standardError
                == "W rkllm: rkllm_init: without an NPU, these change nothing: base_domain_id, embed_flash, enabled_cpus_mask\n"
        )
    }
}
