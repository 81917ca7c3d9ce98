import Foundation
import TestSupport
import Testing

/// The server in a control group that has less memory than its requests would like.
@Suite(
    .serialized, .timeLimit(.minutes(10)),
    .enabled(if: MemoryControlGroup.canBeMade, "no memory control group can be made here"))
struct MemoryBudgetTests {
    private static let limit = 160 << 20

    /// 21 MB of weights; a position of the KV cache takes 8 KiB.
    private static func model() throws -> String {
        var model = TinyModel()
        (model.layers, model.width, model.feedForward, model.keyValueHeads) = (8, 256, 512, 4)
        model.contextLength = 32_768
        let path = NSTemporaryDirectory() + "apus-budget-\(getpid()).gguf"
        try Data(model.bytes()).write(to: URL(fileURLWithPath: path))
        return path
    }

    private static func body(_ index: Int, tokens: Int) -> String {
        #"{"prompt":"\#(index) tells","max_tokens":\#(tokens),"ignore_eos":true,"seed":\#(index)}"#
    }

    @Test func longRequestsShareTheBudgetAndNothingIsKilled() throws {
        let group = try #require(MemoryControlGroup(limit: Self.limit))
        let path = try Self.model()
        defer { unlink(path) }
        let server = try ServerProcess(["tiny=\(path)"], in: group)
        let ready = try ServerProcess.eventually { try HTTPExchange.get(port: server.port, "/readyz").status == 200 }
        #expect(ready, "\(server.logSoFar)")
        let worker = server.workerProcessIDs
        // Together about 12,000 positions: nearly twice of what the budget leaves for the cache.
        #expect(try ServerProcess.eventually { try server.metric("apus_cache_blocks") != nil })
        let blocks = try #require(try server.metric("apus_cache_blocks"))
        #expect(blocks * 32 < 12 * 1000)
        let answers = Parallel(12) { index in
            let answer = try HTTPExchange.post(
                port: server.port, "/v1/completions", Self.body(index, tokens: 1000))
            let usage = try answer.json()["usage"] as? [String: Any]
            return usage?["completion_tokens"] as? Int == 1000 ? "complete" : "\(answer.status) \(answer.text)"
        }
        for answer in try answers.wait() { #expect(answer == "complete") }
        let preempted = try ServerProcess.eventually { try server.metric("apus_preemptions_total") ?? 0 > 0 }
        #expect(preempted, "the cache was never full")
        #expect(server.workerProcessIDs == worker)
        #expect(group.kills == 0)
        if let peak = group.peakBytes { #expect(peak < Self.limit, "\(peak) bytes") }
    }

    @Test func whatNeverFitsIsRefusedWithTheNumbers() throws {
        let group = try #require(MemoryControlGroup(limit: Self.limit))
        let path = try Self.model()
        defer { unlink(path) }
        let server = try ServerProcess(["tiny=\(path)"], in: group)
        _ = try ServerProcess.eventually { try HTTPExchange.get(port: server.port, "/readyz").status == 200 }
        // The context was shortened to what fits.
        let answer = try HTTPExchange.post(port: server.port, "/v1/completions", Self.body(0, tokens: 8000))
        #expect(answer.status == 400)
        let numbers = try #require(answer.text.firstMatch(of: #/context is (\d+) tokens, but (\d+) were asked for/#))
        let context = try #require(Int(numbers.1))
        #expect(context < 8000 && context * 8192 < Self.limit)
        #expect(try #require(Int(numbers.2)) > 8000)
        server.stop()
        // A context that was asked for is kept or refused.
        let words = group.command([Programs.path("apus"), "serve", "tiny=\(path)", "--port", "0", "--context", "32768"])
        let refused = try Programs.run(words[0], Array(words.dropFirst()))
        #expect(refused.status != 0)
        let text = refused.standardOutput + refused.standardError
        let expected = #/KV cache \(256 MiB for 1 sequences of 32768 positions\) exceed the \d+ MiB that are there/#
        #expect(text.firstMatch(of: expected) != nil, "\(text.suffix(500))")
        #expect(group.kills == 0)
    }
}
