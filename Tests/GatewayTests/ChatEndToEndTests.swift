import Foundation
import TestSupport
import Testing

/// The path from a client's bytes to a model and back, with real processes and the bundled model.
@Suite(.serialized, .timeLimit(.minutes(10))) struct ChatEndToEndTests {
    @Test func aStreamingChatArrivesInPiecesAndEndsByItself() throws {
        let server = try ServerProcess()
        let stream = try HTTPExchange(
            port: server.port,
            bytes: HTTPExchange.request(
                "POST", "/v1/chat/completions", port: server.port, headers: ["X-Request-Id": "test-1"],
                body: Chat.body("Tell me a short story about a fox.", stream: true, more: #""temperature":0"#)))
        var partialReads = 0
        try stream.read { exchange in
            partialReads += exchange.isComplete ? 0 : 1
            return false
        }
        #expect(stream.status == 200)
        #expect(stream.headers["content-type"]?.hasPrefix("text/event-stream") == true)
        #expect(stream.headers["x-request-id"] == "test-1")
        #expect(partialReads > 3, "the answer came in \(partialReads) reads: that is no stream")
        let events = stream.serverSentEvents
        #expect(events.last == "[DONE]")
        let chunks = try events.dropLast().map(Chat.object)
        let first = try #require(chunks.first.flatMap(Chat.delta))
        #expect(first["role"] as? String == "assistant")
        #expect((first["content"] as? String)?.isEmpty == false, "role and first text come together")
        #expect(chunks.compactMap(Chat.finishReason) == ["stop"])
        #expect(Set(chunks.compactMap { $0["id"] as? String }).count == 1)
        #expect(chunks.allSatisfy { $0["object"] as? String == "chat.completion.chunk" })
    }

    @Test func theSameRequestGivesTheSameTextWithAndWithoutAStream() throws {
        let server = try ServerProcess()
        let settings = #""temperature":0.9,"seed":7,"max_tokens":40"#
        let plain = try HTTPExchange.post(
            port: server.port, "/v1/chat/completions", Chat.body("Tell me a joke.", stream: false, more: settings))
        #expect(plain.status == 200)
        let message = try #require(Chat.choice(plain.json())?["message"] as? [String: Any])
        let usage = try #require(plain.json()["usage"] as? [String: Any])
        let stream = try HTTPExchange.post(
            port: server.port, "/v1/chat/completions",
            Chat.body(
                "Tell me a joke.", stream: true, more: settings + #","stream_options":{"include_usage":true}"#))
        let chunks = try stream.serverSentEvents.dropLast().map(Chat.object)
        #expect(
            chunks.compactMap(Chat.delta).compactMap { $0["content"] as? String }.joined() == message["content"]
                as? String)
        let last = try #require(chunks.last)
        #expect((last["choices"] as? [Any])?.isEmpty == true)
        #expect((last["usage"] as? [String: Any])?["total_tokens"] as? Int == usage["total_tokens"] as? Int)
        #expect(chunks.dropLast().allSatisfy { $0["usage"] is NSNull })
    }

    @Test func severalChoicesAndPromptsAreAnsweredByIndex() throws {
        let server = try ServerProcess()
        let answer = try HTTPExchange.post(
            port: server.port, "/v1/completions",
            #"{"model":"\#(Chat.model)","prompt":["Hello","The fox"],"n":2,"max_tokens":4,"seed":1}"#)
        #expect(answer.status == 200, "\(answer.text)")
        let choices = try #require(answer.json()["choices"] as? [[String: Any]])
        #expect(choices.map { $0["index"] as? Int } == [0, 1, 2, 3])
        #expect(choices.allSatisfy { $0["text"] is String && $0["finish_reason"] is String })
    }

    @Test func aStopStringEndsTheTextBeforeItself() throws {
        let server = try ServerProcess()
        let free = try Chat.text(server, "Tell me a short story about a robot.", more: #""temperature":0"#)
        let stop = try #require(free.split(separator: " ").dropFirst(4).first.map(String.init))
        let stopped = try Chat.text(
            server, "Tell me a short story about a robot.", more: #""temperature":0,"stop":["\#(stop)"]"#)
        let range = try #require(free.range(of: stop))
        #expect(stopped == String(free[..<range.lowerBound]))
    }

    @Test func aSeededAnswerIsTheSameAloneAndUnderLoad() throws {
        let server = try ServerProcess()
        let settings = #""temperature":1,"seed":42,"max_tokens":60"#
        let alone = try Chat.text(server, "Tell me a short story about a lighthouse.", more: settings)
        let texts = try Parallel(12) { index in
            let isSame = index % 3 == 0
            let prompt =
                isSame ? "Tell me a short story about a lighthouse." : "What is the capital of France? \(index)"
            return try Chat.text(server, prompt, more: settings)
        }.wait()
        #expect(texts.filter { $0 == alone }.count == 4)
    }

    @Test func sixtyFourStreamsAtOnceAllFinish() throws {
        let server = try ServerProcess()
        let ends = try Parallel(64) { index -> String? in
            let stream = try HTTPExchange.post(
                port: server.port, "/v1/chat/completions",
                Chat.body("Hello number \(index)", stream: true, more: #""max_tokens":24"#))
            return stream.status == 200 && !stream.text.contains("\"error\"") ? stream.serverSentEvents.last : nil
        }.wait()
        #expect(ends.count == 64)
        #expect(ends.allSatisfy { $0 == "[DONE]" })
    }
}

/// Bodies and answers of chat requests.
enum Chat {
    static let model = "apus-demo"

    static func body(_ text: String, stream: Bool, more: String = "") -> String {
        let settings = more.isEmpty ? "" : "," + more
        return
            #"{"model":"\#(model)","messages":[{"role":"user","content":"\#(text)"}],"stream":\#(stream)\#(settings)}"#
    }

    static func text(_ server: ServerProcess, _ prompt: String, more: String) throws -> String {
        let answer = try HTTPExchange.post(
            port: server.port, "/v1/chat/completions", body(prompt, stream: false, more: more))
        let message = try #require(choice(answer.json())?["message"] as? [String: Any], "\(answer.text)")
        return try #require(message["content"] as? String)
    }

    static func object(_ json: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
    }

    static func choice(_ object: [String: Any]) -> [String: Any]? { (object["choices"] as? [[String: Any]])?.first }
    static func delta(_ chunk: [String: Any]) -> [String: Any]? { choice(chunk)?["delta"] as? [String: Any] }
    static func finishReason(_ chunk: [String: Any]) -> String? { choice(chunk)?["finish_reason"] as? String }

    static func errorCode(_ exchange: HTTPExchange) throws -> String? {
        (try exchange.json()["error"] as? [String: Any])?["code"] as? String
    }
}
