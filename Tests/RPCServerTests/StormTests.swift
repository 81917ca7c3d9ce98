import Foundation
import JSON
import TestSupport
import Testing

/// Clients that change their minds, many at once and all the time, in front of the real programs.
@Suite("Storms", .serialized, .timeLimit(.minutes(10))) struct StormTests {
    private static func server(_ body: (ServerProcess, String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID()).sock").path
        let server = try ServerProcess(["--rpc", path, "--context", "512", "--rpc-max-connections", "512"])
        try body(server, path)
        #expect(try ServerProcess.eventually { try server.metric("apus_calls_in_flight") == 0 })
        #expect(try server.metric("apus_calls_lost_total") == 0)
        let client = try RPCConnectionClient(path: path)
        let after = try client.run(#"{"prompt": "Hello!", "max_new_tokens": 4}"#).last
        #expect(after?["result"]?["finish_reason"] != nil, "it serves as before: \(String(describing: after))")
        server.stop()
    }

    private static func residentKibibytes(_ server: ServerProcess) throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(server.processID)/status", encoding: .utf8)
        return status.firstMatch(of: /VmRSS:\s+(\d+)/).flatMap { Int($0.1) } ?? 0
    }

    @Test("200 times init, a run and destroy: the server's memory does not grow")
    func handles() throws {
        try Self.server { server, path in
            let client = try RPCConnectionClient(path: path)
            var warm = 0
            for number in 0..<200 {
                let opened = try client.call("rkllm.init", #"{"model_path": "apus-demo"}"#)
                #expect(opened["result"]?["success"] == .bool(true), "\(opened.serializedText)")
                if number.isMultiple(of: 10) {
                    _ = try client.run(#"{"prompt": "Hello!", "max_new_tokens": 2}"#)
                }
                #expect(try client.call("rkllm.destroy", "[]")["result"]?["success"] == .bool(true))
                if number == 50 { warm = try Self.residentKibibytes(server) }
            }
            let late = try Self.residentKibibytes(server)
            #expect(late < warm + 4096, "\(warm) KiB after 50, \(late) KiB after 200")
        }
    }

    @Test("1,000 runs aborted at random moments: each has one response, and it says so")
    func aborts() throws {
        try Self.server { _, path in
            let counts = try Parallel(10) { number in try Self.abort(100, path, seed: UInt64(number)) }.wait()
            #expect(counts.reduce(0, +) == 1000)
        }
    }

    /// - Returns: how many runs ended with a response.
    private static func abort(_ count: Int, _ path: String, seed: UInt64) throws -> Int {
        var random = SeededRandom(seed: seed)
        let client = try RPCConnectionClient(path: path)
        _ = try client.call("rkllm.init", #"{"param": {"ignore_eos_token": true, "max_new_tokens": 200}}"#)
        var ended = 0
        for number in 0..<count {
            let (run, abort) = (10 + 2 * number, 11 + 2 * number)
            try client.send("rkllm.run", #"{"prompt": "Tell me a story."}"#, id: run)
            var ids: [Int64] = []
            // Before it is prepared, while it waits, or after some tokens.
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                if let id = try client.receive()["id"]?.int64Value { ids.append(id) }
            }
            try client.send("rkllm.abort", "[]", id: abort)
            while ids.count < 2 {
                let message = try client.receive()
                guard let id = message["id"]?.int64Value else { continue }
                ids.append(id)
                guard message["error"] == nil else {
                    throw RPCConnectionClient.Failure(description: message.serializedText)
                }
            }
            if Set(ids) == [Int64(run), Int64(abort)] { ended += 1 }
        }
        return ended
    }

    @Test("300 clients that leave in the middle: nothing is left behind")
    func disconnects() throws {
        try Self.server { server, path in
            for wave in 0..<3 {
                _ = try Parallel(100) { number in
                    let client = try RPCConnectionClient(path: path)
                    try client.send("rkllm.run", #"{"prompt": "Tell me a story."}"#, id: 1)
                    // Some before anything was answered, some with what the model kept for them.
                    if number.isMultiple(of: 2) { _ = try client.receive() }
                    if number.isMultiple(of: 5) {
                        try client.send("rkllm.run_async", #"{"prompt": "And then?"}"#, id: 2)
                    }
                    client.leave()
                    return wave
                }.wait()
                #expect(try ServerProcess.eventually { try server.metric("apus_rpc_connections") == 0 })
                #expect(try ServerProcess.eventually { try server.metric("apus_calls_in_flight") == 0 })
            }
        }
    }
}
