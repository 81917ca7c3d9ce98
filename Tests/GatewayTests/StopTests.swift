import Foundation
import TestSupport
import Testing

/// What clients and probes see of a server that was told to stop.
@Suite(.serialized, .timeLimit(.minutes(10))) struct StopTests {
    /// A server that was told to stop while one long stream runs.
    private static func stopping(_ body: (ServerProcess, HTTPExchange) throws -> Void) throws {
        let server = try ServerProcess(["--drain-seconds", "600"])
        let stream = try HTTPExchange(port: server.port, bytes: HTTPExchange.endless(server, choices: 100))
        try stream.read { $0.serverSentEvents.count > 2 }
        server.signal(SIGTERM)
        #expect(ServerProcess.eventually { server.logSoFar.contains("server.stopping") })
        try body(server, stream)
        server.signal(SIGTERM)
        try stream.readAll()
        #expect(stream.serverSentEvents.last == "[DONE]")
        #expect(stream.text.contains("\"error\":{"))
        #expect(ServerProcess.eventually { !server.isRunning })
        #expect(server.exitStatus == 0)
    }

    @Test func newConnectionsLearnThatItStops() throws {
        try Self.stopping { server, stream in
            let ready = try HTTPExchange.get(port: server.port, "/readyz")
            #expect(ready.status == 503 && ready.headers["retry-after"] == "5")
            #expect(ready.text.contains("the server is stopping"))
            #expect(try HTTPExchange.get(port: server.port, "/livez").status == 200)
            #expect(try server.metric("apus_calls_in_flight") == 1)
            let chat = try HTTPExchange.post(
                port: server.port, "/v1/chat/completions", Chat.body("Hello", stream: true))
            #expect(chat.status == 503 && chat.headers["retry-after"] == "5")
            #expect(try Chat.errorCode(chat) == "model_not_ready")
            let count = stream.serverSentEvents.count
            try stream.read { $0.serverSentEvents.count > count }
            #expect(!stream.isComplete, "the stream goes on")
        }
    }

    @Test(arguments: ["probe", "request"])
    func aConnectionThatIsKeptOpenGetsOneMoreAnswer(kind: String) throws {
        let server = try ServerProcess(["--drain-seconds", "600"])
        let kept = try HTTPExchange.get(port: server.port, "/readyz")
        #expect(kept.status == 200 && kept.headers["connection"] == nil)
        let stream = try HTTPExchange(port: server.port, bytes: HTTPExchange.endless(server, choices: 100))
        try stream.read { $0.serverSentEvents.count > 2 }
        server.signal(SIGTERM)
        #expect(ServerProcess.eventually { server.logSoFar.contains("server.stopping") })
        let next =
            kind == "probe"
            ? HTTPExchange.request("GET", "/readyz", port: server.port)
            : HTTPExchange.request(
                "POST", "/v1/chat/completions", port: server.port, body: Chat.body("Hello", stream: false))
        try kept.sendNext(next)
        try kept.readAll()
        #expect(kept.status == 503 && kept.headers["retry-after"] == "5")
        #expect(kept.headers["connection"] == "close")
        stream.abandon()
        #expect(ServerProcess.eventually { !server.isRunning }, "nothing is left to wait for")
        #expect(server.exitStatus == 0)
    }

    @Test func runningAnswersFinish() throws {
        let server = try ServerProcess(["--drain-seconds", "600"])
        let body = Chat.body("Tell me a story.", stream: true, more: #""ignore_eos":true,"max_tokens":300"#)
        let stream = try HTTPExchange(
            port: server.port,
            bytes: HTTPExchange.request("POST", "/v1/chat/completions", port: server.port, body: body))
        try stream.read { $0.serverSentEvents.count > 2 }
        server.signal(SIGTERM)
        try stream.readAll()
        #expect(stream.serverSentEvents.last == "[DONE]")
        #expect(stream.text.contains(#""finish_reason":"length""#))
        #expect(!stream.text.contains("\"error\":{"))
        #expect(ServerProcess.eventually { !server.isRunning })
        #expect(server.exitStatus == 0)
    }
}
