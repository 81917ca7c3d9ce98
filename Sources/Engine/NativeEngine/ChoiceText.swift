public import EngineProtocol

/// How the text of a choice is made.
public struct TextOptions: Sendable {
    public var stopStrings: [String]
    /// Text between the tags of a tool call is one, and no content.
    public var findsToolCalls: Bool

    public init(stopStrings: [String], findsToolCalls: Bool = false) {
        self.stopStrings = stopStrings
        self.findsToolCalls = findsToolCalls
    }
}

/// What encloses a tool call, as Hermes and Qwen models write it.
public enum ToolCallTag {
    public static let opening = "<tool_call>"
    public static let closing = "</tool_call>"
}

/// New text of a choice, in the order in which the model says it.
public struct ChoiceOutput: Sendable, Equatable {
    public struct Part: Sendable, Equatable {
        public let kind: TokenChunk.Kind
        public fileprivate(set) var text: String
    }

    /// The content that comes first.
    public var content = ""
    /// What follows it; of a choice without tool calls there is nothing.
    public private(set) var rest: [Part] = []

    public init() {}

    /// Adds content, or a whole tool call.
    public mutating func add(_ text: String, kind: TokenChunk.Kind = .content) {
        guard !text.isEmpty else { return }
        if kind == .content, rest.isEmpty {
            content += text
        } else if kind == .content, rest.last?.kind == .content {
            rest[rest.count - 1].text += text
        } else {
            rest.append(Part(kind: kind, text: text))
        }
    }
}

/// Makes the text of one choice from the bytes of its tokens.
///
/// The engine calls it for each token, so that a stop string ends a choice in the very step that completes it. The
/// host provides it, because every engine's text is made the same way.
public protocol ChoiceText: Sendable {
    /// Takes the bytes of a token and adds the text that is certain; true when a stop string is complete.
    mutating func append(_ bytes: [UInt8], to output: inout ChoiceOutput) -> Bool
    /// Adds what was held back, at the end of the choice.
    mutating func flush(to output: inout ChoiceOutput)
    /// Bytes that were taken and are not in the text: held back, or cut off by a stop string.
    var withheldBytes: Int { get }
}
