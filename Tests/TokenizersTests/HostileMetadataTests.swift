import ModelFiles
import TestSupport
import Testing

@testable import Tokenizers

/// Metadata that no sane program writes: an error that says what is wrong, or a harmless tokenizer, never a trap.
@Suite struct HostileMetadataTests {
    static let key = "tokenizer.ggml."

    static var refused: [(name: String, value: GGUFWriter.Value, error: TokenizerError)] {
        [
            ("model", .string("bert"), TokenizerError.unsupported(feature: "tokenizer", name: "bert")),
            ("model", .uint32(7), .wrongType(key: key + "model", expected: "a string")),
            ("pre", .string("x\u{1}y"), .unsupported(feature: "pre-tokenizer", name: "x\u{1}y")),
            ("pre", .bool(true), .wrongType(key: key + "pre", expected: "a string")),
            ("tokens", .strings([]), .malformed(key: key + "token_type", reason: "it has 261 entries for 0 tokens")),
            ("tokens", .integers([1]), .wrongType(key: key + "tokens", expected: "an array of strings")),
            ("tokens", .string("a"), .wrongType(key: key + "tokens", expected: "an array")),
            (
                "token_type", .integers([1, 2]),
                .malformed(key: key + "token_type", reason: "it has 2 entries for 261 tokens")
            ),
            (
                "token_type", .strings(Array(repeating: "1", count: 261)),
                .wrongType(key: key + "token_type", expected: "an array of integers")
            ),
            (
                "token_type", .integers([9] + Array(repeating: 1, count: 260)),
                .malformed(key: key + "token_type", reason: "entry 0 is 9, types are 0 to 6")
            ),
            (
                "token_type", .integers([-1] + Array(repeating: 1, count: 260)),
                .malformed(key: key + "token_type", reason: "entry 0 is -1, types are 0 to 6")
            ),
            ("merges", .strings(["a"]), .malformed(key: key + "merges", reason: "entry 0 is not a pair")),
            ("merges", .strings(["a b", " b"]), .malformed(key: key + "merges", reason: "entry 1 is not a pair")),
            ("merges", .strings(["a b", ""]), .malformed(key: key + "merges", reason: "entry 1 is not a pair")),
            ("merges", .strings(["a b", "a "]), .malformed(key: key + "merges", reason: "entry 1 is not a pair")),
            (
                "merges", .strings(["b a"]),
                .malformed(key: key + "merges", reason: "entry 0 names a token that is not in the vocabulary")
            ),
            (
                "merges", .strings(["ab c d"]),
                .malformed(key: key + "merges", reason: "entry 0 names a token that is not in the vocabulary")
            ),
            (
                "bos_token_id", .uint32(261),
                .malformed(key: "tokenizer.ggml", reason: "the bos token is 261, there are 261 tokens")
            ),
            (
                "eos_token_id", .int32(-2),
                .malformed(key: "tokenizer.ggml", reason: "the eos token is -2, there are 261 tokens")
            ),
            ("eot_token_id", .uint64(.max), .wrongType(key: key + "eot_token_id", expected: "an integer")),
            ("bos_token_id", .string("1"), .wrongType(key: key + "bos_token_id", expected: "an integer")),
            ("add_bos_token", .uint32(1), .wrongType(key: key + "add_bos_token", expected: "a truth value")),
        ]
    }

    @Test("What cannot be a tokenizer is refused, with the key")
    func refusals() {
        for (name, value, error) in Self.refused {
            var writer = TinyVocabulary.byteLevel()
            writer.set(Self.key + name, value)
            #expect(throws: error, "\(name): \(value)") { try writer.tokenizer() }
            #expect(error.description.unicodeScalars.allSatisfy { $0.value >= 0x20 })
        }
    }

    @Test("Missing keys are named", arguments: ["model", "tokens", "merges"])
    func missing(name: String) {
        var writer = TinyVocabulary.byteLevel()
        writer.metadata.removeAll { $0.key == Self.key + name }
        #expect(throws: TokenizerError.missing(key: Self.key + name)) { try writer.tokenizer() }
    }

    @Test("Scores must be there, one for each token, and numbers")
    func scores() {
        var writer = TinyVocabulary.sentencePiece()
        writer.set(Self.key + "scores", .floats([1]))
        #expect(throws: TokenizerError.self) { try writer.tokenizer() }
        writer.set(Self.key + "scores", .floats([.nan] + [Float](repeating: 0, count: 266)))
        #expect(throws: TokenizerError.malformed(key: Self.key + "scores", reason: "entry 0 is not a number")) {
            try writer.tokenizer()
        }
        writer.metadata.removeAll { $0.key == Self.key + "scores" }
        #expect(throws: TokenizerError.missing(key: Self.key + "scores")) { try writer.tokenizer() }
    }

    @Test("Infinite scores, empty and repeated tokens are harmless")
    func harmless() throws {
        var writer = TinyVocabulary.sentencePiece()
        writer.set(Self.key + "tokens", .strings(["", "", "<s>", "a", "a", "aa", "▁a", "▁"]))
        writer.set(Self.key + "scores", .floats([0, 0, 0, .infinity, -.infinity, .infinity, -.infinity, 0]))
        writer.set(Self.key + "token_type", .integers([1, 3, 3, 1, 1, 1, 1, 4]))
        let tokenizer = try writer.tokenizer()
        #expect(try tokenizer.encode("aaa", addSpecial: false, parseSpecial: true) == [7, 5, 3])
        #expect(try tokenizer.encode("", addSpecial: false, parseSpecial: true) == [])
    }

    @Test("Limits on the vocabulary are kept")
    func limits() {
        var limits = TokenizerLimits()
        limits.tokens = 100
        #expect(throws: TokenizerError.self) { try TinyVocabulary.byteLevel().tokenizer(limits: limits) }
        limits = TokenizerLimits()
        limits.tokenBytes = 5
        #expect(throws: TokenizerError.self) { try TinyVocabulary.byteLevel().tokenizer(limits: limits) }
        limits = TokenizerLimits()
        limits.vocabularyBytes = 100
        #expect(throws: TokenizerError.self) { try TinyVocabulary.byteLevel().tokenizer(limits: limits) }
        limits = TokenizerLimits()
        limits.merges = 1
        #expect(throws: TokenizerError.self) { try TinyVocabulary.byteLevel().tokenizer(limits: limits) }
    }

    @Test("Mutated files give an error or a tokenizer that works", arguments: [UInt64.random(in: .min ... .max)])
    func mutations(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let files = [TinyVocabulary.byteLevel().bytes(), TinyVocabulary.sentencePiece().bytes()]
        var working = 0
        for round in 0..<2500 {
            var bytes = files[round % 2]
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bytes[Int.random(in: 24..<bytes.count, using: &random)] = UInt8.random(
                    in: .min ... .max, using: &random)
            }
            guard let file = try? GGUFFile(parts: [GGUFBytes(copying: bytes)]),
                let tokenizer = try? Tokenizer(metadata: file.metadata)
            else { continue }
            working += 1
            let text = RoundTripTests.text(&random)
            if let ids = try? tokenizer.encode(text, addSpecial: true, parseSpecial: true) {
                #expect(ids.allSatisfy { $0 >= 0 && $0 < tokenizer.vocabularySize }, "seed \(seed), round \(round)")
                _ = tokenizer.decode(ids, renderSpecial: true)
            }
        }
        #expect(working > 50, "seed \(seed)")
    }

    @Test("Values of other types and odd contents, key by key", arguments: [UInt64.random(in: .min ... .max)])
    func oddValues(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let odd: [GGUFWriter.Value] = [
            .uint8(255), .int32(-5), .float32(.nan), .float64(.infinity), .bool(true), .string(""), .string("\u{0}"),
            .bytes([0xFF, 0xFE]), .strings([]), .strings(["", "", ""]), .floats([.nan]), .integers([]),
            .array([.array([.uint8(1)])]), .uint64(.max), .int64(.min), .array([.bool(true), .bool(false)]),
        ]
        for _ in 0..<600 {
            var writer = Bool.random(using: &random) ? TinyVocabulary.byteLevel() : TinyVocabulary.sentencePiece()
            for _ in 0..<Int.random(in: 1...2, using: &random) {
                let keys =
                    writer.metadata.map(\.key)
                    + ["scores", "merges", "unknown_token_id", "eot_token_id", "add_eos_token", "precompiled_charsmap"]
                    .map { Self.key + $0 }
                writer.set(
                    keys[Int.random(in: 0..<keys.count, using: &random)],
                    odd[Int.random(in: 0..<odd.count, using: &random)])
            }
            guard let tokenizer = try? writer.tokenizer() else { continue }
            let ids = try? tokenizer.encode("ab <|im_end|> é", addSpecial: true, parseSpecial: true)
            #expect(ids?.allSatisfy { $0 >= 0 && $0 < tokenizer.vocabularySize } ?? true, "seed \(seed)")
        }
    }
}
