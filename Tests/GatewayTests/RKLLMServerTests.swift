import Foundation
import TestSupport
import Testing

/// `apus serve model.rkllm`, with the stand-in for the Rockchip runtime, as its users see it.
@Suite(.serialized, .timeLimit(.minutes(10))) struct RKLLMServerTests {
    private static func server(_ family: Int, _ script: String, _ arguments: [String] = []) throws -> ServerProcess {
        let models = ["npu=\(try FakeRuntime.model(script))", "apus-demo=demo"]
        return try ServerProcess(models + ["--rkllm-runtime", try FakeRuntime.library(family)] + arguments)
    }

    private static func chat(
        _ server: ServerProcess, _ turns: [String], model: String = "npu", more: String = ""
    ) throws -> HTTPExchange {
        let messages = turns.enumerated().map { index, text in
            #"{"role":"\#(index.isMultiple(of: 2) ? "user" : "assistant")","content":"\#(text)"}"#
        }
        let body = #"{"model":"\#(model)","messages":[\#(messages.joined(separator: ","))]\#(more)}"#
        return try HTTPExchange.post(port: server.port, "/v1/chat/completions", body)
    }

    private static func text(_ exchange: HTTPExchange) throws -> String? {
        (Chat.choice(try exchange.json())?["message"] as? [String: Any])?["content"] as? String
    }

    @Test(arguments: [120, 121, 130]) func `a model of the runtime answers over HTTP`(family: Int) throws {
        let server = try Self.server(family, "delay 1\necho\nsay ,\\_\nsplit \\xe2\\x82\\xac")
        let answer = try Self.chat(server, ["Hello"])
        #expect(try Self.text(answer) == "Hello, €", "\(answer.text)")
        #expect(try Self.text(Self.chat(server, ["Hello", "Hello, €", "Bye"])) == "Bye, €")
        let stream = try Self.chat(server, ["Again"], more: #","stream":true"#)
        #expect(stream.serverSentEvents.last == "[DONE]" && stream.text.contains("Again"))
        let refused = try Self.chat(server, ["Hello"], more: #","min_p":0.5"#)
        #expect(refused.status == 400 && refused.text.contains("min_p"))
        #expect(try Self.chat(server, ["Hello"], model: "apus-demo", more: #","max_tokens":4"#).status == 200)
    }

    @Test(arguments: ["crash", "exit", "abort", "hang"])
    func `a run that ends or holds the library costs its own call only`(word: String) throws {
        let server = try Self.server(130, "say a\non boom \(word)\nsay b", ["--stall-seconds", "1"])
        #expect(try Self.text(Self.chat(server, ["Hello"])) == "ab")
        let stream = try Self.chat(server, ["boom"], more: #","stream":true"#)
        #expect(stream.serverSentEvents.last == "[DONE]" && stream.text.contains("worker_lost"), "\(stream.text)")
        #expect(try Self.chat(server, ["Hello"], model: "apus-demo", more: #","max_tokens":4"#).status == 200)
        let isBack = try ServerProcess.eventually {
            let again = try Self.chat(server, ["Hello"])
            return try again.status == 200 && Self.text(again) == "ab"
        }
        #expect(isBack, "\(server.logSoFar)")
    }

    @Test(arguments: ["crash", "exit", "abort", "hang"])
    func `a function that ends or holds the library whenever it is called costs its own calls only`(
        word: String
    ) throws {
        let server = try Self.server(130, "say a\nat set_chat_template \(word)", ["--stall-seconds", "1"])
        #expect(try Self.text(Self.chat(server, ["Hello"])) == "a")
        // Nothing of the answer was seen, so it is tried once more.
        let lost = try HTTPExchange.post(port: server.port, "/v1/completions", #"{"model":"npu","prompt":"raw"}"#)
        #expect(lost.status == 400 && lost.text.contains("quarantined"), "\(lost.text)")
        #expect(try Self.chat(server, ["Hello"], model: "apus-demo", more: #","max_tokens":4"#).status == 200)
        let isBack = try ServerProcess.eventually {
            let again = try Self.chat(server, ["Hello"])
            return try again.status == 200 && Self.text(again) == "a"
        }
        #expect(isBack, "\(server.logSoFar)")
    }

    /// It is called when a chat begins anew, and not for the first one of a model.
    @Test(arguments: ["crash", "exit", "abort", "hang"])
    func `a call whose worker died in a function is answered by the next worker`(word: String) throws {
        let server = try Self.server(130, "say a\nat clear_kv_cache \(word)", ["--stall-seconds", "1"])
        let worker = server.workerProcessIDs
        for _ in 0..<2 { #expect(try Self.text(Self.chat(server, ["Hello"])) == "a") }
        #expect(server.workerProcessIDs != worker)
    }

    @Test func `a runtime that does not let go of a call whose client left is replaced`() throws {
        let server = try Self.server(
            130, "on long stubborn\ndelay 2\non long many 1000000 a\nsay b", ["--stall-seconds", "1"])
        let worker = server.workerProcessIDs
        let body = #"{"model":"npu","messages":[{"role":"user","content":"long"}],"stream":true}"#
        let stream = try HTTPExchange(
            port: server.port,
            bytes: HTTPExchange.request("POST", "/v1/chat/completions", port: server.port, body: body))
        try stream.read { $0.serverSentEvents.count > 2 }
        stream.abandon()
        #expect(ServerProcess.eventually { server.logSoFar.contains("stalled: no progress") }, "\(server.logSoFar)")
        let isBack = try ServerProcess.eventually { try Self.text(Self.chat(server, ["short"])) == "b" }
        #expect(isBack && server.workerProcessIDs != worker)
    }

    @Test func `the command line uses the runtime, and tells in words what it cannot do`() throws {
        let path = try FakeRuntime.model("echo")
        let library = try FakeRuntime.library(130)
        let refused = try Programs.run(
            Programs.path("apus"), ["run", path, "Hello"],
            environment: ["APUS_RKLLM_RUNTIME": "/nowhere.so"])
        #expect(refused.status == 1 && refused.standardError.contains("the Rockchip runtime cannot be used"))
        // A release that takes sampling with a model has it loaded again.
        let older = try Programs.run(
            Programs.path("apus"), ["run", path, "Hello"],
            environment: ["APUS_RKLLM_RUNTIME": try FakeRuntime.library(121)])
        #expect(older.status == 0 && older.standardOutput.hasPrefix("Hello"), "\(older.standardError)")
        let answer = try Programs.run(
            Programs.path("apus"), ["run", path, "Hello"], environment: ["APUS_RKLLM_RUNTIME": library])
        #expect(answer.status == 0 && answer.standardOutput.hasPrefix("Hello"), "\(answer.standardError)")
    }
}
