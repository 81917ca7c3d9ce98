/// Picks, out of a vocabulary, the tokens that are structure and those that are searched for in texts.
struct SpecialSelection {
    /// By id.
    private(set) var isControl: [Bool]
    private(set) var searched: [(text: [UInt8], entry: SpecialTokens.Entry)] = []
    /// The ids of the searched tokens, by what they look like in a text.
    private(set) var byText: [String: Int32] = [:]

    init(_ vocabulary: Vocabulary, _ definition: TokenizerDefinition) {
        isControl = vocabulary.types.map { $0 == .control || $0 == .unknown }
        for id in Self.undeclaredControls(vocabulary, definition) { isControl[id] = true }
        for id in 0..<vocabulary.count where isControl[id] || vocabulary.types[id] == .userDefined {
            let text = Self.plainText(vocabulary, id)
            searched.append(
                (
                    text,
                    SpecialTokens.Entry(
                        id: Int32(id), isControl: isControl[id],
                        takesFollowingSpace: Self.takesFollowingSpace(text, definition))
                ))
            let string = String(decoding: text, as: UTF8.self)
            if byText[string] == nil { byText[string] = Int32(id) }
        }
    }

    /// Old files declare such tokens as ordinary text: those that the file names as BOS, EOS and the like, and texts in
    /// `<|…|>` that are known to end an answer.
    private static func undeclaredControls(_ vocabulary: Vocabulary, _ definition: TokenizerDefinition) -> [Int] {
        var ids = [definition.beginOfSequence, definition.endOfSequence].compactMap(\.self) + definition.otherEnds
        for text in EndOfGeneration.knownTexts where text.hasPrefix("<|") || text.hasPrefix("<｜") {
            let bytes = Array(text.utf8)
            let id = vocabulary.find(bytes.span, 0..<bytes.count)
            if id >= 0 { ids.append(Int(id)) }
        }
        return ids.filter { vocabulary.types[$0] == .normal || vocabulary.types[$0] == .userDefined }
    }

    /// What the token looks like in a text before it is normalised.
    private static func plainText(_ vocabulary: Vocabulary, _ id: Int) -> [UInt8] {
        let text = vocabulary.strings[id]
        guard vocabulary.kind == .sentencePiece, vocabulary.types[id] == .userDefined else { return Array(text) }
        var plain: [UInt8] = []
        var index = text.startIndex
        while index < text.endIndex {
            let isSpace = text[index...].starts(with: SentencePieceEncoder.space)
            plain.append(isSpace ? 0x20 : text[index])
            index += isSpace ? SentencePieceEncoder.space.count : 1
        }
        return plain
    }

    /// Phi-3: all tokens of structure but `<unk>`, `<s>` and `<|endoftext|>`.
    private static func takesFollowingSpace(_ text: [UInt8], _ definition: TokenizerDefinition) -> Bool {
        definition.controlTokensTakeFollowingSpace
            && !["<unk>", "<s>", "<|endoftext|>"].contains(String(decoding: text, as: UTF8.self))
    }
}
