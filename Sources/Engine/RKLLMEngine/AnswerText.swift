/// Makes the text of one choice from the bytes of its tokens.
///
/// The host provides it, because every engine's text is made the same way.
public protocol AnswerText {
    /// Takes the bytes of a token and adds the text that is certain; true when a stop string is complete.
    mutating func append(_ bytes: [UInt8], to text: inout String) -> Bool
    /// Adds what was held back, at the end of the choice.
    mutating func flush(to text: inout String)
}
