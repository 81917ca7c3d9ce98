import Foundation
import TestSupport
import Testing

/// What a user sees when something breaks on purpose.
@Suite(.serialized, .timeLimit(.minutes(10))) struct FaultTests {
    @Test func killingTheWorkerEndsEveryStreamAndTheNextRequestSucceeds() throws {
        let server = try ServerProcess()
        let worker = try #require(server.workerProcessIDs.first)
        let streams = Parallel(64) { try HTTPExchange.longStream(server, index: $0) }
        #expect(try ServerProcess.eventually { try server.metric("apus_calls_in_flight") == 64 })
        #expect(try ServerProcess.eventually { try server.metric("apus_generated_tokens_total") ?? 0 > 100 })
        kill(worker, SIGKILL)
        let endings = try streams.wait()
        #expect(endings.count == 64)
        for ending in endings {
            switch ending {
            case .errorChunkThenDone, .done: break
            case .unavailable(let retryAfter): #expect(retryAfter != nil, "503 without Retry-After")
            case .other(let what): Issue.record("\(what)")
            }
        }
        #expect(endings.contains { if case .done = $0 { false } else { true } }, "the kill came too late to matter")
        let back = try ServerProcess.eventually {
            try HTTPExchange.get(port: server.port, "/readyz").status == 200
        }
        #expect(back)
        let next = try HTTPExchange.post(
            port: server.port, "/v1/chat/completions", Chat.body("Hello", stream: false, more: #""max_tokens":8"#))
        #expect(next.status == 200, "\(next.text)")
        #expect(server.workerProcessIDs.first != worker)
    }

    @Test func aWorkerThatIsStoppedIsToldReplacedAndItsCallsAnswered() throws {
        let server = try ServerProcess(["--stall-seconds", "1"])
        let worker = try #require(server.workerProcessIDs.first)
        let stream = try HTTPExchange(port: server.port, bytes: HTTPExchange.endless(server))
        try stream.read { $0.serverSentEvents.count > 2 }
        kill(worker, SIGSTOP)
        let isTold = try ServerProcess.eventually {
            let readiness = try HTTPExchange.get(port: server.port, "/readyz")
            return readiness.status == 503 && readiness.text.contains("stalled: no progress for 1 s in")
        }
        #expect(isTold, "\(server.logSoFar)")
        try stream.readAll()
        #expect(stream.serverSentEvents.last == "[DONE]")
        #expect(stream.text.contains(#""code":"worker_lost""#) && stream.text.contains("stalled"), "\(stream.text)")
        let next = try HTTPExchange.post(
            port: server.port, "/v1/chat/completions", Chat.body("Hello", stream: false, more: #""max_tokens":8"#))
        #expect(next.status == 200, "\(next.text)")
        #expect(server.workerProcessIDs.first != worker)
        let record = try Self.record(of: worker, in: server)
        for name in ["main", "engine", "prepare"] {
            #expect(record.stacks.contains { $0.threads.contains(name) && $0.frames.contains("apus-worker+0x") })
        }
        #expect(record.progress.contains(#""sequences":1"#) && record.progress.contains(#""batch":"1000"#))
    }

    @Test(arguments: [SIGSEGV, SIGABRT])
    func aCrashLeavesARecordWithoutPromptsAndHarmsNobodyElse(signal: Int32) throws {
        let server = try ServerProcess(environment: ["SWIFT_BACKTRACE": "enable=yes"])
        let worker = try #require(server.workerProcessIDs.first)
        let stream = try HTTPExchange(port: server.port, bytes: HTTPExchange.endless(server))
        try stream.read { $0.serverSentEvents.count > 2 }
        kill(worker, signal)
        try stream.readAll()
        #expect(stream.serverSentEvents.last == "[DONE]" && stream.text.contains("crashed"))
        let record = try Self.record(of: worker, in: server)
        let name = signal == SIGSEGV ? "SIGSEGV" : "SIGABRT"
        let crash = try #require(record.stacks.first)
        #expect(crash.signal == name && crash.frames.contains("apus-worker+0x"), "\(record.stacks)")
        #expect(ServerProcess.eventually { server.logSoFar.contains("killed by \(name)") })
        #expect(!server.logSoFar.contains("Tell me a story"))
        let next = try HTTPExchange.post(
            port: server.port, "/v1/chat/completions", Chat.body("Hello", stream: false, more: #""max_tokens":8"#))
        #expect(next.status == 200, "\(next.text)")
    }

    private struct Stack: Decodable {
        let event: String
        let pid: Int32
        let threads: String
        let signal: String
        let frames: String
    }

    /// What the log says about a worker's last moment, once it says it.
    private static func record(
        of worker: Int32, in server: ServerProcess
    ) throws -> (progress: String, stacks: [Stack]) {
        func lines(_ event: String) -> [Substring] {
            server.logSoFar.split(separator: "\n").filter { $0.contains(event) && $0.contains(#""pid":\#(worker)"#) }
        }
        // The next worker starts when everything about the last one has been said.
        #expect(ServerProcess.eventually { server.logSoFar.matches(of: #/worker\.started/#).count > 1 })
        let stacks = try lines("worker.stack").map { try JSONDecoder().decode(Stack.self, from: Data($0.utf8)) }
        return (lines("worker.last_progress").first.map(String.init) ?? "", stacks)
    }

    @Test(arguments: ["decode", "queue"])
    func aClientThatLeavesStopsItsComputation(phase: String) throws {
        let server = try ServerProcess(["--parallel", "1"])
        let first = try HTTPExchange(port: server.port, bytes: HTTPExchange.endless(server))
        try first.read { $0.serverSentEvents.count > 2 }
        var waiting: HTTPExchange?
        if phase == "queue" {
            waiting = try HTTPExchange(port: server.port, bytes: HTTPExchange.endless(server))
            #expect(try ServerProcess.eventually { try server.metric("apus_sequences_waiting") == 1 })
            waiting?.abandon()
            #expect(try ServerProcess.eventually { try server.metric("apus_sequences_waiting") == 0 })
            #expect(try server.metric("apus_sequences_running") == 1, "the other client's call goes on")
        }
        first.abandon()
        #expect(try ServerProcess.eventually { try server.metric("apus_sequences_running") == 0 })
        let steps = try server.metric("apus_steps_total")
        Thread.sleep(forTimeInterval: 0.6)
        #expect(try server.metric("apus_steps_total") == steps, "the worker still computes")
        #expect(try server.metric("apus_calls_in_flight") == 0)
    }

    @Test func aRequestIsCancelledByItsID() throws {
        let server = try ServerProcess()
        let stream = try HTTPExchange(
            port: server.port, bytes: HTTPExchange.endless(server, headers: ["X-Request-Id": "cancel-me"]))
        try stream.read { $0.serverSentEvents.count > 2 }
        let delete = try HTTPExchange(
            port: server.port,
            bytes: HTTPExchange.request("DELETE", "/v1/requests/cancel-me", port: server.port))
        try delete.readAll()
        #expect(delete.status == 200, "\(delete.text)")
        try stream.readAll()
        #expect(stream.serverSentEvents.last == "[DONE]")
        #expect(stream.text.contains("\"error\""))
        let again = try HTTPExchange(
            port: server.port,
            bytes: HTTPExchange.request("DELETE", "/v1/requests/cancel-me", port: server.port))
        try again.readAll()
        #expect(again.status == 404)
    }

    @Test(arguments: ["second signal", "time limit"])
    func aStoppingServerEndsItsStreamsWithAnError(cause: String) throws {
        let server = try ServerProcess(["--drain-seconds", cause == "time limit" ? "1" : "60"])
        let stream = try HTTPExchange(port: server.port, bytes: HTTPExchange.endless(server, choices: 100))
        try stream.read { $0.serverSentEvents.count > 2 }
        let body = Chat.body("Tell me a story.", stream: false, more: HTTPExchange.many(100))
        let whole = try HTTPExchange(
            port: server.port,
            bytes: HTTPExchange.request("POST", "/v1/chat/completions", port: server.port, body: body))
        #expect(try ServerProcess.eventually { try server.metric("apus_calls_in_flight") == 2 })
        server.signal(SIGTERM)
        if cause == "second signal" {
            #expect(ServerProcess.eventually { server.logSoFar.contains("server.stopping") })
            server.signal(SIGTERM)
        }
        try stream.readAll()
        #expect(stream.serverSentEvents.last == "[DONE]")
        #expect(stream.text.contains("\"error\":{"))
        try whole.readAll()
        #expect(whole.status == 503 && whole.headers["retry-after"] != nil)
        #expect(ServerProcess.eventually { !server.isRunning })
    }

    @Test func aModelFileThatIsNotThereIsToldAtOnce() throws {
        let output = try Programs.run("apus", ["serve", "/nowhere/absent.gguf", "--port", "0"])
        #expect(output.status == 1)
        #expect(output.standardError.contains("'absent.gguf' cannot be opened: No such file"))
    }

    @Test func theWorkerDiesWithItsGateway() throws {
        let server = try ServerProcess()
        let worker = try #require(server.workerProcessIDs.first)
        server.signal(SIGKILL)
        #expect(ServerProcess.eventually { kill(worker, 0) != 0 }, "the worker outlived its gateway")
    }

    @Test func garbageAtTheDoorHarmsNobody() throws {
        let server = try ServerProcess()
        let lines = [
            "\u{16}\u{3}\u{1}\u{2}", "GET\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\nHost: x\n\n",
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        ]
        for line in lines {
            let exchange = try HTTPExchange(port: server.port, bytes: Array(line.utf8))
            try exchange.readAll()
            #expect((400..<500).contains(exchange.status), "\(line.debugDescription): \(exchange.status)")
            #expect(try Chat.errorCode(exchange) != nil)
        }
        #expect(try HTTPExchange.get(port: server.port, "/readyz").status == 200)
    }

    @Test func keysGuardEverythingButProbesAndThePage() throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("apus-keys-\(getpid())")
        try "sk-first\nsk-second\n".write(to: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: file) }
        let server = try ServerProcess(["--api-key-file", file.path])
        for path in ["/v1/models", "/metrics"] {
            #expect(try HTTPExchange.get(port: server.port, path).status == 401)
            #expect(
                try HTTPExchange.get(port: server.port, path, headers: ["Authorization": "Bearer nope"]).status == 401)
            #expect(
                try HTTPExchange.get(port: server.port, path, headers: ["Authorization": "Bearer sk-second"]).status
                    == 200)
        }
        for path in ["/livez", "/readyz", "/"] {
            #expect(try HTTPExchange.get(port: server.port, path).status == 200)
        }
        #expect(!server.logSoFar.contains("sk-second"))
    }

    @Test func aForeignOriginOrHostIsRefused() throws {
        let server = try ServerProcess()
        #expect(
            try HTTPExchange.get(port: server.port, "/v1/models", headers: ["Origin": "https://evil.example"]).status
                == 403)
        let rebound = "GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n"
        let exchange = try HTTPExchange(port: server.port, bytes: Array(rebound.utf8))
        try exchange.readAll()
        #expect(exchange.status == 403)
    }

    @Test func noPromptReachesTheLog() throws {
        let server = try ServerProcess(environment: ["APUS_LOG_LEVEL": "trace"])
        _ = try Chat.text(server, "xyzzy-secret-prompt", more: #""max_tokens":4"#)
        _ = try HTTPExchange.post(port: server.port, "/v1/chat/completions", "{\"xyzzy-secret-prompt\":")
        #expect(!server.logSoFar.contains("xyzzy-secret-prompt"))
    }
}

extension HTTPExchange {
    /// How a stream ended, as its client saw it.
    enum Ending: Sendable {
        case done
        case errorChunkThenDone
        case unavailable(retryAfter: String?)
        case other(String)
    }

    /// Members of a request for so many long answers that the model is busy for seconds.
    static func many(_ choices: Int) -> String { #""ignore_eos":true,"speculation":"off","n":\#(choices)"# }

    /// A streaming request that goes on until it is cancelled or the context ends.
    static func endless(_ server: ServerProcess, headers: [String: String] = [:], choices: Int = 1) -> [UInt8] {
        request(
            "POST", "/v1/chat/completions", port: server.port, headers: headers,
            body: Chat.body("Tell me a story.", stream: true, more: many(choices)))
    }

    static func longStream(_ server: ServerProcess, index: Int) throws -> Ending {
        let stream = try post(
            port: server.port, "/v1/chat/completions",
            Chat.body("Tell me story \(index).", stream: true, more: #""ignore_eos":true,"max_tokens":400"#))
        let events = stream.serverSentEvents
        if stream.status == 503 { return .unavailable(retryAfter: stream.headers["retry-after"]) }
        guard stream.status == 200, events.last == "[DONE]" else {
            return .other("\(stream.status) \(stream.text.suffix(200))")
        }
        return stream.text.contains("\"error\":{") ? .errorChunkThenDone : .done
    }
}
