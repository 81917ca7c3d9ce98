import Foundation
import TestSupport
import Testing

/// `docs/reference/metrics.md` against a server that works: each metric is there, has its kind, and moves when it should.
@Suite(.serialized, .timeLimit(.minutes(10))) struct MetricsTests {
    /// A small model in a file of its own; the server opens it again for each worker.
    private final class ModelFile {
        let path: String

        init() throws {
            var tiny = TinyModel()
            tiny.contextLength = 100_000
            let url = FileManager.default.temporaryDirectory.appendingPathComponent("apus-metrics-\(UUID()).gguf")
            try Data(tiny.bytes()).write(to: url)
            path = url.path
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    private struct Page {
        let text: PrometheusParser

        init(_ server: ServerProcess) throws {
            let answer = try HTTPExchange.get(port: server.port, "/metrics")
            #expect(answer.status == 200)
            #expect(answer.headers["content-type"] == "text/plain; version=0.0.4")
            text = try PrometheusParser(answer.text)
        }

        func value(_ name: String, _ labels: [String: String] = ["model": "tiny"]) -> Double? {
            text.samples.first { $0.name == name && $0.labels == labels }?.value
        }

        func requests(route: String, status: Int) -> Double? {
            value("apus_http_requests_total", ["route": route, "status": String(status)])
        }
    }

    /// Metrics and their kinds, as the page in docs has them; those of the local door come with it.
    private static func documented() throws -> [String: String] {
        let page = Fixtures.packageRoot.appendingPathComponent("docs/reference/metrics.md")
        let text = try String(contentsOf: page, encoding: .utf8)
        var kinds: [String: String] = [:]
        for row in text.matches(of: #/\n\| `(apus_[a-z_]+)` \| (counter|gauge|histogram) \|/#) {
            kinds[String(row.1)] = String(row.2)
        }
        return kinds.filter { !$0.key.hasPrefix("apus_local_") }
    }

    private let chat = "/v1/chat/completions"

    /// It always says the letter a.
    private func body(_ more: String, stream: Bool = false) throws -> String {
        let token = try #require(TinyModel.token(letter: "a"))
        return #"{"messages":[{"role":"user","content":"hello"}],"ignore_eos":true,"logit_bias":{"\#(token)":100},"#
            + #""stream":\#(stream),\#(more)}"#
    }

    private func stream(_ server: ServerProcess, maximumTokens: Int) throws -> HTTPExchange {
        let body = try body(#""max_tokens":\#(maximumTokens)"#, stream: true)
        return try HTTPExchange(
            port: server.port, bytes: HTTPExchange.request("POST", chat, port: server.port, body: body))
    }

    private func start(_ model: ModelFile) throws -> ServerProcess {
        let server = try ServerProcess([
            "tiny=\(model.path)", "--parallel", "1", "--threads", "1", "--context", "100000",
        ])
        let isReady = try ServerProcess.eventually { try Page(server).value("apus_sequences_running") != nil }
        try #require(isReady, "\(server.logSoFar)")
        return server
    }

    @Test func requestsMoveWhatTheyShould() throws {
        let model = try ModelFile()
        let server = try start(model)
        #expect(try HTTPExchange.post(port: server.port, chat, body(#""max_tokens":8"#)).status == 200)
        let streamed = try stream(server, maximumTokens: 8)
        try streamed.readAll()
        #expect(streamed.serverSentEvents.last == "[DONE]")
        #expect(try HTTPExchange.post(port: server.port, chat, body(#""temperature":3"#)).status == 400)
        let garbage = try HTTPExchange(port: server.port, bytes: Array("GET / HTTP/1.1\r\n\r\n".utf8))
        try garbage.readAll()

        let left = try stream(server, maximumTokens: 90_000)
        try left.read { $0.serverSentEvents.count > 2 }
        #expect(try ServerProcess.eventually { try Page(server).value("apus_cache_blocks_used") ?? 0 > 0 })
        left.abandon()
        #expect(try ServerProcess.eventually { try Page(server).value("apus_sequences_cancelled_total") == 1 })

        let page = try Page(server)
        #expect(page.text.types == (try Self.documented()), "docs/reference/metrics.md and /metrics differ")
        #expect(page.requests(route: chat, status: 200) == 2)
        #expect(page.requests(route: chat, status: 400) == 1)
        #expect(page.requests(route: chat, status: 499) == 1)
        #expect(page.requests(route: "refused", status: 400) == 1)
        #expect(page.value("apus_time_to_first_token_seconds_count", [:]) == 3)
        #expect(page.value("apus_inter_token_seconds_count", [:]) ?? 0 > 0)
        #expect(page.value("apus_request_seconds_count", [:]) == 3)
        #expect(page.value("apus_request_prompt_tokens_total", [:]) ?? 0 > 10)
        #expect(page.value("apus_request_completion_tokens_total", [:]) == 16)
        #expect(page.value("apus_client_disconnects_total", [:]) == 1)

        #expect(page.value("apus_model_ready") == 1)
        #expect(page.value("apus_calls_in_flight") == 0)
        #expect(page.value("apus_sequences_running") == 0)
        #expect(page.value("apus_cache_blocks") ?? 0 >= 100_000 / 32)
        #expect(page.value("apus_prompt_tokens_total") ?? 0 > 10)
        #expect(page.value("apus_generated_tokens_total") ?? 0 > 16)
        #expect(page.value("apus_steps_total") ?? 0 > 8)
        #expect(page.value("apus_draft_tokens_total") ?? 0 > 0)
        #expect(page.value("apus_accepted_draft_tokens_total") ?? 0 > 0)
        #expect(page.value("apus_step_seconds_total") ?? 0 > 0)
        #expect(page.value("apus_worker_anonymous_bytes") ?? 0 > 0)
        let anonymous = try #require(page.value("apus_worker_anonymous_bytes"))
        #expect(page.value("apus_worker_resident_bytes") ?? 0 > anonymous)
    }

    @Test func theDeathOfAWorkerIsCounted() throws {
        let model = try ModelFile()
        let server = try start(model)
        let before = try Page(server)
        #expect(before.value("apus_calls_lost_total") == 0)
        #expect(before.value("apus_calls_replayed_total") == 0)
        #expect(before.value("apus_worker_restarts_total") == 0)

        // One call has sent text; the other waits behind it and can be sent again.
        let running = try stream(server, maximumTokens: 90_000)
        try running.read { $0.serverSentEvents.count > 2 }
        let waiting = try stream(server, maximumTokens: 4)
        #expect(try ServerProcess.eventually { try Page(server).value("apus_sequences_waiting") == 1 })
        kill(try #require(server.workerProcessIDs.first), SIGKILL)
        try running.readAll()
        #expect(running.text.contains("worker_lost"))
        try waiting.readAll()
        #expect(waiting.status == 200 && !waiting.text.contains("\"error\""), "\(waiting.text)")

        #expect(try ServerProcess.eventually { try Page(server).value("apus_sequences_running") == 0 })
        let after = try Page(server)
        #expect(after.value("apus_calls_lost_total") == 1)
        #expect(after.value("apus_calls_replayed_total") == 1)
        #expect(after.value("apus_worker_restarts_total") == 1)
        #expect(after.value("apus_model_ready") == 1)
        #expect(after.requests(route: chat, status: 503) == 1, "a stream that failed counts with its error's status")
    }
}
