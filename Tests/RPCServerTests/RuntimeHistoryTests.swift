import Foundation
import JSON
import TestSupport
import Testing

/// What a handle keeps in the Rockchip runtime, whose stand-in says how many positions it has.
@Suite("Histories in the Rockchip runtime", .serialized, .timeLimit(.minutes(5))) struct RuntimeHistoryTests {
    private final class Handle {
        private let client: RPCConnectionClient
        private let server: ServerProcess
        private let path = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID()).sock").path

        init(_ family: Int, _ script: String) throws {
            let runtime = ["--rkllm-runtime", try FakeRuntime.library(family)]
            server = try ServerProcess(["model=\(try FakeRuntime.model(script))", "--rpc", path] + runtime)
            client = try RPCConnectionClient(path: path)
            _ = try client.call("rkllm.init", #"{"param": {"model_path": "model"}}"#)
        }

        deinit { server.stop() }

        func call(_ method: String, _ parameters: String = "[]") throws -> JSONValue {
            try client.call(method, parameters)
        }

        /// The response to a run, whatever it is.
        func run(_ prompt: String) throws -> JSONValue {
            try client.run(#"{"prompt": "\#(prompt)", "keep_history": 1}"#).last ?? .null
        }

        /// Positions as they are told.
        func positions() throws -> Int64 {
            let sizes = try client.call("rkllm.get_kv_cache_size", "[]")["result"]?["cache_sizes"]?.arrayValue
            return try #require(sizes?.first?.int64Value)
        }

        func clear() throws { _ = try client.call("rkllm.clear_kv_cache", "[null, 0, null, null]") }

        /// Begins a run, calls a method once it has said something, and returns the result of both.
        func run(
            _ prompt: String, _ option: String, during method: String
        ) throws -> (run: JSONValue, method: JSONValue) {
            try client.send("rkllm.run", #"{"prompt": "\#(prompt)", "\#(option)": 1}"#, id: 5)
            while try client.receive()["method"] != .string("rkllm.stream") {}
            try client.send(method, "[]", id: 6)
            var results: [Int64: JSONValue] = [:]
            while results.count < 2 {
                let message = try client.receive()
                if let id = message["id"]?.int64Value { results[id] = message["result"] ?? message }
            }
            return (results[5] ?? .null, results[6] ?? .null)
        }
    }

    @Test("the positions that are told are those that the runtime has", arguments: [121, 130])
    func positions(family: Int) throws {
        let handle = try Handle(family, "delay 1\non long many 100000 x\nsay a\nstate")
        /// The stand-in's answer ends with what it had before its last token.
        func check(_ prompt: String) throws {
            let result = try #require(try handle.run(prompt)["result"])
            let told = try handle.positions()
            #expect(result["text"]?.stringValue?.hasPrefix("akv=\(told - 1) ") == true, "\(told): \(result)")
            #expect(result["timing"]?["prompt_tokens"]?.int64Value == told - 2, "\(result)")
        }
        #expect(try handle.positions() == 0)
        for prompt in ["one", "now a prompt that has more words than all before", "two"] { try check(prompt) }
        let before = try handle.positions()
        #expect(before == 1 + 10 + 1 + 3 * 2)
        let aborted = try handle.run("a long one", "keep_history", during: "rkllm.abort").run
        #expect(aborted["finish_reason"] == .string("aborted"))
        #expect(try handle.positions() >= before)
        #expect(try handle.run("more")["error"]?["code"]?.int64Value == -32005)
        try handle.clear()
        #expect(try handle.positions() == 0)
        for prompt in ["three four", "and again one with more words"] { try check(prompt) }
    }

    @Test(
        "a pause that the runtime cannot make is told",
        arguments: [
            (110, "pausable"), (120, "pausable"), (120, "keep_history"), (121, "keep_history"), (130, "keep_history"),
        ])
    func pause(family: Int, option: String) throws {
        let handle = try Handle(family, "delay 5\nmany 20 x")
        let (run, pause) = try handle.run("Hello", option, during: "rkllm.pause")
        #expect(pause["paused"]?.int64Value == 1)
        #expect(pause["message"]?.stringValue?.contains("or goes on to its end") == true, "\(pause)")
        #expect(run["finish_reason"] == .string("stop"), "\(run)")
        #expect(try handle.call("rkllm.resume", "{}")["error"]?["data"]?["type"] == .string("not_paused"))
    }
}
