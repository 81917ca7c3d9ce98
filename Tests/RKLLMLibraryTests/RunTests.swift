import EngineProtocol
import Foundation
import TestSupport
import Testing

/// Runs of the bundled model by programs in C.
@Suite(.serialized, .timeLimit(.minutes(10))) struct RunTests {
    private static let prompt = "Hello! Who are you?"
    private static let story = "Tell me a long story"
    nonisolated(unsafe) private static let spoken = Result { try Reference() }

    private func reference() throws -> Reference { try Self.spoken.get() }

    @Test(arguments: CProgram.families) func `a run says what apus run says, a token at a time`(family: String) throws {
        let facts = try CProgram.drive(family, ["run", Self.prompt])
        let command = try Programs.run(
            "apus", ["run", "demo", Self.prompt, "--temperature", "0", "--max-tokens", "24"])
        #expect(facts["text"] == command.standardOutput.trimmingCharacters(in: .newlines), "\(facts)")
        #expect(facts["run"] == "0 finish 1 error 0 here" && facts["destroy"] == "0")
        let tokens = facts.tokens()
        #expect(tokens.map(\.text).joined() == facts["text"])
        let expected = try reference().answer(Reference.chat(Self.prompt)).ids
        // The token that ends an answer is none of it.
        #expect(tokens.map(\.id) == Array(expected.prefix(tokens.count)) && expected.count - tokens.count <= 1)
        #expect(facts["perf"]?.hasSuffix(" 1 1 1") == true && facts.standardError.isEmpty, "\(facts)")
    }

    @Test func `a token without text waits, and no other does`() throws {
        // At this temperature the model says bytes of all kinds.
        let facts = try CProgram.drive("13", ["run", Self.story], environment: ["TEMPERATURE": "2", "TOKENS": "200"])
        let lines = facts.all("waiting").map { $0.split(separator: " ") }
        #expect(lines.allSatisfy { $0.count == 2 }, "a number and a token, and no text")
        #expect(facts.all("normal").allSatisfy { $0.split(separator: " ", maxSplits: 2).count == 3 })
        #expect(facts["run"] == "0 finish 1 error 0 here")
    }

    @Test(arguments: CProgram.families) func `an asynchronous run has copied its input`(family: String) throws {
        let facts = try CProgram.drive(family, ["async", Self.prompt])
        #expect(facts["async"] == "0 finish 1 error 0 elsewhere" && facts["destroy"] == "0")
        #expect(try facts["text"] == reference().answer(Reference.chat(Self.prompt)).text)
    }

    @Test(arguments: CProgram.families) func `token ids and embeddings go in as they are`(family: String) throws {
        let ids: [Int32] = [43, 317, 280, 390]
        let spoken = try CProgram.drive(family, ["tokens"] + ids.map(String.init))
        #expect(try spoken["text"] == reference().answer(.ids(ids)).text)

        let columns = Int(try reference().model.embeddingWidth)
        let values = (0..<3 * columns).map { Float($0 * 37 % 101 - 50) / 100 }
        let rows = Tensor(rows: 3, columns: UInt32(columns), values: values)
        let embedded = try CProgram.drive(family, ["embed", "3", "\(columns)"])
        #expect(try embedded["text"] == reference().answer(.embeddings(rows)).text)
    }

    @Test(arguments: CProgram.families, ["1", "2"])
    func `hidden states and logits are those of the protocol, every row of them`(family: String, mode: String) throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("apus-rows-\(UUID())")
        defer { try? FileManager.default.removeItem(at: file) }
        // With 2 the memory is freed at once, where the family has that.
        let facts = try CProgram.drive(family, ["rows", mode, Self.prompt, file.path, "2"])
        let expected = try reference().answer(
            Reference.chat(Self.prompt), tensors: mode == "1" ? .hiddenStates : .logits)
        #expect(facts["rows"] == "\(expected.rows.count / expected.columns) \(expected.columns)")
        let found = try Data(contentsOf: file).withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
        #expect(found == expected.rows)
        #expect(facts["run"] == "0 finish 1 error 0 here")
    }

    @Test(arguments: CProgram.families) func `a batch tells of all its inputs at once`(family: String) throws {
        let prompts = [Self.prompt, "Hello", Self.story]
        let facts = try CProgram.drive(family, ["batch"] + prompts)
        for (place, prompt) in prompts.enumerated() {
            let expected = try reference().answer(Reference.chat(prompt)).text
            #expect(facts.tokens(input: place).map(\.text).joined() == expected)
        }
        // An input that has ended has no token.
        #expect(facts.lines.contains { $0.hasPrefix("normal 1 -1 ") } && facts["sizes"] == "0 1 0", "\(facts)")
    }

    @Test func `a run of 1.3 has parameters of its own`() throws {
        let facts = try CProgram.drive("13", ["limits", Self.prompt], environment: ["TOP_K": "40"])
        #expect(facts.tokens().count == 5)
    }

    @Test func `without userdata of its own a run of 1.3 gets the callback's`() throws {
        #expect(try CProgram.drive("13", ["userdata", "Hello"])["run"] == "0 finish 1 error 0 here")
    }

    @Test func `an answer ends where the context is full, and a prompt that does not fit is an error`() throws {
        let environment = ["CONTEXT": "32", "TOKENS": "500"]
        let facts = try CProgram.drive("12", ["run", Self.story], environment: environment)
        #expect(facts["run"] == "0 finish 1 error 0 here" && (1..<32).contains(facts.tokens().count), "\(facts)")
        let long = String(repeating: "Once upon a time there was a fox. ", count: 20)
        let refused = try CProgram.drive("12", ["run", long], environment: environment)
        #expect(refused["run"] == "-1 finish 0 error 1 here" && refused.refusals.first?.contains("32 tokens") == true)
    }

    @Test(arguments: CProgram.families) func `strings take the place of the model's template`(family: String) throws {
        let words = ["", "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"]
        let framed = try CProgram.drive(family, ["frame"] + words + [Self.prompt])
        #expect(framed.all("text").count == 2 && Set(framed.all("text")).count == 1, "as the template writes it")
        let raw = try CProgram.drive(family, ["frame", "", "", "", "Once upon a time"])
        #expect(try raw.all("text").first == reference().answer(.text("Once upon a time")).text)
        #expect(raw.all("template") == ["0", "0"])
    }

    @Test func `the model is told of tools, and calls are tagged text`() throws {
        let tools =
            #"[{"type":"function","function":{"name":"add","description":"adds","parameters":{"type":"object"}}}]"#
        let facts = try CProgram.drive("13", ["tools", "Be brief.", tools, Self.prompt])
        #expect(facts["tools"] == "0" && facts["run"] == "0 finish 1 error 0 here", "\(facts)")
        let spoken = try reference().answer(Reference.chat(Self.prompt, system: "Be brief.", tools: tools)).text
        #expect(facts.all("text").first == spoken)
    }

    @Test func `a file for the NPU is exchanged for the one that the map names`() throws {
        let gguf = Fixtures.packageRoot.appendingPathComponent("Sources/Engine/CDemoModel/apus-demo.gguf").path
        let spoken = try reference().answer(Reference.chat(Self.prompt)).text
        for map in ["a.rkllm=b.gguf:qwen.rkllm=\(gguf)", "/models/qwen.rkllm=demo"] {
            let facts = try CProgram.drive(
                "12", ["run", Self.prompt], environment: ["MODEL": "/models/qwen.rkllm", "APUS_RKLLM_MAP": map])
            #expect(facts["text"] == spoken)
        }
        let wrong = try CProgram.driver("12").run(
            ["run", Self.prompt], environment: ["MODEL": "x.rkllm", "APUS_RKLLM_MAP": "x.rkllm"])
        #expect(wrong.status == 3 && wrong.standardError.contains("FROM=TO"))
    }

    @Test(arguments: CProgram.families) func `the demonstration answers and ends`(family: String)
        throws
    {
        let demo = try CProgram.build("examples/rkllm-demo/demo.c", family: family)
        let output = try demo.run(["demo", "24"], input: "\(Self.prompt)\nHello\n")
        let answer = try reference().answer(Reference.chat(Self.prompt)).text
        #expect(output.status == 0 && output.standardOutput.contains(answer))
        #expect(
            output.standardOutput.components(separatedBy: " tokens; prompt ").count == 3, "\(output.standardOutput)")
    }
}
