/// A checked vocabulary: what each token stands for, and which token stands for given bytes.
final class Vocabulary: Sendable {
    let kind: TokenizerKind
    /// The tokens' bytes where they are written in the byte alphabet, else the tokens as written (all of SentencePiece).
    let strings: ByteStrings
    let types: [TokenType]
    /// Whether `strings` has the bytes rather than the token as written; byte-level only.
    private let isDecoded: [Bool]
    /// The tokens that text can be merged to: not control tokens, which must never come out of plain text.
    private let table: TokenTable
    /// The token of each single byte, or -1.
    let byteTokens: [Int32]
    /// Length of the longest token that text can be merged to.
    let longestMergeable: Int

    var count: Int { types.count }

    init(_ definition: TokenizerDefinition) throws(TokenizerError) {
        let count = definition.tokens.count
        guard count > 0 else { throw .malformed(key: "tokenizer.ggml.tokens", reason: "it is empty") }
        guard definition.types.isEmpty || definition.types.count == count else {
            throw .malformed(
                key: "tokenizer.ggml.token_type", reason: "it has \(definition.types.count) entries for \(count) tokens"
            )
        }
        kind = definition.kind
        var types = definition.types
        if types.isEmpty { types = Self.guessedTypes(definition.tokens, kind) }
        switch kind {
        case .byteLevelBPE: (strings, isDecoded) = Self.decoded(definition.tokens, types)
        case .sentencePiece: (strings, isDecoded) = (definition.tokens, [])
        }
        self.types = types

        var table = TokenTable(capacity: count)
        var longest = 0
        // Of tokens with the same bytes the ordinary one counts, then the first.
        for pass in [[TokenType.normal, .unused], [.userDefined]] {
            for id in 0..<count where pass.contains(types[id]) && !strings.range(id).isEmpty {
                table.insert(Int32(id), in: strings)
                longest = max(longest, strings.range(id).count)
            }
        }
        self.table = table
        longestMergeable = longest
        byteTokens = Self.byteTokens(kind, strings, types, table)
    }

    /// The mergeable token with the bytes `text[range]`, or -1.
    func find(_ text: borrowing Span<UInt8>, _ range: Range<Int>) -> Int32 {
        guard range.count <= longestMergeable else { return -1 }
        return table.find(text, range, in: strings)
    }

    /// The token as the vocabulary writes it.
    func writtenText(_ id: Int) -> String {
        if kind == .byteLevelBPE, isDecoded[id] { return ByteAlphabet.encode(strings[id]) }
        return String(decoding: strings[id], as: UTF8.self)
    }

    // MARK: checking

    private static func guessedTypes(_ tokens: ByteStrings, _ kind: TokenizerKind) -> [TokenType] {
        (0..<tokens.count).map { kind == .sentencePiece && byteValue(tokens[$0]) != nil ? .byte : .normal }
    }

    private static func decoded(_ tokens: ByteStrings, _ types: [TokenType]) -> (ByteStrings, [Bool]) {
        var strings = ByteStrings()
        strings.reserveCapacity(strings: tokens.count, bytes: tokens.bytes.count)
        var isDecoded: [Bool] = []
        isDecoded.reserveCapacity(tokens.count)
        var bytes: [UInt8] = []
        for id in 0..<tokens.count {
            bytes.removeAll(keepingCapacity: true)
            // User-defined and control tokens are written as plain text.
            let isPlain = types[id] == .userDefined || types[id] == .control || types[id] == .unknown
            let isWhole = !isPlain && ByteAlphabet.decode(tokens[id], into: &bytes)
            if isWhole { strings.append(bytes) } else { strings.append(tokens[id]) }
            isDecoded.append(isWhole)
        }
        return (strings, isDecoded)
    }

    private static func byteTokens(
        _ kind: TokenizerKind, _ strings: ByteStrings, _ types: [TokenType], _ table: TokenTable
    ) -> [Int32] {
        var tokens = [Int32](repeating: -1, count: 256)
        switch kind {
        case .byteLevelBPE:
            for byte in 0...255 { tokens[byte] = table.find([UInt8(byte)].span, 0..<1, in: strings) }
        case .sentencePiece:
            for id in 0..<strings.count where types[id] == .byte {
                guard let byte = byteValue(strings[id]), tokens[Int(byte)] < 0 else { continue }
                tokens[Int(byte)] = Int32(id)
            }
        }
        return tokens
    }

    /// The byte that a token `<0x0A>` stands for.
    static func byteValue(_ written: ArraySlice<UInt8>) -> UInt8? {
        guard written.count == 6, written.starts(with: "<0x".utf8), written.last == UInt8(ascii: ">") else {
            return nil
        }
        return UInt8(String(decoding: written.dropFirst(3).dropLast(), as: UTF8.self), radix: 16)
    }
}
