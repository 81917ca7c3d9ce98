import Foundation
import JSON

/// Our reader and writer against Foundation's, on what the server does with every request and every token.
enum JSONBenchmarks {
    static func contests() throws -> [Contest] { try [chatRequest(), streamChunk(), tokenIDs()] }

    // MARK: A chat request of about 11 KB

    private struct ChatRequest: Codable {
        struct Message: Codable {
            let role: String
            let content: String
        }

        let model: String
        let messages: [Message]
        let temperature: Double
        let maxCompletionTokens: Int
        let stream: Bool
        let stop: [String]

        enum CodingKeys: String, CodingKey {
            case model, messages, temperature, stream, stop
            case maxCompletionTokens = "max_completion_tokens"
        }
    }

    private static func chatRequest() throws -> Contest {
        let paragraph =
            "Explain what \"continuous batching\" does, step by step.\nUse a list:\n\t1. first the queue\n\t2. then the cache – "
            + "and say how long each step takes. Keep in mind that the reader knows little about transformers, and that "
            + "examples help more than formulas do. End with one sentence that sums it all up for a busy person.\n"
        let messages = (0..<16).map { index in
            ChatRequest.Message(
                role: index % 2 == 0 ? "user" : "assistant", content: String(repeating: paragraph, count: 1 + index % 3)
            )
        }
        let request = ChatRequest(
            model: "demo", messages: messages, temperature: 0.7, maxCompletionTokens: 256, stream: true,
            stop: ["</s>", "\n\n\n"])
        let data = try JSONEncoder().encode(request)
        let bytes = [UInt8](data)
        return Contest(
            "read a chat request", bytes: bytes.count, repetitions: 50,
            entries: [
                Contest.Entry(name: "JSON") {
                    let value = try JSONValue.parse(bytes)
                    var total = value["model"]?.stringValue?.utf8.count ?? 0
                    for message in value["messages"]?.arrayValue ?? [] {
                        guard let role = message["role"]?.stringValue, let content = message["content"]?.stringValue
                        else {
                            return -1
                        }
                        total += role.utf8.count + content.utf8.count
                    }
                    return total + Int(value["max_completion_tokens"]?.int64Value ?? 0)
                },
                Contest.Entry(name: "JSONDecoder") {
                    let value = try JSONDecoder().decode(ChatRequest.self, from: data)
                    return value.messages.reduce(value.model.utf8.count + value.maxCompletionTokens) {
                        $0 + $1.role.utf8.count + $1.content.utf8.count
                    }
                },
            ])
    }

    // MARK: A chunk of a stream

    private struct Chunk: Codable {
        struct Choice: Codable {
            struct Delta: Codable { let content: String }

            let index: Int
            let delta: Delta
            let finishReason: String?

            enum CodingKeys: String, CodingKey {
                case index, delta
                case finishReason = "finish_reason"
            }
        }

        let id: String
        let object: String
        let created: Int
        let model: String
        let choices: [Choice]
    }

    private static func streamChunk() throws -> Contest {
        let id = "chatcmpl-0123456789abcdef0123456789abcdef"
        let chunk = Chunk(
            id: id, object: "chat.completion.chunk", created: 1_795_250_769, model: "demo",
            choices: [Chunk.Choice(index: 0, delta: Chunk.Choice.Delta(content: " token"), finishReason: nil)])
        var buffer: [UInt8] = []
        buffer.reserveCapacity(512)
        return Contest(
            "write a stream chunk", bytes: try JSONEncoder().encode(chunk).count, repetitions: 500,
            entries: [
                Contest.Entry(name: "JSON") {
                    var writer = JSONWriter(reusing: buffer)
                    buffer = []
                    writer.removeAll()
                    write(chunk, to: &writer)
                    buffer = writer.bytes
                    return buffer.count
                },
                Contest.Entry(name: "JSONEncoder") { try JSONEncoder().encode(chunk).count },
            ])
    }

    private static func write(_ chunk: Chunk, to writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("id")
        writer.string(chunk.id)
        writer.key("object")
        writer.string(chunk.object)
        writer.key("created")
        writer.integer(chunk.created)
        writer.key("model")
        writer.string(chunk.model)
        writer.key("choices")
        writer.beginArray()
        for choice in chunk.choices {
            writer.beginObject()
            writer.key("index")
            writer.integer(choice.index)
            writer.key("delta")
            writer.beginObject()
            writer.key("content")
            writer.string(choice.delta.content)
            writer.endObject()
            writer.key("finish_reason")
            if let reason = choice.finishReason { writer.string(reason) } else { writer.null() }
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
    }

    // MARK: A prompt of token ids

    private struct TokenPrompt: Codable { let prompt: [Int32] }

    private static func tokenIDs() throws -> Contest {
        let data = try JSONEncoder().encode(TokenPrompt(prompt: (0..<4096).map { $0 &* 7919 % 128_000 }))
        let bytes = [UInt8](data)
        return Contest(
            "read 4,096 token ids", bytes: bytes.count, repetitions: 10,
            entries: [
                Contest.Entry(name: "JSON") {
                    let values = try JSONValue.parse(bytes)["prompt"]?.arrayValue ?? []
                    return values.reduce(0) { $0 &+ Int($1.int64Value ?? -1) }
                },
                Contest.Entry(name: "JSONDecoder") {
                    try JSONDecoder().decode(TokenPrompt.self, from: data).prompt.reduce(0) { $0 &+ Int($1) }
                },
            ])
    }
}
