import TestSupport
import Testing

@testable import Tokenizers

@Suite struct RoundTripTests {
    /// Text with much of what tokenizers trip over: spaces, letters of many scripts, digits, marks, emoji, controls.
    static func text(_ random: inout SeededRandom) -> String {
        let ranges: [ClosedRange<UInt32>] = [
            0x00...0x7F, 0x20...0x20, 0x61...0x7A, 0x30...0x39, 0x09...0x0D, 0x80...0x24F, 0x300...0x36F, 0x400...0x4FF,
            0x600...0x6FF, 0x900...0x97F, 0x2000...0x206F, 0x3000...0x30FF, 0x4E00...0x9FFF, 0xAC00...0xD7A3,
            0x1F300...0x1FAFF, 0x10000...0x10FFFF,
        ]
        var text = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0...12, using: &random) {
            let range = ranges[Int.random(in: 0..<ranges.count, using: &random)]
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                if let scalar = Unicode.Scalar(UInt32.random(in: range, using: &random)) { text.append(scalar) }
            }
        }
        return String(text)
    }

    @Test(
        "Byte-level BPE decodes to exactly the text that was encoded",
        arguments: [
            "gpt-2", "llama-bpe", "qwen2", "deepseek-coder", "deepseek-llm", "deepseek-v3", "tekken", "default",
        ])
    func byteLevel(preTokenizer: String) throws {
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededRandom(seed: seed)
        let tokenizer = try Tokenizer(Goldens.shared.get().byteLevel.definition(preTokenizer: preTokenizer))
        for _ in 0..<150 {
            let text = Self.text(&random)
            let ids = try tokenizer.encode(text, addSpecial: false, parseSpecial: Bool.random(using: &random))
            #expect(tokenizer.decode(ids, renderSpecial: true) == Array(text.utf8), "seed \(seed)")
        }
    }

    @Test("SentencePiece with byte tokens decodes to the text, except that U+2581 is a space")
    func sentencePiece() throws {
        let seed = UInt64.random(in: .min ... .max)
        var random = SeededRandom(seed: seed)
        for name in ["byte fallback", "no prefix, words joined"] {
            let golden = try #require(Goldens.shared.get().sentencePiece[name])
            let tokenizer = try Tokenizer(golden.definition())
            for _ in 0..<200 {
                let text = Self.text(&random)
                let ids = try tokenizer.encode(text, addSpecial: false, parseSpecial: false)
                let expected = text.unicodeScalars.map { $0 == "\u{2581}" ? " " : String($0) }.joined()
                #expect(
                    Array(tokenizer.decode(ids, renderSpecial: false)) == Array(expected.utf8), "seed \(seed), \(name)")
            }
        }
    }

    @Test("Words remembered from earlier in a long text give the same tokens")
    func cache() throws {
        let tokenizer = try Tokenizer(Goldens.shared.get().byteLevel.definition())
        let sentence = " the quiet harbour, then the boat and 42 gulls"
        let once = try tokenizer.encode(sentence, addSpecial: false, parseSpecial: false)
        let many = try tokenizer.encode(String(repeating: sentence, count: 100), addSpecial: false, parseSpecial: false)
        #expect(many == Array(repeating: once, count: 100).flatMap(\.self))
    }

    @Test("A long text without a border is encoded", arguments: ["gpt-2", "llama-bpe", "deepseek-coder"])
    func longRun(preTokenizer: String) throws {
        let goldens = try Goldens.shared.get()
        let sentencePiece = try #require(goldens.sentencePiece["no prefix, words joined"]).definition()
        for definition in [goldens.byteLevel.definition(preTokenizer: preTokenizer), sentencePiece] {
            let tokenizer = try Tokenizer(definition)
            for run in ["he", " ", "\n", " \n", "7", "!", "é"] {
                let text = String(repeating: run, count: 5000 / run.utf8.count)
                let ids = try tokenizer.encode(text, addSpecial: false, parseSpecial: false)
                #expect(tokenizer.decode(ids, renderSpecial: false) == Array(text.utf8))
            }
        }
    }
}
