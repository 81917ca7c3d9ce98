import Foundation
import Platform
import TestSupport
import Testing

@testable import Gateway

/// The verbs as a user types them: results on stdout only, exit status 0, 1 or 2.
@Suite(.serialized, .timeLimit(.minutes(10))) struct CommandLineTests {
    private let demo = Fixtures.packageRoot.appendingPathComponent("Sources/Engine/CDemoModel/apus-demo.gguf").path

    @Test func runPrintsOneAnswerAndNothingElse() throws {
        let once = try Programs.run("apus", ["run", demo, "Hello!", "--temperature", "0", "--max-tokens", "30"])
        #expect(once.status == 0, "\(once.standardError)")
        #expect(!once.standardOutput.trimmingCharacters(in: .whitespacesAndNewlines).isEmpty)
        let again = try Programs.run("apus", ["run", demo, "Hello!", "--temperature=0", "--max-tokens=30"])
        #expect(again.standardOutput == once.standardOutput)
    }

    @Test func aDraftModelChangesNoTextAndMustFit() throws {
        let arguments = ["run", "demo", "Hello!", "--seed", "5", "--max-tokens", "30"]
        let alone = try Programs.run("apus", arguments)
        let drafted = try Programs.run("apus", arguments + ["--draft-model", demo])
        #expect(drafted.status == 0, "\(drafted.standardError)")
        #expect(!alone.standardOutput.isEmpty && drafted.standardOutput == alone.standardOutput)
        let other = FileManager.default.temporaryDirectory.appendingPathComponent("apus-draft-\(getpid()).gguf")
        try Data(TinyModel().bytes()).write(to: other)
        defer { try? FileManager.default.removeItem(at: other) }
        let refused = try Programs.run("apus", arguments + ["--draft-model", other.path])
        #expect(refused.status == 1)
        #expect(refused.standardError.contains("the draft model's tokenizer differs from the model's"))
    }

    @Test func runAsJSONTellsUsageAndTimes() throws {
        let output = try Programs.run("apus", ["run", demo, "Hello!", "--json", "--seed", "3", "--max-tokens", "5"])
        let object = try Chat.object(output.standardOutput)
        #expect(object["text"] is String)
        #expect((object["usage"] as? [String: Any])?["completion_tokens"] as? Int == 5)
        #expect(object["timings"] is [String: Any])
    }

    @Test func rawFromNothingStartsAtTheBeginningToken() throws {
        let output = try Programs.run("apus", ["run", demo, "", "--raw", "--max-tokens", "5", "--temperature", "0"])
        #expect(output.status == 0, "\(output.standardError)")
        #expect(!output.standardOutput.isEmpty)
    }

    @Test func tokensOfATextDecodeToIt() throws {
        let encoded = try Programs.run("apus", ["tokenize", demo, "--no-special"], input: "Hello, world.\nTwo lines\n")
        let lines = encoded.standardOutput.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count == 3 && lines[2].isEmpty, "one line per input line")
        let decoded = try Programs.run("apus", ["tokenize", demo, "--decode"], input: encoded.standardOutput)
        #expect(decoded.standardOutput == "Hello, world.\nTwo lines\n")
    }

    @Test func controlCEndsAVerbThatWaitsForInput() throws {
        let input = Pipe()
        // Not Foundation's Process, whose children inherit blocked and ignored signals.
        let process = try ChildProcess.spawn(
            executable: Programs.path("apus"), arguments: ["apus", "tokenize", demo], environment: [],
            descriptors: [(parent: input.fileHandleForReading.fileDescriptor, child: 0)])
        // Long enough that a model would be loaded by then.
        Foundation.Thread.sleep(forTimeInterval: 1)
        try #require(try process.reap() == nil)
        process.signal(SIGINT)
        var exit: ChildProcess.Exit?
        #expect(
            try ServerProcess.eventually(seconds: 10) {
                exit = try process.reap()
                return exit != nil
            }, "it waits for its input and hears nothing")
        if exit == nil { process.signal(SIGKILL) }
        withExtendedLifetime(input) {}
    }

    @Test func scoreTellsPerplexity() throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("apus-score-\(getpid()).txt")
        try String(repeating: "The fox sat by the river. ", count: 40).write(
            to: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: file) }
        let output = try Programs.run("apus", ["score", demo, file.path, "--window", "64"])
        let object = try Chat.object(output.standardOutput)
        let nll = try #require(object["nll"] as? Double)
        let perplexity = try #require(object["perplexity"] as? Double)
        #expect(abs(exp(nll) - perplexity) < 1e-6 * perplexity)
        #expect(try #require(object["tokens"] as? Int) > 100)
        let again = try Programs.run("apus", ["score", demo, file.path, "--window", "64"])
        #expect(again.standardOutput == output.standardOutput)
    }

    @Test func inspectShowsMetadataAndTensors() throws {
        let output = try Programs.run("apus", ["inspect", demo])
        #expect(output.standardOutput.contains("general.architecture"))
        #expect(output.standardOutput.contains("token_embd.weight"))
    }

    @Test func templateRendersARequest() throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("apus-chat-\(getpid()).json")
        try #"{"messages":[{"role":"user","content":"Hi there"}]}"#.write(to: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: file) }
        let output = try Programs.run("apus", ["template", demo, file.path])
        #expect(output.status == 0, "\(output.standardError)")
        #expect(output.standardOutput.contains("Hi there"))
        #expect(output.standardOutput.contains("assistant"))
    }

    @Test func benchMeasuresEachBatch() throws {
        let output = try Programs.run(
            "apus", ["bench", demo, "--prompt", "32", "--generate", "8", "--batch", "1,4", "--json"])
        let lines = output.standardOutput.split(separator: "\n")
        #expect(lines.count == 2, "\(output.standardError)")
        for (line, batch) in zip(lines, [1, 4]) {
            let object = try Chat.object(String(line))
            #expect(object["batch"] as? Int == batch)
            #expect(try #require(object["prefill_tokens_per_second"] as? Double) > 0)
            #expect(try #require(object["decode_tokens_per_second"] as? Double) > 0)
        }
    }

    @Test func configCheckShowsWhereASettingComesFrom() throws {
        let output = try Programs.run(
            "apus", ["config", "check", "--port", "9999"], environment: ["APUS_PARALLEL": "3"])
        #expect(output.status == 0, "\(output.standardError)")
        #expect(output.standardOutput.contains("9999"))
        #expect(output.standardOutput.contains("APUS_PARALLEL"))
        let bad = try Programs.run("apus", ["config", "check"], environment: ["APUS_PARALLEL": "many"])
        #expect(bad.status != 0)
        #expect(bad.standardError.contains("APUS_PARALLEL") && bad.standardError.contains("many"))
    }

    @Test func doctorLooksAtTheMachine() throws {
        let output = try Programs.run("apus", ["doctor", demo])
        #expect(output.status == 0, "\(output.standardError)")
        for word in ["CPU", "memory", "apus-worker", "apus-demo", "workers are confined: no files, no network"] {
            #expect(output.standardOutput.localizedCaseInsensitiveContains(word), "\(word) is missing")
        }
        let open = try Programs.run("apus", ["doctor", demo], environment: ["APUS_CONFINEMENT": "off"])
        #expect(open.status == 0)
        #expect(open.standardOutput.contains("warn  workers are not confined: engine.confinement is off"))
    }

    @Test func doctorSaysWhatIsNotRefused() {
        let text = "has      a filter\nlacks    Landlock (old kernel)\nrefused  open a file\nALLOWED  fork a process\n"
        let findings = ConfinementReport(text: text).findings(mode: "best")
        #expect(findings.map(\.grade) == [.bad, .good, .warning])
        #expect(findings[0].text.hasSuffix("of 2 acts tried in a worker, these were not refused: fork a process"))
        #expect(findings[2].text.contains("lacks Landlock (old kernel)"))
        #expect(ConfinementReport(text: text).findings(mode: "required").map(\.grade) == [.bad, .good, .bad])
        #expect(ConfinementReport(text: "").findings(mode: "best").map(\.grade) == [.bad])
    }

    @Test(arguments: [
        ["frobnicate"], ["run"], ["run", "x", "y", "--frobnicate"], ["serve", "--port", "99999"],
        ["bench", "m", "--batch", "0"],
    ])
    func aUsageErrorEndsWithTwo(arguments: [String]) throws {
        let output = try Programs.run("apus", arguments)
        #expect(output.status == 2)
        #expect(output.standardOutput.isEmpty)
        #expect(!output.standardError.isEmpty)
    }

    @Test(arguments: ["run", "chat", "tokenize", "score", "bench", "inspect", "template", "serve", "config", "doctor"])
    func everyVerbHasHelp(verb: String) throws {
        let output = try Programs.run("apus", [verb, "--help"])
        #expect(output.status == 0)
        #expect(output.standardOutput.contains("apus \(verb)"))
    }

    @Test func aFileThatIsNoModelIsNamedInTheError() throws {
        let missing = try Programs.run("apus", ["run", "/nowhere/model.gguf", "Hi"])
        #expect(missing.status == 1)
        #expect(missing.standardError.contains("/nowhere/model.gguf"))
        let readme = Fixtures.packageRoot.appendingPathComponent("README.md").path
        let wrong = try Programs.run("apus", ["run", readme, "Hi"])
        #expect(wrong.status == 1)
        #expect(wrong.standardError.contains("GGUF"))
    }

    @Test(
        .enabled(if: Fixtures.has("vocabularies/llamacpp-vocab/ggml-vocab-gpt-2.gguf"), "fixtures folder is absent"))
    func aVocabularyWithoutTensorsTokenizes() throws {
        let model = try Fixtures.url("vocabularies/llamacpp-vocab/ggml-vocab-gpt-2.gguf").path
        let output = try Programs.run("apus", ["tokenize", model, "Hello world"])
        #expect(output.standardOutput == "15496 995\n")
    }
}
