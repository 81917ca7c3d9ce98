import Foundation
import Testing

@testable import Tokenizers

/// `Goldens/tokenizers.json`: what independent libraries make of some texts; made by the script beside it.
struct Goldens: Decodable {
    struct ByteLevel: Decodable {
        var tokens: [String]
        var merges: [String]
        var added: [String]
        /// By pre-tokenizer, then by text.
        var ids: [String: [[Int32]]]
        var special: Special
    }

    struct Special: Decodable {
        var text: String
        var ids: [Int32]
    }

    struct SentencePiece: Decodable {
        var tokens: [String]
        var scores: [Float]
        var types: [UInt8]
        var addSpacePrefix: Bool
        var removeExtraSpaces: Bool
        var ids: [[Int32]]
        var decoded: [String]
    }

    var texts: [String]
    /// By pre-tokenizer, then by text: the end of each word in bytes.
    var wordEnds: [String: [[Int]]]
    var byteLevel: ByteLevel
    var sentencePiece: [String: SentencePiece]

    static let shared: Result<Goldens, any Error> = Result {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Goldens/tokenizers.json")
        return try JSONDecoder().decode(Goldens.self, from: Data(contentsOf: path))
    }
}

extension Goldens.ByteLevel {
    func definition(preTokenizer: String = "gpt-2") -> TokenizerDefinition {
        var definition = TokenizerDefinition(kind: .byteLevelBPE, tokens: ByteStrings(tokens + added))
        definition.types = tokens.map { _ in .normal } + added.map { _ in .control }
        definition.merges = ByteStrings(merges)
        definition.preTokenizer = preTokenizer
        return definition
    }
}

extension Goldens.SentencePiece {
    func definition() -> TokenizerDefinition {
        var definition = TokenizerDefinition(kind: .sentencePiece, tokens: ByteStrings(tokens))
        definition.types = types.map { TokenType(rawValue: $0) ?? .normal }
        definition.scores = scores
        definition.unknown = 0
        definition.beginOfSequence = 1
        definition.endOfSequence = 2
        definition.addsSpacePrefix = addSpacePrefix
        definition.removesExtraSpaces = removeExtraSpaces
        return definition
    }
}
