import TestSupport
import Testing
import WorkerHost

/// Text from the bytes of tokens: characters and stop strings that lie across their borders.
@Suite struct TextAssemblerTests {
    struct Outcome: Equatable {
        var parts: [String] = []
        var stopped = false
    }

    /// Feeds tokens until a stop string is complete, as the engine does.
    static func assemble(_ tokens: [[UInt8]], stops: [String]) -> Outcome {
        var assembler = TextAssembler(stopStrings: stops)
        var outcome = Outcome()
        for token in tokens {
            var text = ""
            outcome.stopped = assembler.append(token, to: &text)
            outcome.parts.append(text)
            if outcome.stopped { return outcome }
        }
        var rest = ""
        assembler.flush(to: &rest)
        outcome.parts.append(rest)
        return outcome
    }

    static func utf8(_ texts: String...) -> [[UInt8]] { texts.map { Array($0.utf8) } }

    @Test func `text passes at once when nothing holds it back`() {
        let outcome = Self.assemble(Self.utf8("Hel", "lo", "!"), stops: [])
        #expect(outcome == Outcome(parts: ["Hel", "lo", "!", ""]))
    }

    @Test func `what was taken and is not given out is counted`() {
        var assembler = TextAssembler(stopStrings: ["END"])
        var text = ""
        var withheld: [Int] = []
        for token in Self.utf8("abE", "N", "x", "yE", "NDrest") {
            _ = assembler.append(token, to: &text)
            withheld.append(assembler.withheldBytes)
        }
        #expect(text == "abENxy")
        #expect(withheld == [1, 2, 0, 1, 7])
        var character = TextAssembler(stopStrings: [])
        _ = character.append([0x41, 0xF0, 0x9F], to: &text)
        #expect(character.withheldBytes == 2)
        character.flush(to: &text)
        #expect(character.withheldBytes == 0)
    }

    @Test func `a character waits for its last byte`() {
        let bytes = Array("😀é".utf8).map { [$0] }
        #expect(Self.assemble(bytes, stops: []).parts == ["", "", "", "😀", "", "é", ""])
    }

    @Test func `bytes that can become no character are replaced at once`() {
        #expect(
            Self.assemble([[0xFF], [0xC0], [0x80], [0x41]], stops: []).parts == [
                "\u{FFFD}", "\u{FFFD}", "\u{FFFD}", "A", "",
            ])
        #expect(Self.assemble([[0xE2, 0x82], [0x41]], stops: []).parts == ["", "\u{FFFD}A", ""])
    }

    @Test func `an incomplete character is replaced at the end`() {
        #expect(Self.assemble([[0x41, 0xF0, 0x9F]], stops: []).parts == ["A", "\u{FFFD}"])
    }

    @Test(arguments: [
        (["abEN", "D of it"], "ab"), (["abE", "N", "D"], "ab"), (["abEND more"], "ab"), (["END"], ""),
        (["abEN", "EN", "DEND"], "abEN"),
    ])
    func `a stop string ends the text wherever the tokens are cut`(tokens: [String], text: String) {
        let outcome = Self.assemble(tokens.map { Array($0.utf8) }, stops: ["END"])
        #expect(outcome.stopped)
        #expect(outcome.parts.joined() == text)
    }

    @Test func `the beginning of a stop string is held back and then given out`() {
        let outcome = Self.assemble(Self.utf8("a\n", "\n", "b", "\n"), stops: ["\n\n\n"])
        #expect(outcome == Outcome(parts: ["a", "", "\n\nb", "", "\n"]))
    }

    @Test func `the first complete stop string wins, and then the longest`() {
        #expect(Self.assemble(Self.utf8("xabcd"), stops: ["abcd", "bc"]).parts == ["xa"])
        #expect(Self.assemble(Self.utf8("xabc"), stops: ["bc", "abc"]).parts == ["x"])
    }

    @Test func `a stop string of several characters with many bytes is found`() {
        let bytes = Array("один 停止 два".utf8).map { [$0] }
        #expect(Self.assemble(bytes, stops: ["停止"]).parts.joined() == "один ")
    }

    @Test(arguments: 0..<40)
    func `random texts, cuts and stop strings give the text before the first stop`(_ run: Int) {
        let seed = UInt64(run) << 32 | UInt64.random(in: 0...0xFFFF_FFFF)
        var random = SeededRandom(seed: seed)
        for _ in 0..<50 {
            let bytes = Self.randomBytes(&random)
            let stops = (0..<Int.random(in: 0...4, using: &random)).map { _ in Self.randomStop(&random) }
            let expected = Self.reference(bytes, stops: stops)
            for _ in 0..<4 {
                let outcome = Self.assemble(Self.cut(bytes, &random), stops: stops)
                let context = "seed \(seed): \(bytes) with \(stops)"
                #expect(Array(outcome.parts.joined().utf8) == Array(expected.text.utf8), "\(context)")
                #expect(outcome.stopped == expected.stopped, "\(context)")
            }
        }
    }

    /// The definition, without cleverness: the shortest prefix that ends in a stop string, without that string.
    static func reference(_ bytes: [UInt8], stops: [String]) -> (text: String, stopped: Bool) {
        let patterns = stops.map { Array($0.utf8) }.filter { !$0.isEmpty }
        for end in 0...bytes.count {
            let prefix = bytes[..<end]
            let longest = patterns.filter { prefix.count >= $0.count && prefix.suffix($0.count).elementsEqual($0) }
                .map(\.count).max()
            if let longest { return (String(decoding: prefix.dropLast(longest), as: UTF8.self), true) }
        }
        return (String(decoding: bytes, as: UTF8.self), false)
    }

    static let pieces = ["a", "b", "ab", "é", "😀", "\u{E0}", "\n", "e\u{301}", "中"]

    static func randomBytes(_ random: inout SeededRandom) -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 0...24, using: &random) {
            if Int.random(in: 0..<8, using: &random) == 0 {
                bytes.append(UInt8.random(in: 0x80...0xFF, using: &random))
            } else {
                bytes += Array((pieces.randomElement(using: &random) ?? "").utf8)
            }
        }
        return bytes
    }

    static func randomStop(_ random: inout SeededRandom) -> String {
        (0..<Int.random(in: 0...3, using: &random)).map { _ in pieces.randomElement(using: &random) ?? "" }.joined()
    }

    static func cut(_ bytes: [UInt8], _ random: inout SeededRandom) -> [[UInt8]] {
        var tokens: [[UInt8]] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let length = min(rest.count, Int.random(in: 0...5, using: &random))
            tokens.append(Array(rest.prefix(length)))
            rest = rest.dropFirst(length)
        }
        return tokens
    }
}
