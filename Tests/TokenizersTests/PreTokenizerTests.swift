import Testing

@testable import Tokenizers

@Suite struct PreTokenizerTests {
    private func words(_ name: String, _ text: String) throws -> [String] {
        let bytes = Array(text.utf8)
        let preTokenizer = try PreTokenizer(named: name, limits: TokenizerLimits())
        var words: [String] = []
        try bytes.withUnsafeBufferPointer { text in
            var found = try preTokenizer.words(of: text, 0..<text.count)
            while let word = try found.next() { words.append(String(decoding: text[word], as: UTF8.self)) }
        }
        return words
    }

    @Test("An unknown name is an error that names it")
    func unknown() {
        #expect(throws: TokenizerError.unsupported(feature: "pre-tokenizer", name: "nobody-knows")) {
            try PreTokenizer(named: "nobody-knows", limits: TokenizerLimits())
        }
    }

    @Test("Digits are cut by three or one by one, contractions in any case")
    func examples() throws {
        #expect(try words("llama-bpe", "It'S 12345") == ["It", "'S", " ", "123", "45"])
        #expect(try words("qwen2", "x 12") == ["x", " ", "1", "2"])
        #expect(try words("gpt-2", "x 12") == ["x", " 12"])
        #expect(try words("smollm", "x 12") == ["x", " ", "1", "2"])
        #expect(try words("gpt-4o", "HTTPServer's") == ["HTTPServer's"])
        #expect(try words("gpt-4o", "camelCase") == ["camel", "Case"])
        #expect(try words("deepseek-llm", "a  \n b  ") == ["a", "  ", "\n", " b", "  "])
    }

    @Test("White space is Unicode's, so not U+180E")
    func whiteSpace() throws {
        #expect(try words("gpt-2", "a\u{2003}\u{2003}b") == ["a", "\u{2003}", "\u{2003}", "b"])
        #expect(try words("gpt-2", "a\u{180E}b") == ["a", "\u{180E}", "b"])
        #expect(try words("gpt-2", "a \u{180E}b") == ["a", " \u{180E}", "b"])
        #expect(PreTokenizer.withExactSpaces(#"[^\s\p{L}]\S\\s"#).hasSuffix(#"\\s"#))
    }

    @Test("The version of the Unicode properties is known")
    func unicodeVersion() {
        #expect(Tokenizer.unicodeVersion.split(separator: ".").count >= 2)
    }
}
