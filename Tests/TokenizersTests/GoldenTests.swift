import Testing

@testable import Tokenizers

/// Tiny vocabularies, against the `tokenizers` and `sentencepiece` libraries.
@Suite struct GoldenTests {
    let goldens: Goldens

    init() throws { goldens = try Goldens.shared.get() }

    @Test(
        "Texts are cut into the same words",
        arguments: [
            "gpt-2", "smollm", "llama-bpe", "qwen2", "qwen35", "bailingmoe", "deepseek-coder", "deepseek-llm",
            "deepseek-v3", "falcon",
            "default", "tekken", "gpt-4o",
        ])
    func wordEnds(name: String) throws {
        let preTokenizer = try PreTokenizer(named: name, limits: TokenizerLimits())
        let expected = try #require(goldens.wordEnds[name])
        #expect(expected.count == goldens.texts.count)
        for (text, ends) in zip(goldens.texts, expected) where !text.isEmpty {
            let bytes = Array(text.utf8)
            var found: [Int] = []
            try bytes.withUnsafeBufferPointer { text in
                var words = try preTokenizer.words(of: text, 0..<text.count)
                while let word = try words.next() { found.append(word.upperBound) }
            }
            #expect(found == ends, "\(text.debugDescription)")
        }
    }

    @Test("Byte-level BPE gives the same ids", arguments: ["gpt-2", "llama-bpe", "qwen2", "deepseek-coder"])
    func byteLevelIDs(name: String) throws {
        let tokenizer = try Tokenizer(goldens.byteLevel.definition(preTokenizer: name))
        let expected = try #require(goldens.byteLevel.ids[name])
        for (text, ids) in zip(goldens.texts, expected) {
            // Here the control tokens are part of the vocabulary, but plain text must not reach them.
            #expect(
                try tokenizer.encode(text, addSpecial: false, parseSpecial: false) == ids, "\(text.debugDescription)")
        }
    }

    @Test("Control tokens are read only on request, and rendered only on request")
    func controlTokens() throws {
        let tokenizer = try Tokenizer(goldens.byteLevel.definition())
        let special = goldens.byteLevel.special
        #expect(try tokenizer.encode(special.text, addSpecial: false, parseSpecial: true) == special.ids)
        let plain = try tokenizer.encode(special.text, addSpecial: false, parseSpecial: false)
        #expect(plain.allSatisfy { $0 < goldens.byteLevel.tokens.count })
        #expect(String(decoding: tokenizer.decode(special.ids, renderSpecial: true), as: UTF8.self) == special.text)
        let visible = "user\nHello\nassistant\n<|im_endx"
        #expect(String(decoding: tokenizer.decode(special.ids, renderSpecial: false), as: UTF8.self) == visible)
    }

    @Test(
        "SentencePiece BPE gives the same ids and texts",
        arguments: ["byte fallback", "extra spaces removed", "no prefix, words joined"])
    func sentencePiece(name: String) throws {
        let golden = try #require(goldens.sentencePiece[name])
        let tokenizer = try Tokenizer(golden.definition())
        for (index, text) in goldens.texts.enumerated() {
            let ids = try tokenizer.encode(text, addSpecial: false, parseSpecial: false)
            #expect(ids == golden.ids[index], "\(text.debugDescription)")
            // SentencePiece writes unknown tokens as a question mark in spaces; here they are not shown.
            if !ids.contains(0) {
                let decoded = String(decoding: tokenizer.decode(ids, renderSpecial: false), as: UTF8.self)
                #expect(decoded == golden.decoded[index])
            }
        }
    }
}
