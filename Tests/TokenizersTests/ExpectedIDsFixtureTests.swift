import Foundation
import TestSupport
import Testing

@testable import Tokenizers

/// Ids that the models' own tokenizers gave for further texts.
@Suite struct ExpectedIDsFixtureTests {
    static let folder = "vocabularies/swift-transformers-expected/"
    static let rankFolder = "vocabularies/tiktoken-ranks/"
    static let absent: Comment = "fixtures folder is absent"

    struct Case: Decodable {
        var input: String
        var encoded: [String: [Int32]]
        var decodedWithSpecial: String
    }

    struct LongText: Decodable {
        var text: String
        var tokenIds: [Int32]
    }

    static var decoder: JSONDecoder {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return decoder
    }

    static func tokenizer(_ name: String) throws -> Tokenizer {
        name == "llama3" ? try .llama3() : try .fixture(name)
    }

    @Test(
        "Short texts with BOS, and their decoding", .enabled(if: Fixtures.has(folder), absent),
        arguments: [
            ("distilgpt2", "gpt-2"), ("coreml-projects/Llama-2-7b-chat-coreml", "llama-spm"),
            ("pcuenq/Llama-3.2-1B-Instruct-tokenizer", "llama3"),
        ])
    func shortTexts(model: String, vocabulary: String) throws {
        let data = Data(try Fixtures.bytes(Self.folder + "tokenizer_tests.json"))
        let cases = try #require(Self.decoder.decode([String: [Case]].self, from: data)[model])
        let tokenizer = try Self.tokenizer(vocabulary)
        for test in cases {
            let ids = try tokenizer.encode(test.input, addSpecial: true, parseSpecial: true)
            #expect(ids == test.encoded["input_ids"], "\(test.input.debugDescription)")
            let text = String(decoding: tokenizer.decode(ids, renderSpecial: true), as: UTF8.self)
            // The expected texts had the space before "!" removed afterwards, which is no part of decoding.
            #expect(text.replacing(" !", with: "!") == test.decodedWithSpecial.replacing(" !", with: "!"))
        }
    }

    @Test(
        "A longer French text", .enabled(if: Fixtures.has(folder), absent),
        arguments: [("llama_encoded.json", "llama-spm"), ("llama_3.2_encoded.json", "llama3")])
    func longerText(file: String, vocabulary: String) throws {
        let expected = try Self.decoder.decode(LongText.self, from: Data(Fixtures.bytes(Self.folder + file)))
        let tokenizer = try Self.tokenizer(vocabulary)
        #expect(try tokenizer.encode(expected.text, addSpecial: true, parseSpecial: true) == expected.tokenIds)
    }

    @Test("The plans for GPT-2, its vocabulary built from ranks", .enabled(if: Fixtures.has(rankFolder), absent))
    func ranks() throws {
        let vocabulary = "r50k_base"
        let tokenizer = try Tokenizer.ranked(Self.rankFolder + vocabulary + ".tiktoken", preTokenizer: "gpt-2")
        let plans = String(decoding: try Fixtures.bytes(Self.rankFolder + "TestPlans.txt"), as: UTF8.self)
            .components(separatedBy: "EncodingName: ")
        var count = 0
        for plan in plans where plan.hasPrefix(vocabulary + "\n") {
            guard let sample = plan.range(of: "Sample: "), let mark = plan.range(of: "\nEncoded: ") else { continue }
            let text = String(plan[sample.upperBound..<mark.lowerBound])
            let ids = plan[mark.upperBound...].split { !$0.isNumber }.compactMap { Int32($0) }
            #expect(
                try tokenizer.encode(text, addSpecial: false, parseSpecial: false) == ids, "\(text.debugDescription)")
            count += 1
        }
        #expect(count > 10)
    }
}
