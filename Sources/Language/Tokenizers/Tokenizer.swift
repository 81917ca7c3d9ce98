public import ModelFiles

/// Turns text into tokens and tokens into text, as the model file says.
///
/// Made once per model, then used from any thread: nothing in it changes. Texts and files are bounded by the limits.
public final class Tokenizer: Sendable {
    public let kind: TokenizerKind
    /// The token that begins a text, if the vocabulary has one.
    public let bos: Int32?
    /// The token that ends a text, if the vocabulary has one.
    public let eos: Int32?
    /// The tokens that end an answer: those that the file names, and those known by their text.
    public let endOfGeneration: Set<Int32>
    /// Whether `encode` with `addSpecial` puts `bos` first.
    public let addsBOS: Bool
    /// Whether `encode` with `addSpecial` puts `eos` last.
    public let addsEOS: Bool

    let vocabulary: Vocabulary
    /// By id: whether the token is structure rather than text.
    let isControl: [Bool]
    private let specialTokens: SpecialTokens
    private let encoder: Encoder
    private let addsSpacePrefix: Bool
    private let limits: TokenizerLimits

    private enum Encoder: Sendable {
        case sentencePiece(SentencePieceEncoder)
        case byteLevel(ByteLevelEncoder)
    }

    /// Reads the metadata under `tokenizer.ggml`.
    public convenience init(
        metadata: GGUFMetadata, limits: TokenizerLimits = TokenizerLimits()
    ) throws(TokenizerError) {
        try self.init(TokenizerDefinition(metadata: metadata, limits: limits), limits: limits)
    }

    /// Checks the definition: ids in range, lists of the right length, scores that are numbers, merges of known tokens.
    public init(
        _ definition: TokenizerDefinition, limits: TokenizerLimits = TokenizerLimits()
    ) throws(TokenizerError) {
        let vocabulary = try Vocabulary(definition)
        try Self.checkIDs(definition)
        let addsBOSByDefault: Bool
        switch definition.kind {
        case .sentencePiece:
            encoder = .sentencePiece(try SentencePieceEncoder(vocabulary, definition, limits: limits))
            addsBOSByDefault = true
            addsSpacePrefix = definition.addsSpacePrefix ?? true
        case .byteLevelBPE:
            let byteLevel = try ByteLevelEncoder(vocabulary, definition, limits: limits)
            encoder = .byteLevel(byteLevel)
            addsBOSByDefault = byteLevel.addsBeginOfSequence
            addsSpacePrefix = false
        }
        let special = SpecialSelection(vocabulary, definition)
        specialTokens = try SpecialTokens(special.searched, limits: limits)
        isControl = special.isControl
        let declaredEnds = ([definition.endOfSequence].compactMap(\.self) + definition.otherEnds)
        endOfGeneration = EndOfGeneration.ids(declared: declaredEnds, specialTexts: special.byText)
        kind = definition.kind
        bos = definition.beginOfSequence.map(Int32.init)
        eos = definition.endOfSequence.map(Int32.init)
        addsBOS = bos != nil && (definition.addsBeginOfSequence ?? addsBOSByDefault)
        addsEOS = eos != nil && (definition.addsEndOfSequence ?? false)
        self.vocabulary = vocabulary
        self.limits = limits
    }

    private static func checkIDs(_ definition: TokenizerDefinition) throws(TokenizerError) {
        let named = [
            ("bos", definition.beginOfSequence), ("eos", definition.endOfSequence), ("unknown", definition.unknown),
        ]
        for (name, id) in named + definition.otherEnds.map({ ("end", $0) }) {
            guard let id, !(0..<definition.tokens.count).contains(id) else { continue }
            throw .malformed(
                key: "tokenizer.ggml", reason: "the \(name) token is \(id), there are \(definition.tokens.count) tokens"
            )
        }
    }

    public var vocabularySize: Int { vocabulary.count }

    /// The Unicode version by which patterns tell letters, digits and marks, such as "14.0.0".
    public static var unicodeVersion: String { Pattern.unicodeVersion }

    // MARK: encoding

    /// The tokens of a text.
    ///
    /// `addSpecial` adds BOS and EOS as the vocabulary asks for; `parseSpecial` also reads control tokens that are written
    /// in the text, which is meant for rendered templates, not for what users write.
    public func encode(_ text: String, addSpecial: Bool, parseSpecial: Bool) throws(TokenizerError) -> [Int32] {
        try encode(Array(text.utf8), addSpecial: addSpecial, parseSpecial: parseSpecial)
    }

    /// The tokens of a text in UTF-8; throws `invalidUTF8` if it is none.
    public func encode(_ utf8: [UInt8], addSpecial: Bool, parseSpecial: Bool) throws(TokenizerError) -> [Int32] {
        guard utf8.count <= limits.textBytes else {
            throw .limitExceeded(what: "the length of the text in bytes", limit: limits.textBytes, value: utf8.count)
        }
        do { _ = try UTF8Span(validating: utf8.span) } catch {
            throw .invalidUTF8(offset: error.byteOffsets.lowerBound)
        }
        var ids: [Int32] = []
        ids.reserveCapacity(utf8.count / 4 + 4)
        if addSpecial, addsBOS, let bos { ids.append(bos) }
        try utf8.withUnsafeBufferPointer { (text) throws(TokenizerError) in
            try appendTokens(of: text, parseSpecial: parseSpecial, to: &ids)
        }
        if addSpecial, addsEOS, let eos { ids.append(eos) }
        return ids
    }

    private func appendTokens(
        of text: UnsafeBufferPointer<UInt8>, parseSpecial: Bool, to ids: inout [Int32]
    ) throws(TokenizerError) {
        switch encoder {
        case .byteLevel(let encoder):
            var session = ByteLevelEncoder.Session(textBytes: text.count)
            try specialTokens.forEachFragment(of: text.span, parseSpecial: parseSpecial) {
                (fragment) throws(TokenizerError) in
                if let token = fragment.token { return ids.append(token) }
                try encoder.encode(fragment.range, of: text, &session, into: &ids)
            }
        case .sentencePiece(let encoder):
            var session = SentencePieceEncoder.Session(textBytes: text.count)
            var followsToken = true
            try specialTokens.forEachFragment(of: text.span, parseSpecial: parseSpecial) {
                (fragment) throws(TokenizerError) in
                if let token = fragment.token {
                    ids.append(token)
                } else {
                    try encoder.encode(
                        fragment.range, of: text, followsToken: followsToken, &session, into: &ids)
                }
                followsToken = fragment.token != nil
            }
        }
    }

    // MARK: decoding

    /// The bytes that a token stands for; none for control tokens unless `renderSpecial`, and for ids out of range.
    public func bytes(of id: Int32, renderSpecial: Bool = false) -> [UInt8] {
        var bytes: [UInt8] = []
        appendBytes(of: id, renderSpecial: renderSpecial, to: &bytes)
        return bytes
    }

    /// The bytes of a text that begins with these tokens; SentencePiece's space before the text is removed.
    public func decode(_ ids: [Int32], renderSpecial: Bool) -> [UInt8] {
        var bytes: [UInt8] = []
        var stripsSpace = addsSpacePrefix
        for id in ids {
            appendBytes(of: id, renderSpecial: renderSpecial, to: &bytes)
            guard stripsSpace, let first = bytes.first else { continue }
            if first == 0x20 { bytes.removeFirst() }
            stripsSpace = false
        }
        return bytes
    }

    /// The token as the vocabulary writes it; empty for ids out of range.
    public func text(of id: Int32) -> String {
        id >= 0 && id < vocabulary.count ? vocabulary.writtenText(Int(id)) : ""
    }

    /// Whether the token is structure, such as BOS, rather than text.
    public func isSpecial(_ id: Int32) -> Bool {
        id >= 0 && id < isControl.count && isControl[Int(id)]
    }

    /// Whether decoding a whole text drops the space before it.
    var stripsLeadingSpace: Bool { addsSpacePrefix }

    func appendBytes(of id: Int32, renderSpecial: Bool, to bytes: inout [UInt8]) {
        guard id >= 0, id < vocabulary.count, renderSpecial || !isControl[Int(id)] else { return }
        let string = vocabulary.strings[Int(id)]
        guard kind == .sentencePiece else { return bytes.append(contentsOf: string) }
        if vocabulary.types[Int(id)] == .byte, let byte = Vocabulary.byteValue(string) { return bytes.append(byte) }
        var index = string.startIndex
        while index < string.endIndex {
            if string[index...].starts(with: SentencePieceEncoder.space) {
                bytes.append(0x20)
                index += SentencePieceEncoder.space.count
            } else {
                bytes.append(string[index])
                index += 1
            }
        }
    }
}
