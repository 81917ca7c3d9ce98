import EngineProtocol
import JSON
import Platform

/// Defaults of `run` and `chat`: a little variety, and every answer as long as the context allows.
enum GenerationDefaults {
    static let temperature = 0.8
    static let topP = 0.95
    /// A raw continuation has no natural end in most models.
    static let rawMaximumTokens: UInt32 = 128
}

extension ChatInput {
    /// A conversation of (role, text) turns.
    init(turns: [(role: StaticString, text: String)]) {
        var writer = JSONWriter()
        writer.beginArray()
        for turn in turns {
            writer.beginObject()
            writer.key("role")
            writer.string(turn.role.description)
            writer.key("content")
            writer.string(turn.text)
            writer.endObject()
        }
        writer.endArray()
        self.init(messagesJSON: String(decoding: writer.bytes, as: UTF8.self))
    }
}
