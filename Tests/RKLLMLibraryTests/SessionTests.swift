import EngineProtocol
import Foundation
import TestSupport
import Testing

/// What a handle keeps between runs.
@Suite(.serialized, .timeLimit(.minutes(10))) struct SessionTests {
    private static let first = "Hello! Who are you?"
    private static let second = "Tell me a story about a fox."

    @Test(arguments: CProgram.families) func `a conversation goes on, and is forgotten`(family: String) throws {
        let facts = try CProgram.drive(family, ["history", Self.first, Self.second], environment: ["TOKENS": "100"])
        let texts = facts.all("text")
        let reference = try Reference()
        let turns =
            #"[{"role":"user","content":"\#(Self.first)"},{"role":"assistant","content":"\#(texts[0])"},"#
            + #"{"role":"user","content":"\#(Self.second)"}]"#
        let chat = ChatInput(messagesJSON: turns, variablesJSON: #"{"enable_thinking":false}"#)
        #expect(try texts[1] == reference.answer(.chat(chat), maximumTokens: 100).text, "\(facts)")
        let alone = try reference.answer(Reference.chat(Self.second), maximumTokens: 100).text
        #expect(texts[2] == alone && texts[3] == alone)
        let sizes = facts.all("size").compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }
        try #require(sizes.count == 4)
        #expect(0 < sizes[0] && sizes[0] < sizes[1] && sizes[2] == 0, "\(sizes)")
        #expect(facts["clear"] == "0" && facts.standardError.isEmpty)
    }

    @Test(arguments: CProgram.families) func `a program can choose each token by itself`(family: String) throws {
        let facts = try CProgram.drive(family, ["choose", Self.second, "12"])
        let expected = try Reference().answer(Reference.chat(Self.second), maximumTokens: 12)
        #expect(facts.tokens().map(\.id) == expected.ids, "\(facts)")
        #expect(facts.all("run").allSatisfy { $0 == "0" } && !facts.lines.contains("finish"))
        // A token that was told is no part of the cache until it is fed.
        let sizes = facts.all("size").compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }
        #expect(zip(sizes, sizes.dropFirst()).allSatisfy { $0 + 1 == $1 }, "\(sizes)")
    }

    @Test(arguments: CProgram.families) func `a paused run can lose a range of its positions`(family: String) throws {
        let facts = try CProgram.drive(family, ["paused", Self.second, "6"], environment: ["TOKENS": "100"])
        #expect(facts["early"] == "-1" && facts["backwards"] == "-1" && facts["beyond"] == "-1", "\(facts)")
        #expect(facts["pause"] == "0 finish 0 error 0 here" && facts["tokens"] == "6" && facts["range"] == "0")
        let sizes = facts.all("size").compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }
        try #require(sizes.count == 2)
        #expect(sizes[1] == sizes[0] - 3)
        #expect(facts["on"] == "0 finish 1 error 0 here")
    }

    @Test(arguments: CProgram.families) func `a prompt that was saved is not computed again`(family: String) throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("apus-prompt-\(UUID())")
        defer { try? FileManager.default.removeItem(at: file) }
        let prompt = String(repeating: "Once upon a time there was a fox. ", count: 12)
        let facts = try CProgram.drive(family, ["cache", prompt, file.path])
        let prefills = facts.all("prefill").compactMap { Int($0) }
        try #require(prefills.count == 2, "\(facts)")
        #expect(prefills[1] < prefills[0] / 2, "\(prefills)")
        #expect(facts["load"] == "0" && facts["release"] == "0" && facts["save"] == "0 finish 1 error 0 here")
        #expect(facts.all("text")[0] == facts.all("text")[1])
        #expect(facts["nowhere"] == "-1 finish 0 error 0 here" && facts["broken"] == "-1")
        let beside = try FileManager.default.contentsOfDirectory(atPath: file.deletingLastPathComponent().path)
        #expect(!beside.contains { $0.hasPrefix(file.lastPathComponent + ".") }, "nothing unfinished is left")
    }
}
