import TestSupport
import Testing

@testable import Tokenizers

@Suite struct IncrementalDecoderTests {
    let tokenizer: Tokenizer

    init() throws { tokenizer = try Tokenizer(Goldens.shared.get().byteLevel.definition()) }

    /// The tokens of single bytes.
    private func tokens(_ bytes: [UInt8]) throws -> [Int32] {
        try bytes.map { byte in
            try #require((0..<Int32(tokenizer.vocabularySize)).first { tokenizer.bytes(of: $0) == [byte] })
        }
    }

    @Test(
        "Characters come out whole, and what cannot become one as U+FFFD",
        arguments: [
            ([0x61, 0xC3, 0xA9], ["a", "", "é"], ""),
            ([0xF0, 0x9F, 0x99, 0x82, 0x21], ["", "", "", "🙂", "!"], ""),
            ([0xE2, 0x82, 0x41], ["", "", "\u{FFFD}A"], ""),
            ([0x80, 0xFF, 0xC0], ["\u{FFFD}", "\u{FFFD}", "\u{FFFD}"], ""),
            ([0xE0, 0x80, 0x41], ["", "\u{FFFD}\u{FFFD}", "A"], ""),
            ([0xED, 0xA0, 0x80], ["", "\u{FFFD}\u{FFFD}", "\u{FFFD}"], ""),
            ([0xF4, 0x90, 0x80], ["", "\u{FFFD}\u{FFFD}", "\u{FFFD}"], ""),
            ([0xF0, 0x9F, 0xC3, 0xA9], ["", "", "\u{FFFD}", "é"], ""),
            ([0xF0, 0x9F, 0x99], ["", "", ""], "\u{FFFD}"),
            ([0x41, 0xC3], ["A", ""], "\u{FFFD}"),
        ] as [([UInt8], [String], String)])
    func pieces(bytes: [UInt8], pieces: [String], rest: String) throws {
        var decoder = IncrementalDecoder(tokenizer)
        #expect(try tokens(bytes).map { decoder.append($0) } == pieces)
        #expect(decoder.finish() == rest)
        #expect(decoder.finish() == "")
    }

    @Test("All pieces together are the text of all tokens", arguments: [UInt64.random(in: .min ... .max)])
    func concatenation(seed: UInt64) throws {
        var random = SeededRandom(seed: seed)
        let sentencePiece = try Tokenizer(
            try #require(Goldens.shared.get().sentencePiece["byte fallback"]).definition())
        for tokenizer in [tokenizer, sentencePiece] {
            for _ in 0..<200 {
                let ids = (0..<Int.random(in: 0...30, using: &random)).map { _ in
                    Int32.random(in: -1...Int32(tokenizer.vocabularySize), using: &random)
                }
                let renderSpecial = Bool.random(using: &random)
                var decoder = IncrementalDecoder(tokenizer, renderSpecial: renderSpecial, startsText: true)
                let pieces = ids.map { decoder.append($0) } + [decoder.finish()]
                let whole = String(decoding: tokenizer.decode(ids, renderSpecial: renderSpecial), as: UTF8.self)
                #expect(Array(pieces.joined().utf8) == Array(whole.utf8), "seed \(seed): \(ids)")
            }
        }
    }

    @Test("A token that continues a prompt keeps its space, one that begins a text does not")
    func leadingSpace() throws {
        let sentencePiece = try Tokenizer(
            try #require(Goldens.shared.get().sentencePiece["byte fallback"]).definition())
        let ids = try sentencePiece.encode("the boat", addSpecial: true, parseSpecial: false)
        var continuing = IncrementalDecoder(sentencePiece)
        #expect(ids.map { continuing.append($0) }.joined() == " the boat")
        var starting = IncrementalDecoder(sentencePiece, startsText: true)
        #expect(ids.map { starting.append($0) }.joined() == "the boat")
    }
}
