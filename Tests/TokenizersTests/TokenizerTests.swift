import ModelFiles
import TestSupport
import Testing

@testable import Tokenizers

/// Metadata of tiny vocabularies, written for one question each.
enum TinyVocabulary {
    /// SentencePiece: bytes, a few letters and words.
    static func sentencePiece() -> GGUFWriter {
        let bytes = (0..<256).map { "<0x" + (($0 < 16 ? "0" : "") + String($0, radix: 16).uppercased()) + ">" }
        let pieces = ["▁", "a", "b", "▁a", "ab", "▁ab"]
        var writer = GGUFWriter()
        writer.set("tokenizer.ggml.model", .string("llama"))
        writer.set(
            "tokenizer.ggml.tokens", .strings(["<unk>", "<s>", "</s>"] + bytes + pieces + ["<|im_end|>", "[X]"]))
        writer.set(
            "tokenizer.ggml.scores", .floats([Float](repeating: 0, count: 259) + [-9, -9, -9, -1, -2, -3, 0, 0]))
        writer.set(
            "tokenizer.ggml.token_type",
            .integers([2, 3, 3] + [Int32](repeating: 6, count: 256) + [Int32](repeating: 1, count: 6) + [3, 4]))
        return writer
    }

    /// Byte-level: all bytes, " a" and "ab", one control and one user-defined token.
    static func byteLevel(pre: String = "gpt-2") -> GGUFWriter {
        let bytes = (0..<256).map { ByteAlphabet.encode([UInt8($0)]) }
        var writer = GGUFWriter()
        writer.set("tokenizer.ggml.model", .string("gpt2"))
        writer.set("tokenizer.ggml.pre", .string(pre))
        writer.set("tokenizer.ggml.tokens", .strings(bytes + ["Ġa", "ab", "<|im_end|>", "<think>", "<bos>"]))
        writer.set("tokenizer.ggml.token_type", .integers([Int32](repeating: 1, count: 258) + [3, 4, 3]))
        writer.set("tokenizer.ggml.merges", .strings(["Ġ a", "a b"]))
        writer.set("tokenizer.ggml.bos_token_id", .uint32(260))
        writer.set("tokenizer.ggml.eos_token_id", .uint32(258))
        return writer
    }
}

extension GGUFWriter {
    func tokenizer(limits: TokenizerLimits = TokenizerLimits()) throws -> Tokenizer {
        try Tokenizer(metadata: GGUFFile(parts: [GGUFBytes(copying: bytes())]).metadata, limits: limits)
    }
}

@Suite struct TokenizerTests {
    @Test("Without keys, SentencePiece adds BOS and a space, byte-level BPE neither, Llama 3 BOS")
    func defaults() throws {
        let sentencePiece = try TinyVocabulary.sentencePiece().tokenizer()
        #expect(sentencePiece.addsBOS && !sentencePiece.addsEOS)
        #expect(sentencePiece.bos == 1 && sentencePiece.eos == 2)
        #expect(try sentencePiece.encode("ab", addSpecial: true, parseSpecial: false) == [1, 264])
        #expect(try !TinyVocabulary.byteLevel().tokenizer().addsBOS)
        #expect(try TinyVocabulary.byteLevel(pre: "llama-bpe").tokenizer().addsBOS)
    }

    @Test("The file's word on BOS, EOS and the space counts")
    func keys() throws {
        var writer = TinyVocabulary.sentencePiece()
        writer.set("tokenizer.ggml.add_bos_token", .bool(false))
        writer.set("tokenizer.ggml.add_eos_token", .bool(true))
        writer.set("tokenizer.ggml.add_space_prefix", .bool(false))
        let tokenizer = try writer.tokenizer()
        #expect(try tokenizer.encode("ab", addSpecial: true, parseSpecial: false) == [263, 2])
        #expect(try tokenizer.encode("", addSpecial: true, parseSpecial: false) == [2])
        #expect(tokenizer.decode([264], renderSpecial: false) == Array(" ab".utf8))
    }

    @Test("A space is put before the text and after each special token, and removed only from the begin")
    func spacePrefix() throws {
        let tokenizer = try TinyVocabulary.sentencePiece().tokenizer()
        let ids = try tokenizer.encode("a<|im_end|>a</s> [X]b", addSpecial: false, parseSpecial: true)
        #expect(ids == [262, 265, 262, 2, 259, 259, 266, 259, 261])
        #expect(tokenizer.decode(ids, renderSpecial: true) == Array("a<|im_end|> a</s>  [X] b".utf8))
        #expect(try tokenizer.encode("a", addSpecial: false, parseSpecial: false) == [262])
        #expect(try tokenizer.encode("", addSpecial: false, parseSpecial: false) == [])
    }

    @Test("Plain text never becomes control, unknown or byte tokens")
    func noInjection() throws {
        let tokenizer = try TinyVocabulary.sentencePiece().tokenizer()
        let text = "<s></s><unk><|im_end|><0x41>"
        let ids = try tokenizer.encode(text, addSpecial: false, parseSpecial: false)
        #expect(ids.allSatisfy { !tokenizer.isSpecial($0) })
        #expect(tokenizer.decode(ids, renderSpecial: false) == Array(text.utf8))
        // What looks like a byte token is six characters.
        #expect(try tokenizer.encode("<0x41>", addSpecial: false, parseSpecial: true).count == 7)
    }

    @Test("User-defined tokens are always found and always shown")
    func userDefined() throws {
        let tokenizer = try TinyVocabulary.byteLevel().tokenizer()
        let ids = try tokenizer.encode("a<think> ab<|im_end|>", addSpecial: false, parseSpecial: false)
        #expect(ids.prefix(3) == [Int32(UInt8(ascii: "a")), 259, 256])
        #expect(!ids.contains(258))
        #expect(tokenizer.bytes(of: 259) == Array("<think>".utf8))
        #expect(tokenizer.bytes(of: 258) == [])
        #expect(tokenizer.bytes(of: 258, renderSpecial: true) == Array("<|im_end|>".utf8))
    }

    @Test("Ids out of range have no text")
    func idsOutOfRange() throws {
        let tokenizer = try TinyVocabulary.byteLevel().tokenizer()
        for id in [-1, 261, .max, .min] as [Int32] {
            #expect(tokenizer.bytes(of: id) == [] && tokenizer.text(of: id) == "" && !tokenizer.isSpecial(id))
        }
        #expect(tokenizer.text(of: 256) == "Ġa")
        #expect(tokenizer.bytes(of: 256) == Array(" a".utf8))
    }

    @Test("Answers end at the declared tokens and at those known by their text")
    func endOfGeneration() throws {
        var writer = TinyVocabulary.sentencePiece()
        #expect(try writer.tokenizer().endOfGeneration == [2, 265])
        writer.set("tokenizer.ggml.eot_token_id", .uint32(264))
        #expect(try writer.tokenizer().endOfGeneration == [2, 264, 265])
        // A word that only looks like one is text.
        writer = TinyVocabulary.byteLevel()
        #expect(try writer.tokenizer().endOfGeneration == [258])
    }

    @Test("Tokens of structure that an old file calls ordinary are structure")
    func undeclaredControls() throws {
        var writer = TinyVocabulary.byteLevel()
        writer.set("tokenizer.ggml.token_type", .integers([Int32](repeating: 1, count: 261)))
        let tokenizer = try writer.tokenizer()
        #expect(tokenizer.isSpecial(258) && tokenizer.isSpecial(260) && !tokenizer.isSpecial(259))
        #expect(try tokenizer.encode("<|im_end|><bos>", addSpecial: false, parseSpecial: true) == [258, 260])
    }

    @Test("Phi-3's tokens of structure take the white space after them")
    func phi3() throws {
        var writer = TinyVocabulary.sentencePiece()
        writer.set("general.architecture", .string("phi3"))
        let tokenizer = try writer.tokenizer()
        let ids = try tokenizer.encode("<|im_end|> \n ab<s> a", addSpecial: false, parseSpecial: true)
        #expect(ids == [265, 264, 1, 259, 262])
    }

    @Test("A byte that the vocabulary lacks is left out")
    func missingByte() throws {
        var writer = TinyVocabulary.byteLevel()
        writer.set("tokenizer.ggml.tokens", .strings(["a", "b", "ab"]))
        writer.set("tokenizer.ggml.token_type", .integers([1, 1, 1]))
        writer.set("tokenizer.ggml.merges", .strings(["a b"]))
        writer.set("tokenizer.ggml.bos_token_id", .int32(-1))
        writer.set("tokenizer.ggml.eos_token_id", .uint32(.max))
        let tokenizer = try writer.tokenizer()
        #expect(tokenizer.bos == nil && tokenizer.eos == nil)
        #expect(try tokenizer.encode("abcb", addSpecial: true, parseSpecial: false) == [2, 1])
    }

    @Test("A text that is no UTF-8, or too long, is refused")
    func refusedTexts() throws {
        let tokenizer = try TinyVocabulary.byteLevel().tokenizer()
        #expect(throws: TokenizerError.invalidUTF8(offset: 2)) {
            try tokenizer.encode([0x61, 0x62, 0xFF, 0x61], addSpecial: false, parseSpecial: false)
        }
        var limits = TokenizerLimits()
        limits.textBytes = 4
        let strict = try TinyVocabulary.byteLevel().tokenizer(limits: limits)
        #expect(throws: TokenizerError.limitExceeded(what: "the length of the text in bytes", limit: 4, value: 5)) {
            try strict.encode("abcde", addSpecial: false, parseSpecial: false)
        }
        limits = TokenizerLimits()
        limits.wordBytes = 4
        for writer in [TinyVocabulary.byteLevel(), TinyVocabulary.sentencePiece()] {
            let tokenizer = try writer.tokenizer(limits: limits)
            #expect(try tokenizer.encode("a b a", addSpecial: false, parseSpecial: false).count >= 3)
            #expect(throws: TokenizerError.self) {
                try tokenizer.encode("bbbbb", addSpecial: false, parseSpecial: false)
            }
        }
    }

    @Test("An unused token leads to longer ones but is not given out")
    func unused() throws {
        var writer = TinyVocabulary.sentencePiece()
        writer.set("tokenizer.ggml.add_space_prefix", .bool(false))
        writer.set(
            "tokenizer.ggml.token_type",
            .integers([2, 3, 3] + [Int32](repeating: 6, count: 256) + [1, 1, 1, 5, 1, 1, 3, 4]))
        let tokenizer = try writer.tokenizer()
        #expect(try tokenizer.encode(" a ab", addSpecial: false, parseSpecial: false) == [259, 260, 264])
    }

    @Test("Many threads may use one tokenizer")
    func threads() async throws {
        let tokenizer = try Tokenizer(Goldens.shared.get().byteLevel.definition(preTokenizer: "llama-bpe"))
        let text = String(repeating: "the quiet harbour, 1234 gulls\n", count: 50)
        let expected = try tokenizer.encode(text, addSpecial: true, parseSpecial: true)
        try await withThrowingTaskGroup(of: [Int32].self) { group in
            for _ in 0..<8 {
                group.addTask { try tokenizer.encode(text, addSpecial: true, parseSpecial: true) }
            }
            for try await ids in group { #expect(ids == expected) }
        }
    }
}
