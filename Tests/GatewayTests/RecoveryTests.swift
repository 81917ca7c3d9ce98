import Foundation
import TestSupport
import Testing

/// What a user sees of a worker that dies, with real processes: answers that go on, and requests that are found out.
@Suite(.serialized, .timeLimit(.minutes(10))) struct RecoveryTests {
    private static let faulty = "apus-faulty-worker"

    /// A request to the worker that misbehaves as its prompt says.
    private func post(
        _ server: ServerProcess, _ prompt: String, words: Int, stream: Bool = false, more: String = ""
    ) throws -> HTTPExchange {
        let body = Chat.body(prompt, stream: stream, more: #""max_tokens":\#(words)"# + more)
        return try HTTPExchange(
            port: server.port,
            bytes: HTTPExchange.request("POST", "/v1/chat/completions", port: server.port, body: body))
    }

    /// The text of each choice of a stream.
    private func texts(_ stream: HTTPExchange) throws -> [Int: String] {
        var texts: [Int: String] = [:]
        for event in stream.serverSentEvents where event != "[DONE]" {
            guard let choice = Chat.choice(try Chat.object(event)), let index = choice["index"] as? Int,
                let text = (choice["delta"] as? [String: Any])?["content"] as? String
            else { continue }
            texts[index, default: ""] += text
        }
        return texts
    }

    private func ends(_ server: ServerProcess, _ kind: String) throws -> Double? {
        let page = try PrometheusParser(HTTPExchange.get(port: server.port, "/metrics").text)
        return page.samples.first { $0.name == "apus_worker_ends_total" && $0.labels["kind"] == kind }?.value
    }

    // MARK: Going on

    @Test func aStreamGoesOnAfterItsWorkerDiedAndSaysWhatItWouldHaveSaid() throws {
        let server = try ServerProcess()
        let settings = #""n":2,"seed":11,"temperature":0.9,"ignore_eos":true,"max_tokens":150"#
        func request(_ more: String) -> [UInt8] {
            HTTPExchange.request(
                "POST", "/v1/chat/completions", port: server.port,
                body: Chat.body("Tell me a story.", stream: true, more: settings + more))
        }
        let undisturbed = try HTTPExchange(port: server.port, bytes: request(""))
        try undisturbed.readAll()
        let resumed = try HTTPExchange(port: server.port, bytes: request(#","resume_on_worker_loss":true"#))
        for count in [15, 60] {
            try resumed.read { $0.serverSentEvents.count > count }
            #expect(!resumed.isComplete, "the kill comes too late to matter")
            let worker = try #require(server.workerProcessIDs.first)
            kill(worker, SIGKILL)
            #expect(ServerProcess.eventually { server.workerProcessIDs.first.map { $0 != worker } ?? false })
        }
        try resumed.readAll()
        #expect(resumed.serverSentEvents.last == "[DONE]" && !resumed.text.contains("\"error\""))
        let expected = try texts(undisturbed)
        #expect(expected.count == 2 && expected.values.allSatisfy { $0.utf8.count > 200 })
        #expect(try texts(resumed) == expected)
        #expect(try server.metric("apus_calls_resumed_total") == 2)
        #expect(try server.metric("apus_calls_lost_total") == 0)
    }

    @Test func aWholeAnswerComesAlthoughItsWorkerDied() throws {
        let server = try ServerProcess()
        // Enough of them to be busy when the kill comes.
        let settings = HTTPExchange.many(24) + #","seed":5,"temperature":0.9,"max_tokens":300"#
        @Sendable func answers() throws -> [String] {
            let answer = try HTTPExchange.post(
                port: server.port, "/v1/chat/completions", Chat.body("Tell me a story.", stream: false, more: settings))
            let choices = try #require(answer.json()["choices"] as? [[String: Any]], "\(answer.text)")
            return choices.compactMap { ($0["message"] as? [String: Any])?["content"] as? String }
        }
        let expected = try answers()
        #expect(expected.count == 24)
        #expect(try ServerProcess.eventually { try server.metric("apus_generated_tokens_total") ?? 0 >= 7200 })
        let tokens = try #require(try server.metric("apus_generated_tokens_total"))
        let answer = Parallel(1) { _ in try answers() }
        #expect(try ServerProcess.eventually { try server.metric("apus_generated_tokens_total") ?? 0 > tokens })
        kill(try #require(server.workerProcessIDs.first), SIGKILL)
        #expect(try answer.wait() == [expected])
        #expect(try server.metric("apus_calls_replayed_total") == 1, "the kill came too late to matter")
    }

    @Test func aSeedThatTheClientDidNotGiveStaysTheSame() throws {
        let server = try ServerProcess(worker: Self.faulty)
        let stream = try post(server, "hello", words: 400, stream: true, more: #","resume_on_worker_loss":true"#)
        try stream.read { $0.serverSentEvents.count > 20 }
        kill(try #require(server.workerProcessIDs.first), SIGKILL)
        try stream.readAll()
        let words = try #require(try texts(stream)[0]).split(separator: " ").map { $0.split(separator: ".") }
        #expect(words.map { $0[1] } == (0..<400).map { "\($0)" })
        #expect(Set(words.map { $0[0] }).count == 1)
    }

    @Test func anAnswerThatWouldGoOnDifferentlyEndsWithAnError() throws {
        let server = try ServerProcess(worker: Self.faulty)
        let stream = try post(
            server, "differ@5", words: 2000, stream: true, more: #","resume_on_worker_loss":true"#)
        try stream.read { $0.serverSentEvents.count > 20 }
        kill(try #require(server.workerProcessIDs.first), SIGKILL)
        try stream.readAll()
        #expect(stream.text.contains("worker_lost") && stream.serverSentEvents.last == "[DONE]")
        #expect(ServerProcess.eventually { server.logSoFar.contains("call.differs") })
    }

    // MARK: Deaths

    static let deaths = [
        ("segv", "crashed", "killed by SIGSEGV"), ("abort", "crashed", "killed by SIGABRT"),
        ("kill", "crashed", "killed by SIGKILL"), ("exit", "exited", "exited with status 3"),
    ]

    @Test(arguments: deaths)
    func aDeathIsToldCountedAndSurvived(death: (fault: String, kind: String, words: String)) throws {
        let server = try ServerProcess(worker: Self.faulty)
        let stream = try post(server, "\(death.fault)@3", words: 10, stream: true)
        try stream.readAll()
        #expect(stream.status == 200 && stream.serverSentEvents.last == "[DONE]")
        #expect(stream.text.contains("\"worker_lost\""))
        #expect(try ends(server, death.kind) == 1)
        #expect(ServerProcess.eventually { server.logSoFar.contains(death.words) })
        let next = try post(server, "hello", words: 3)
        try next.readAll()
        #expect(next.status == 200, "\(next.text)")
    }

    @Test(.enabled(if: MemoryControlGroup.canBeMade, "no memory control group can be made here"))
    func aWorkerThatTakesAllMemoryIsToldAsThat() throws {
        let group = try #require(MemoryControlGroup(limit: 400 << 20))
        let server = try ServerProcess(in: group, worker: Self.faulty)
        let stream = try post(server, "eat@3", words: 10, stream: true)
        try stream.readAll()
        #expect(stream.text.contains("worker_lost") && stream.serverSentEvents.last == "[DONE]")
        #expect(try ends(server, "out_of_memory") == 1)
        #expect(ServerProcess.eventually { server.logSoFar.contains("probably because memory ran out") })
        let next = try post(server, "hello", words: 3)
        try next.readAll()
        #expect(next.status == 200, "\(next.text)")
    }

    @Test func aHangIsToldCountedAndSurvived() throws {
        let server = try ServerProcess(["--stall-seconds", "1"], worker: Self.faulty)
        let stream = try post(server, "hang@3", words: 10, stream: true)
        try stream.readAll()
        #expect(stream.status == 200 && stream.serverSentEvents.last == "[DONE]")
        #expect(stream.text.contains("\"worker_lost\"") && stream.text.contains("stalled"), "\(stream.text)")
        #expect(try ends(server, "stalled") == 1)
        #expect(
            ServerProcess.eventually { server.logSoFar.contains("stalled: no progress for 1 s in 1 open call") })
        let next = try post(server, "hello", words: 3)
        try next.readAll()
        #expect(next.status == 200, "\(next.text)")
    }

    @Test func theRequestThatEndsWorkersIsFoundAndTheOthersFinish() throws {
        let server = try ServerProcess(worker: Self.faulty)
        let others = Parallel(5) { index in
            let answer = try post(server, "hello \(index)", words: 200)
            try answer.readAll()
            return answer.status
        }
        #expect(try ServerProcess.eventually { try server.metric("apus_calls_in_flight") == 5 })
        let poison = try post(server, "segv@20", words: 200)
        try poison.readAll()
        #expect(poison.status == 400)
        #expect(try Chat.errorCode(poison) == "quarantined")
        #expect(try others.wait() == [200, 200, 200, 200, 200])
        #expect(try ends(server, "crashed") == 2)

        let again = try post(server, "segv@20", words: 200, stream: true)
        try again.readAll()
        #expect(again.status == 400)
        #expect(try Chat.errorCode(again) == "quarantined")
        #expect(try ends(server, "crashed") == 2 && server.metric("apus_requests_quarantined") == 1)
        #expect(ServerProcess.eventually { server.logSoFar.contains("call.quarantined") })
    }

    @Test func readinessAndMetricsSayWhatTheModelDoes() throws {
        let server = try ServerProcess(worker: Self.faulty)
        func states() throws -> [String: Double] {
            let page = try PrometheusParser(HTTPExchange.get(port: server.port, "/metrics").text)
            let samples = page.samples.filter { $0.name == "apus_model_state" }
            return Dictionary(uniqueKeysWithValues: samples.map { ($0.labels["state"] ?? "", $0.value) })
        }
        #expect(
            try states() == ["starting": 0, "ready": 1, "backing_off": 0, "failed": 0, "draining": 0, "unloaded": 0])
        // A program that is gone cannot be started again: the model backs off, again and again.
        try FileManager.default.removeItem(atPath: try #require(server.workerProgram))
        kill(try #require(server.workerProcessIDs.first), SIGKILL)
        #expect(try ServerProcess.eventually { try ends(server, "could_not_start") ?? 0 > 0 })
        let ready = try HTTPExchange.get(port: server.port, "/readyz")
        #expect(ready.status == 503 && ready.headers["retry-after"].flatMap { Int($0) } ?? 0 > 0)
        #expect(ready.text.contains(#""state":"backing off""#) && ready.text.contains("could not be started"))
        #expect(
            try states() == ["starting": 0, "ready": 0, "backing_off": 1, "failed": 0, "draining": 0, "unloaded": 0])
    }

    // MARK: Nothing is left behind

    @Test func aWorkerThatIsStoppedDiesWithItsGatewayAndLeavesNothing() throws {
        let server = try ServerProcess()
        let worker = try #require(server.workerProcessIDs.first)
        let stream = try HTTPExchange(port: server.port, bytes: HTTPExchange.endless(server))
        try stream.read { $0.serverSentEvents.count > 2 }
        // Whatever a worker holds has no name in a file system, so that it goes with its last descriptor.
        let descriptors = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(worker)/fd")
        for descriptor in descriptors {
            let path = "/proc/\(worker)/fd/\(descriptor)"
            guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: path) else { continue }
            let isNameless = !target.hasPrefix("/") || target.hasPrefix("/memfd:")
            #expect(isNameless || target == "/dev/null", "\(target)")
        }
        let mapped = try String(contentsOfFile: "/proc/\(worker)/maps", encoding: .utf8)
        #expect(!mapped.contains("/dev/shm/"))
        kill(worker, SIGSTOP)
        server.signal(SIGKILL)
        #expect(ServerProcess.eventually { kill(worker, 0) != 0 }, "the worker outlived its gateway")
    }
}
