public import ModelFiles

extension TokenizerDefinition {
    /// Reads the keys under `tokenizer.ggml`.
    public init(metadata: GGUFMetadata, limits: TokenizerLimits = TokenizerLimits()) throws(TokenizerError) {
        let reader = MetadataReader(metadata: metadata, limits: limits)
        guard let model = try reader.string("model") else { throw .missing(key: reader.key("model")) }
        guard let kind = TokenizerKind(rawValue: model) else { throw .unsupported(feature: "tokenizer", name: model) }
        guard let tokens = try reader.strings("tokens", count: limits.tokens) else {
            throw .missing(key: reader.key("tokens"))
        }
        self.init(kind: kind, tokens: tokens)
        types = try reader.types(count: tokens.count)
        switch kind {
        case .sentencePiece:
            scores = try reader.scores(count: tokens.count)
            try reader.refuseCharacterMap()
        case .byteLevelBPE:
            preTokenizer = try reader.string("pre") ?? preTokenizer
            guard let merges = try reader.strings("merges", count: limits.merges) else {
                throw .missing(key: reader.key("merges"))
            }
            self.merges = merges
        }
        try readSpecialTokens(reader)
        addsBeginOfSequence = try reader.bool("add_bos_token")
        addsEndOfSequence = try reader.bool("add_eos_token")
        addsSpacePrefix = try reader.bool("add_space_prefix")
        removesExtraSpaces = try reader.bool("remove_extra_whitespaces") ?? false
        // GGUF has no key for this: the model's architecture and name are the only signs.
        let name = (metadata.string("general.name") ?? "").lowercased()
        controlTokensTakeFollowingSpace =
            kind == .sentencePiece
            && (metadata.string("general.architecture") == "phi3" || name.contains("phi-3") || name.contains("phi3"))
    }

    private mutating func readSpecialTokens(_ reader: MetadataReader) throws(TokenizerError) {
        beginOfSequence = try reader.tokenID("bos_token_id")
        endOfSequence = try reader.tokenID("eos_token_id")
        unknown = try reader.tokenID("unknown_token_id")
        for key in ["eot_token_id", "eom_token_id"] {
            if let id = try reader.tokenID(key) { otherEnds.append(id) }
        }
        guard kind == .sentencePiece else { return }
        // SentencePiece's own numbers, used by files that do not repeat them.
        func isSpecial(_ id: Int) -> Bool { id < types.count && (types[id] == .control || types[id] == .unknown) }
        if beginOfSequence == nil, isSpecial(1) { beginOfSequence = 1 }
        if endOfSequence == nil, isSpecial(2) { endOfSequence = 2 }
        if unknown == nil, isSpecial(0) { unknown = 0 }
    }
}

/// Reads typed values under one prefix; a value of another type is an error, not an absent one.
private struct MetadataReader {
    let metadata: GGUFMetadata
    let limits: TokenizerLimits

    func key(_ name: String) -> String { "tokenizer.ggml." + name }

    func string(_ name: String) throws(TokenizerError) -> String? {
        guard metadata[key(name)] != nil else { return nil }
        guard let value = metadata.string(key(name)) else {
            throw .wrongType(key: key(name), expected: "a string")
        }
        return value
    }

    func bool(_ name: String) throws(TokenizerError) -> Bool? {
        guard metadata[key(name)] != nil else { return nil }
        guard let value = metadata.bool(key(name)) else {
            throw .wrongType(key: key(name), expected: "a truth value")
        }
        return value
    }

    /// A token's id; -1 and 2^32 - 1 are how some writers say "none".
    func tokenID(_ name: String) throws(TokenizerError) -> Int? {
        guard metadata[key(name)] != nil else { return nil }
        guard let value = metadata.int(key(name)) else {
            throw .wrongType(key: key(name), expected: "an integer")
        }
        return value == -1 || value == Int64(UInt32.max) ? nil : Int(value)
    }

    func array(_ name: String) throws(TokenizerError) -> GGUFArray? {
        guard metadata[key(name)] != nil else { return nil }
        guard let array = metadata.array(key(name)) else {
            throw .wrongType(key: key(name), expected: "an array")
        }
        return array
    }

    func strings(_ name: String, count limit: Int) throws(TokenizerError) -> ByteStrings? {
        guard let array = try array(name) else { return nil }
        guard array.elementType == .string else {
            throw .wrongType(key: key(name), expected: "an array of strings")
        }
        guard array.count <= limit else {
            throw .limitExceeded(what: "the number of entries of \(key(name))", limit: limit, value: array.count)
        }
        var strings = ByteStrings()
        strings.reserveCapacity(strings: array.count, bytes: array.count * 8)
        try array.forEachString { (index, bytes) throws(TokenizerError) in
            guard bytes.count <= limits.tokenBytes else {
                throw .limitExceeded(
                    what: "the length of entry \(index) of \(key(name))", limit: limits.tokenBytes, value: bytes.count)
            }
            guard strings.bytes.count + bytes.count <= limits.vocabularyBytes else {
                throw .limitExceeded(
                    what: "the length of \(key(name)) up to entry \(index)", limit: limits.vocabularyBytes,
                    value: strings.bytes.count + bytes.count)
            }
            strings.append(bytes)
        }
        return strings
    }

    func types(count: Int) throws(TokenizerError) -> [TokenType] {
        guard let array = try array("token_type") else { return [] }
        try check(array, "token_type", count: count)
        var types: [TokenType] = []
        types.reserveCapacity(count)
        for index in 0..<count {
            guard let number = array.integer(index) else {
                throw .wrongType(key: key("token_type"), expected: "an array of integers")
            }
            // 0 means "undefined" in the format; such tokens are ordinary text.
            guard let type = number == 0 ? .normal : UInt8(exactly: number).flatMap(TokenType.init) else {
                throw .malformed(key: key("token_type"), reason: "entry \(index) is \(number), types are 0 to 6")
            }
            types.append(type)
        }
        return types
    }

    func scores(count: Int) throws(TokenizerError) -> [Float] {
        guard let array = try array("scores") else { throw .missing(key: key("scores")) }
        try check(array, "scores", count: count)
        var scores: [Float] = []
        scores.reserveCapacity(count)
        for index in 0..<count {
            guard let score = array.double(index) else {
                throw .wrongType(key: key("scores"), expected: "an array of numbers")
            }
            scores.append(Float(score))
        }
        return scores
    }

    private func check(_ array: GGUFArray, _ name: String, count: Int) throws(TokenizerError) {
        guard array.count == count else {
            throw .malformed(key: key(name), reason: "it has \(array.count) entries for \(count) tokens")
        }
    }

    /// A SentencePiece normalisation table changes the text before it is encoded.
    func refuseCharacterMap() throws(TokenizerError) {
        if let map = try array("precompiled_charsmap"), map.count > 0 {
            throw .unsupported(feature: "tokenizer normalisation", name: "precompiled_charsmap")
        }
    }
}
