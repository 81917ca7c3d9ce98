/// Makes the text of one choice from the bytes of its tokens.
///
/// The engine calls it for each token, so that a stop string ends a choice in the very step that completes it. The
/// host provides it, because every engine's text is made the same way.
public protocol ChoiceText: Sendable {
    /// Takes the bytes of a token and appends the text that is certain; true when a stop string is complete.
    mutating func append(_ bytes: [UInt8], to text: inout String) -> Bool
    /// Appends what was held back, at the end of the choice.
    mutating func flush(to text: inout String)
    /// Bytes that were taken and are not in the text: held back, or cut off by a stop string.
    var withheldBytes: Int { get }
}
