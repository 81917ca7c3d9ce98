/// Turns tokens into text while they are made, and never gives out a part of a character.
///
/// The bytes of a character that is not complete yet are held back; bytes that can no longer become one are U+FFFD, as in
/// `String(decoding:as:)`. All that `append` and `finish` return, put together, is the text of all tokens.
public struct IncrementalDecoder: Sendable {
    private let tokenizer: Tokenizer
    private let renderSpecial: Bool
    private var pending: [UInt8] = []
    private var stripsSpace: Bool

    /// `startsText`: the first token begins a text, so SentencePiece's space before it is removed, as in `decode`; not so
    /// for tokens that continue a prompt, whose space is text.
    public init(_ tokenizer: Tokenizer, renderSpecial: Bool = false, startsText: Bool = false) {
        self.tokenizer = tokenizer
        self.renderSpecial = renderSpecial
        stripsSpace = startsText && tokenizer.stripsLeadingSpace
    }

    /// The text that became complete with this token; often empty.
    public mutating func append(_ id: Int32) -> String {
        tokenizer.appendBytes(of: id, renderSpecial: renderSpecial, to: &pending)
        if stripsSpace, let first = pending.first {
            if first == 0x20 { pending.removeFirst() }
            stripsSpace = false
        }
        let held = Self.incompleteSuffix(pending)
        let text = String(decoding: pending.dropLast(held), as: UTF8.self)
        pending.removeFirst(pending.count - held)
        return text
    }

    /// What was held back; the decoder is then as new, but within the text.
    public mutating func finish() -> String {
        defer { pending.removeAll() }
        return String(decoding: pending, as: UTF8.self)
    }

    /// Length of the longest suffix that more bytes could complete to a character: 0 to 3.
    static func incompleteSuffix(_ bytes: [UInt8]) -> Int {
        for length in 1...3 where length <= bytes.count {
            let suffix = bytes.suffix(length)
            guard let first = suffix.first, first & 0xC0 != 0x80 else { continue }
            return canBecomeCharacter(Array(suffix)) ? length : 0
        }
        return 0
    }

    /// Whether the bytes begin a character and more are needed (table 3-7 of the Unicode standard).
    private static func canBecomeCharacter(_ bytes: [UInt8]) -> Bool {
        let needed: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch bytes[0] {
        case 0xC2...0xDF: needed = 2
        case 0xE0: (needed, second) = (3, 0xA0...0xBF)
        case 0xED: (needed, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: needed = 3
        case 0xF0: (needed, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: needed = 4
        case 0xF4: (needed, second) = (4, 0x80...0x8F)
        default: return false
        }
        return bytes.count < needed && (bytes.count < 2 || second.contains(bytes[1]))
            && bytes.dropFirst(2).allSatisfy { $0 & 0xC0 == 0x80 }
    }
}
