import EngineProtocol
import JSON

/// What a session's positions hold, and what is known of how they came about.
struct SessionHistory: Sendable {
    /// The positions; without any the session is empty.
    var prompt = Prompt(tokens: [])
    /// Nil where positions came otherwise than by chats.
    var conversation: Conversation?
    /// The chat that the positions began with, as far as its system prompt goes; nil if it had none.
    var systemPrompt: ChatInput?

    var positions: Int { prompt.tokens.count }

    var byteCount: Int {
        prompt.byteCount + (conversation?.byteCount ?? 0) + (systemPrompt?.messagesJSON.utf8.count ?? 0)
    }

    /// Takes positions out: they are no conversation any more.
    mutating func remove(_ range: Range<Int>) {
        prompt.remove(range)
        conversation = nil
    }
}

/// A chat as the template would have to be told all of it.
struct Conversation: Sendable {
    /// With the answers.
    private(set) var messages: [JSONValue]
    /// What stands at the session's positions, written out.
    private(set) var text: [UInt8]
    /// The tools that the model was told of last.
    let toolsJSON: String?
    private var messageBytes: Int

    /// - Parameter messageBytes: of the messages as JSON.
    init(messages: [JSONValue], text: [UInt8], toolsJSON: String?, messageBytes: Int) {
        self.messages = messages
        self.text = text
        self.toolsJSON = toolsJSON
        self.messageBytes = messageBytes
    }

    var byteCount: Int { text.count + messageBytes }

    /// The conversation with further messages, after which the positions hold another text.
    func continued(_ chat: ChatInput, messages new: [JSONValue], text: [UInt8]) -> Conversation {
        Conversation(
            messages: messages + new, text: text, toolsJSON: chat.toolsJSON,
            messageBytes: messageBytes + chat.messagesJSON.utf8.count)
    }

    /// The conversation with an answer.
    ///
    /// - Parameter ending: what the token wrote that ended it; no part of the message.
    func answered(_ answer: [UInt8], ending: [UInt8]) -> Conversation {
        let message = JSONObject(uniqueMembers: [
            .init(key: "role", value: .string("assistant")),
            .init(key: "content", value: .string(String(decoding: answer, as: UTF8.self))),
        ])
        return Conversation(
            messages: messages + [.object(message)], text: text + answer + ending, toolsJSON: toolsJSON,
            messageBytes: messageBytes + answer.count)
    }
}

/// What a generation does in its session.
struct SessionRun: Sendable {
    let use: SessionUse
    /// Of the session as it was when the generation was prepared.
    let revision: UInt64
    /// What the session held, and the input: all that the answer follows.
    ///
    /// Its conversation ends with the input, also where an answer goes on.
    let history: SessionHistory
    /// The answer that goes on; nil: a new one begins.
    let resumed: RunningChoice?
    /// Rows of positions before it do not leave.
    let firstRow: Int
    /// Of the blocks of the session's prompt cache; nil: it has none.
    let cacheSalt: String?
    /// Where the cache of the prompt is written; nil: nowhere.
    let save: CacheSave.Target?
}

/// An answer that was paused.
struct PausedAnswer: Sendable {
    var choice: RunningChoice
    /// The conversation before it.
    var conversation: Conversation?

    /// Takes positions of the session out.
    mutating func remove(_ range: Range<Int>) {
        choice.nextRow -= range.clamped(to: 0..<max(choice.nextRow, 0)).count
        conversation = nil
    }
}
