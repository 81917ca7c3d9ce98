public import EngineProtocol

/// Makes the text of one choice from the bytes of its tokens.
///
/// The host provides it, because every engine's text is made the same way.
public protocol AnswerText {
    /// Takes the bytes of a token and adds what is certain; true when a stop string is complete.
    mutating func append(_ bytes: [UInt8], to answer: inout AnswerParts) -> Bool
    /// Adds what was held back, at the end of the choice.
    mutating func flush(to answer: inout AnswerParts)
    /// Bytes that were taken and are held back.
    var withheldBytes: Int { get }
}

/// How the text of a choice is made.
public struct AnswerOptions: Sendable {
    public var stopStrings: [String]
    /// The model was told of tools: its calls of them are taken out of the text.
    public var findsToolCalls: Bool
}

/// Text in the order in which it came, and what it is.
public struct AnswerParts: Sendable {
    struct Part: Sendable {
        let kind: TokenChunk.Kind
        let text: String
    }

    private(set) var parts: [Part] = []

    public init() {}

    public mutating func add(_ text: String, kind: TokenChunk.Kind = .content) {
        if !text.isEmpty { parts.append(Part(kind: kind, text: text)) }
    }
}
