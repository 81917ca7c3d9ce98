import Foundation
import ModelFiles
import TestSupport

@testable import Tokenizers

/// Texts and their expected tokens, without special tokens added.
struct VocabularyCases {
    static let folder = "vocabularies/llamacpp-vocab/ggml-vocab-"

    var cases: [(text: String, ids: [Int32])]

    /// Reads `NAME.gguf.inp` (texts between marks) and `NAME.gguf.out` (a line of ids each).
    init(_ name: String) throws {
        let texts = String(decoding: try Fixtures.bytes(Self.folder + name + ".gguf.inp"), as: UTF8.self)
            .components(separatedBy: "\n__ggml_vocab_test__\n")
        let lines = String(decoding: try Fixtures.bytes(Self.folder + name + ".gguf.out"), as: UTF8.self)
            .split(separator: "\n", omittingEmptySubsequences: false)
        cases = zip(texts, lines).map { text, line in (text, line.split(separator: " ").compactMap { Int32($0) }) }
        // The inputs end with a separator line, or the outputs with a newline: at most one entry has no partner.
        guard abs(texts.count - lines.count) <= 1 else { throw MalformedFixture(path: name + ".gguf.out") }
    }
}

struct MalformedFixture: Error {
    var path: String
}

extension Tokenizer {
    /// The vocabulary in a GGUF file of the fixtures.
    static func fixture(_ name: String) throws -> Tokenizer {
        let bytes = try Fixtures.bytes(VocabularyCases.folder + name + ".gguf")
        return try Tokenizer(metadata: GGUFFile(parts: [GGUFBytes(copying: bytes)]).metadata)
    }

    /// Llama 3, from its list of ranks: every pair of tokens that join to a token is a merge, in the order of the ranks.
    static func llama3() throws -> Tokenizer { try sharedLlama3.get() }

    private static let sharedLlama3: Result<Tokenizer, any Error> = Result {
        try ranked("vocabularies/llama3-tokenizer/llama3/tokenizer.model", preTokenizer: "llama-bpe") {
            ["<|begin_of_text|>", "<|end_of_text|>"] + (0..<7).map { "<|reserved_special_token_\($0)|>" } + [
                "<|eot_id|>"
            ]
        }
    }

    /// A vocabulary from a list of ranks (`base64 rank` per line), with control tokens after it.
    static func ranked(
        _ path: String, preTokenizer: String, controls: () -> [String] = { [] }
    ) throws -> Tokenizer {
        var tokens = ByteStrings()
        for line in try Fixtures.bytes(path).split(separator: UInt8(ascii: "\n")) {
            guard let token = Data(base64Encoded: Data(line.prefix { $0 != UInt8(ascii: " ") })) else { continue }
            tokens.append(token)
        }
        var definition = TokenizerDefinition(kind: .byteLevelBPE, tokens: ByteStrings())
        definition.preTokenizer = preTokenizer
        definition.merges = allMerges(tokens)
        definition.types = Array(repeating: .normal, count: tokens.count)
        for id in 0..<tokens.count { definition.tokens.append(ByteAlphabet.encode(tokens[id]).utf8) }
        for control in controls() {
            definition.tokens.append(control.utf8)
            definition.types.append(.control)
        }
        if definition.tokens.count > tokens.count { definition.beginOfSequence = tokens.count }
        return try Tokenizer(definition)
    }

    private static func allMerges(_ tokens: ByteStrings) -> ByteStrings {
        var table = TokenTable(capacity: tokens.count)
        for id in 0..<tokens.count { table.insert(Int32(id), in: tokens) }
        let alphabet = (0...255).map { Array(ByteAlphabet.encode([UInt8($0)]).utf8) }
        var merges = ByteStrings()
        var merge: [UInt8] = []
        for id in 0..<tokens.count where tokens.range(id).count > 1 {
            let range = tokens.range(id)
            let bytes = tokens.bytes.span
            for border in range.dropFirst() {
                guard table.find(bytes, range.lowerBound..<border, in: tokens) >= 0,
                    table.find(bytes, border..<range.upperBound, in: tokens) >= 0
                else { continue }
                merge.removeAll(keepingCapacity: true)
                for index in range {
                    if index == border { merge.append(UInt8(ascii: " ")) }
                    merge += alphabet[Int(bytes[index])]
                }
                merges.append(merge)
            }
        }
        return merges
    }

    /// Qwen 2, 2.5 and 3, from `vocab.json`, `merges.txt` and `added_tokens.json`.
    static func qwen() throws -> Tokenizer {
        let folder = "vocabularies/qwen3-vocab/"
        let vocabulary = try ids(folder + "vocab.json")
        let added = try ids(folder + "added_tokens.json")
        let size = (vocabulary.values.max() ?? 0) + 1
        var texts = [String](repeating: "", count: max(size, (added.values.max() ?? 0) + 1))
        var types = [TokenType](repeating: .unused, count: texts.count)
        for (text, id) in vocabulary { (texts[id], types[id]) = (text, .normal) }
        for (text, id) in added { (texts[id], types[id]) = (text, .control) }
        var definition = TokenizerDefinition(kind: .byteLevelBPE, tokens: ByteStrings(texts))
        definition.preTokenizer = "qwen2"
        definition.types = types
        definition.endOfSequence = added["<|im_end|>"]
        for line in try Fixtures.bytes(folder + "merges.txt").split(separator: UInt8(ascii: "\n"))
        where !line.starts(with: "#version".utf8) {
            definition.merges.append(line)
        }
        return try Tokenizer(definition)
    }

    private static func ids(_ path: String) throws -> [String: Int] {
        let object = try JSONSerialization.jsonObject(with: Data(try Fixtures.bytes(path)))
        guard let ids = object as? [String: Int] else { throw MalformedFixture(path: path) }
        return ids
    }
}
