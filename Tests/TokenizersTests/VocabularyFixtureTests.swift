import Foundation
import TestSupport
import Testing

@testable import Tokenizers

/// The vocabularies of well-known models, against the ids that their own tokenizers give.
@Suite struct VocabularyFixtureTests {
    static let hasVocabularies = Fixtures.has("vocabularies/llamacpp-vocab")
    static let absent: Comment = "fixtures folder is absent"

    @Test(
        "All cases of the vocabularies in GGUF files match", .enabled(if: hasVocabularies, absent),
        arguments: ["gpt-2", "llama-spm", "phi-3", "deepseek-coder"])
    func ggufVocabularies(name: String) throws {
        try expectCases(name, Tokenizer.fixture(name))
    }

    @Test(
        "All cases of Llama 3 match, with the vocabulary built from its ranks",
        .enabled(if: Fixtures.has("vocabularies/llama3-tokenizer"), absent))
    func llama3() throws {
        let tokenizer = try Tokenizer.llama3()
        try expectCases("llama-bpe", tokenizer)
        #expect(tokenizer.addsBOS)
        #expect(try tokenizer.encode("hi<|eot_id|>", addSpecial: true, parseSpecial: true) == [128_000, 6151, 128_009])
        #expect(tokenizer.endOfGeneration == [128_001, 128_009])
    }

    @Test(
        "All cases of Qwen 2 match, with the vocabulary built from its JSON files",
        .enabled(if: Fixtures.has("vocabularies/qwen3-vocab"), absent))
    func qwen() throws {
        let tokenizer = try Tokenizer.qwen()
        try expectCases("qwen2", tokenizer)
        #expect(!tokenizer.addsBOS)
        #expect(tokenizer.endOfGeneration.isSuperset(of: [151_643, 151_645]))
    }

    @Test(
        "GPT-NeoX, a file without a pre-tokenizer's name, loads and round-trips", .enabled(if: hasVocabularies, absent))
    func gptNeoX() throws {
        let tokenizer = try Tokenizer.fixture("gpt-neox")
        let text = "def f(x):\n        return x  # 1234"
        let ids = try tokenizer.encode(text, addSpecial: true, parseSpecial: false)
        #expect(ids.contains(50270), "eight spaces are a user-defined token")
        #expect(String(decoding: tokenizer.decode(ids, renderSpecial: false), as: UTF8.self) == text)
    }

    private func expectCases(_ name: String, _ tokenizer: Tokenizer) throws {
        let cases = try VocabularyCases(name).cases
        #expect(cases.count >= 40)
        for (text, ids) in cases {
            let found = try tokenizer.encode(text, addSpecial: false, parseSpecial: false)
            #expect(found == ids, "\(name): \(text.debugDescription)")
            let decoded = tokenizer.decode(found, renderSpecial: false)
            #expect(String(decoding: decoded, as: UTF8.self) == text, "\(name): decoding \(text.debugDescription)")
        }
    }
}
