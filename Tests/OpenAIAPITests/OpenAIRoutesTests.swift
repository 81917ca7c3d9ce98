import EngineProtocol
import Foundation
import JSON
import Observability
import Serving
import TestSupport
import Testing

@testable import OpenAIAPI

@Suite("The routes") struct OpenAIRoutesTests {
    private let chat = #"{"messages": [{"role": "user", "content": "SECRET-PROMPT"}]}"#
    private let streamed = #"{"messages": [{"role": "user", "content": "Hi"}], "stream": true}"#
    private let accepted = EngineEvent.accepted(promptTokens: 3, queuePosition: 0)
    private let finished = EngineEvent.finished(
        usage: Usage(promptTokens: 3, completionTokens: 2, cachedTokens: 0),
        timings: Timings(preparation: 1, queue: 1, prefill: 1, decode: 1))

    private func tokens(_ text: String, choice: UInt32 = 0) -> EngineEvent {
        .tokens(TokenChunk(choice: choice, ids: [1], text: text))
    }

    private func ask(
        _ bench: RoutesBench, _ method: String, _ path: String, headers: [String: String] = [:], body: String? = nil
    ) throws -> Client {
        let client = try bench.connect()
        try client.send(method, path, headers: headers, body: body)
        #expect(client.waits(for: "\r\n\r\n"))
        return client
    }

    // MARK: Who may ask, and what

    @Test(
        "each route answers its method and refuses others in the envelope",
        arguments: [
            ("GET", "/livez", 200), ("GET", "/readyz", 200), ("GET", "/startupz", 200), ("GET", "/health", 200),
            ("GET", "/", 200), ("GET", "/metrics", 200), ("GET", "/v1/models", 200), ("GET", "/v1/models/tiny", 200),
            ("GET", "/v1/models/other", 404), ("GET", "/v1/nothing", 404), ("POST", "/v1/models", 405),
            ("GET", "/v1/chat/completions", 405), ("DELETE", "/v1/requests/none", 404), ("HEAD", "/livez", 200),
        ])
    func routes(method: String, path: String, status: Int) throws {
        let client = try ask(RoutesBench(), method, path)
        #expect(client.status == status)
        #expect(client.received.lowercased().contains("x-request-id: req-"))
        #expect(client.received.contains("allow: ") == (status == 405))
        if status >= 400 { #expect(client.received.contains(#"{"error":{"message":"#)) }
    }

    @Test("with keys, everything but probes and the page needs one")
    func keys() throws {
        let bench = try RoutesBench(keys: ["secret-key": "t1"])
        for path in ["/", "/livez", "/readyz", "/health"] { #expect(try ask(bench, "GET", path).status == 200) }
        for path in ["/metrics", "/v1/models", "/v1/models/tiny", "/v1/nothing"] {
            let refused = try ask(bench, "GET", path)
            #expect(refused.status == 401 && refused.received.lowercased().contains("www-authenticate: bearer"))
            #expect(try ask(bench, "GET", path, headers: ["authorization": "Bearer wrong"]).status == 401)
            let allowed = try ask(bench, "GET", path, headers: ["authorization": "Bearer secret-key"])
            #expect(allowed.status == (path == "/v1/nothing" ? 404 : 200))
            let shouted = try ask(bench, "GET", path, headers: ["authorization": "BEARER secret-key"])
            #expect(shouted.status == allowed.status, "the case of the scheme does not matter")
        }
        #expect(try ask(bench, "POST", "/v1/chat/completions", body: chat).status == 401)
        #expect(bench.worker.generations.isEmpty)
        #expect(!bench.sink.lines.joined().contains("wrong"))
    }

    @Test(
        "a page that the user did not mean cannot use the server",
        arguments: [
            (["host": "evil.example"], 403, "host_not_allowed"),
            (["origin": "http://evil.example"], 403, "origin_not_allowed"),
            (["origin": "null"], 403, "origin_not_allowed"),
            (["origin": "http://localhost"], 200, ""),
            (["origin": "https://chat.example"], 200, "access-control-allow-origin"),
        ])
    func origins(headers: [String: String], status: Int, text: String) throws {
        let client = try ask(RoutesBench(corsOrigins: ["https://chat.example"]), "GET", "/v1/models", headers: headers)
        #expect(client.status == status)
        #expect(client.received.contains(text) || text.isEmpty)
        if status == 200, text.isEmpty { #expect(!client.received.contains("access-control")) }
    }

    @Test("a preflight is answered for configured pages only")
    func preflight() throws {
        let bench = try RoutesBench(corsOrigins: ["https://chat.example"])
        let yes = try ask(bench, "OPTIONS", "/v1/chat/completions", headers: ["origin": "https://chat.example"])
        #expect(yes.status == 204 && yes.received.contains("access-control-allow-methods"))
        #expect(try ask(bench, "OPTIONS", "/v1/models", headers: ["origin": "http://evil.example"]).status == 403)
    }

    @Test(
        "a body that is no request is refused before the worker hears of it",
        arguments: [
            ("text/plain", #"{"messages": []}"#, 415, "unsupported_media_type"),
            ("application/json; charset=utf-8", "{", 400, "invalid_json"),
            ("application/json", "[]", 400, "invalid_type"),
            ("application/json", #"{"model": "tiny", "model": "x"}"#, 400, "invalid_json"),
            (
                "application/json", #"{"messages": [{"role": "user", "content": ""}], "model": "other"}"#, 404,
                "model_not_found"
            ),
        ])
    func badBodies(type: String, body: String, status: Int, code: String) throws {
        let bench = try RoutesBench()
        let client = try ask(bench, "POST", "/v1/chat/completions", headers: ["content-type": type], body: body)
        #expect(client.status == status && client.received.contains("\"code\":\"\(code)\""), "\(client.received)")
        #expect(bench.worker.generations.isEmpty)
    }

    @Test("a model that is not there yet makes the server unready, and calls wait or hear when to come back")
    func notReady() throws {
        let bench = try RoutesBench(isReady: false)
        let client = try ask(bench, "GET", "/readyz")
        #expect(client.status == 503 && client.received.contains("retry-after:"))
        #expect(try ask(bench, "GET", "/livez").status == 200)
        #expect(try ask(bench, "GET", "/v1/models").body.contains(#""state":"starting""#))
    }

    // MARK: Generations

    @Test("a whole answer collects every choice")
    func wholeAnswer() throws {
        let bench = try RoutesBench()
        let client = try bench.connect()
        try client.send(
            "POST", "/v1/completions", headers: ["x-request-id": "mine.1"], body: #"{"prompt": ["a", "b"]}"#)
        #expect(bench.turn { bench.worker.generations.count == 1 })
        #expect(bench.worker.generations[0].inputs == [.text("a"), .text("b")])
        bench.worker.tell(
            accepted, .started(cachedTokens: 0), tokens("x", choice: 1), tokens("y"), tokens("z", choice: 1))
        bench.worker.tell(
            .choiceFinished(choice: 1, reason: .length), .choiceFinished(choice: 0, reason: .stop), finished)
        #expect(client.waits(for: "decode_ms"))
        #expect(client.status == 200 && client.received.contains("x-request-id: mine.1"))
        let answer = try JSONValue.parse(client.body)
        #expect(answer["choices"]?.arrayValue?.map { $0["text"]?.stringValue } == ["y", "xz"])
        #expect(answer["choices"]?.arrayValue?.map { $0["finish_reason"]?.stringValue } == ["stop", "length"])
        #expect(answer["usage"]?["total_tokens"]?.int64Value == 5)
        #expect(answer["id"]?.stringValue?.hasPrefix("cmpl-") == true)
    }

    @Test("a stream begins when the request is accepted, and what comes together is written together")
    func stream() throws {
        let bench = try RoutesBench()
        let client = try bench.connect()
        try client.send("POST", "/v1/chat/completions", body: streamed)
        #expect(bench.turn { bench.worker.generations.count == 1 })
        bench.worker.tell(accepted)
        #expect(client.waits(for: "content-type: text/event-stream"))
        #expect(!client.received.contains("data:"))
        bench.worker.tell(.started(cachedTokens: 0), tokens(""), tokens("Hel"), tokens("lo"))
        #expect(client.waits(for: #""content":"lo""#))
        let frames = client.body.components(separatedBy: "data: ")
        #expect(frames[1].contains(#""delta":{"role":"assistant","content":"Hel"}"#))
        #expect(
            client.body.components(separatedBy: "\r\n").filter { $0.hasPrefix("data: ") }.count == 1,
            "one chunk of HTTP")
        bench.worker.tell(.choiceFinished(choice: 0, reason: .stop), finished)
        #expect(client.waits(for: "data: [DONE]\n\n\r\n0\r\n\r\n"))
        #expect(client.received.components(separatedBy: "data: ").count == 5)
    }

    @Test("log-probabilities without text are streamed too, and collected where nothing streams")
    func logProbabilities() throws {
        let bench = try RoutesBench()
        let token = TokenLogProbability(id: 1, logProbability: -0.5, bytes: [0xC3])
        let entry = TokenLogProbabilities(chosen: token, top: [token])
        let first = EngineEvent.tokens(TokenChunk(choice: 0, ids: [1], text: "", logProbabilities: [entry]))
        let second = EngineEvent.tokens(TokenChunk(choice: 0, ids: [2], text: "é", logProbabilities: [entry]))
        for streams in [true, false] {
            let client = try bench.connect()
            try client.send(
                "POST", "/v1/completions", body: #"{"prompt": "a", "logprobs": 1, "stream": \#(streams)}"#)
            #expect(bench.turn { bench.worker.generations.count == (streams ? 1 : 2) })
            bench.worker.tell(accepted, first, tokens(""), second, .choiceFinished(choice: 0, reason: .stop), finished)
            #expect(client.waits(for: streams ? "data: [DONE]" : "decode_ms"))
            #expect(client.body.components(separatedBy: #""logprobs":{"tokens":"#).count == (streams ? 3 : 2))
            #expect(client.body.contains(streams ? #""text_offset":[1]"# : #""text_offset":[0,1]"#))
        }
    }

    @Test("a failure before the start has its own status, one after it is a chunk")
    func failures() throws {
        let bench = try RoutesBench()
        let early = try bench.connect()
        try early.send("POST", "/v1/chat/completions", body: streamed)
        #expect(bench.turn { bench.worker.generations.count == 1 })
        bench.worker.tell(.failed(.contextLengthExceeded(limit: 8, prompt: 9, requested: 0)))
        #expect(early.waits(for: "context_length_exceeded") && early.status == 400)

        let late = try bench.connect()
        try late.send("POST", "/v1/chat/completions", body: streamed)
        #expect(bench.turn { bench.worker.generations.count == 2 })
        bench.worker.tell(accepted, tokens("a"))
        bench.worker.tell(.failed(.workerLost(.crashed, retryAfterMilliseconds: 1)))
        #expect(late.waits(for: "data: [DONE]\n\n\r\n0\r\n\r\n") && late.status == 200)
        #expect(late.received.contains(#"data: {"error":{"message":"#) && late.received.contains("worker_lost"))
    }

    @Test("a client that leaves cancels its call, waiting or streaming", arguments: [false, true])
    func leaving(streams: Bool) throws {
        let bench = try RoutesBench()
        let client = try bench.connect()
        try client.send("POST", "/v1/chat/completions", body: streams ? streamed : chat)
        #expect(bench.turn { bench.worker.generations.count == 1 })
        if streams {
            bench.worker.tell(accepted, tokens("a"))
            #expect(client.waits(for: "data: "))
        }
        client.leave()
        #expect(bench.turn { bench.worker.cancels == 1 })
        bench.worker.tell(.failed(.cancelled))
        #expect(bench.turn { bench.serving.callsInFlight == 0 })
        #expect(bench.worker.cancels == 1)
        #expect(!bench.sink.lines.joined().contains("SECRET-PROMPT"))
    }

    @Test("DELETE ends a request by its public id or its request id, within its tenant")
    func deleting() throws {
        let bench = try RoutesBench(keys: ["key-a": "a", "key-b": "b"])
        let client = try bench.connect()
        try client.send(
            "POST", "/v1/chat/completions", headers: ["x-request-id": "job-7", "authorization": "Bearer key-a"],
            body: streamed)
        #expect(bench.turn { bench.worker.generations.count == 1 })
        bench.worker.tell(accepted)
        let stranger = try ask(bench, "DELETE", "/v1/requests/job-7", headers: ["authorization": "Bearer key-b"])
        #expect(stranger.status == 404 && bench.worker.cancels == 0)
        let owner = try ask(bench, "DELETE", "/v1/requests/job-7", headers: ["authorization": "Bearer key-a"])
        #expect(owner.status == 200 && owner.body.contains(#""cancelled":1"#))
        #expect(bench.worker.cancels == 1)
        bench.worker.tell(.failed(.cancelled))
        #expect(client.waits(for: "data: [DONE]"))
        #expect(client.received.contains(#""code":"cancelled""#))
    }

    @Test("the metrics move")
    func metrics() throws {
        let bench = try RoutesBench()
        let client = try bench.connect()
        try client.send("POST", "/v1/chat/completions", body: chat)
        #expect(bench.turn { bench.worker.generations.count == 1 })
        bench.worker.tell(accepted, tokens("a"), tokens("b"), .choiceFinished(choice: 0, reason: .stop), finished)
        #expect(client.waits(for: "decode_ms"))
        let text = try ask(bench, "GET", "/metrics").body
        for line in [
            #"apus_http_requests_total{route="/v1/chat/completions",status="200"} 1"#,
            "apus_time_to_first_token_seconds_count 1", "apus_inter_token_seconds_count 1",
            "apus_request_seconds_count 1", "apus_request_completion_tokens_total 2",
            #"apus_model_ready{model="tiny"} 1"#, #"apus_calls_in_flight{model="tiny"} 0"#,
        ] {
            #expect(text.contains(line + "\n"), "\(line) in \(text)")
        }
    }

    @Test("docs/reference/metrics.md lists exactly what is served, with the right types")
    func metricsReference() throws {
        let bench = try RoutesBench()
        bench.worker.onEvents([(.link, .statistics(WorkerStatistics(steps: 1, stepNanoseconds: 1_500_000_000)))])
        _ = try ask(bench, "GET", "/livez")
        let served = try ask(bench, "GET", "/metrics").body.components(separatedBy: "\n")
            .filter { $0.hasPrefix("# TYPE ") }.map { $0.dropFirst(7).replacing(" ", with: "` | ") }
        let page = Fixtures.packageRoot.appendingPathComponent("docs/reference/metrics.md")
        let listed = try String(contentsOf: page, encoding: .utf8).components(separatedBy: "\n")
            .filter { $0.hasPrefix("| `apus_") && !$0.hasPrefix("| `apus_local_") && !$0.hasPrefix("| `apus_rpc_") }
            .map { $0.dropFirst(3).components(separatedBy: " | ")[...1].joined(separator: " | ") }
        #expect(Set(listed) == Set(served.map { String($0) }))
        #expect(Set(listed).count == listed.count)
    }
}
