import Testing

@testable import Tokenizers

@Suite struct SpecialTokensTests {
    private func cut(
        _ text: String, _ tokens: [(String, isControl: Bool)], parseSpecial: Bool = true, takesSpace: Bool = false
    ) throws -> [String] {
        let entries = tokens.enumerated().map { index, token in
            (
                text: Array(token.0.utf8),
                entry: SpecialTokens.Entry(
                    id: Int32(index), isControl: token.isControl, takesFollowingSpace: takesSpace)
            )
        }
        let special = try SpecialTokens(entries, limits: TokenizerLimits())
        let bytes = Array(text.utf8)
        var parts: [String] = []
        try special.forEachFragment(of: bytes.span, parseSpecial: parseSpecial) { fragment in
            let part = String(decoding: bytes[fragment.range], as: UTF8.self)
            parts.append(fragment.token.map { "\($0):\(part)" } ?? part)
        }
        return parts
    }

    @Test("The leftmost match counts, then the longest")
    func leftmostLongest() throws {
        let tokens = [("<a", true), ("<ab>", true), ("b>c", true), ("<abc>", true)].map { ($0.0, isControl: $0.1) }
        #expect(try cut("x<ab>c<abd<abc>", tokens) == ["x", "1:<ab>", "c", "0:<a", "bd", "3:<abc>"])
        #expect(try cut("<", tokens) == ["<"])
        #expect(try cut("", tokens) == [])
        #expect(try cut("<ab><ab>", tokens) == ["1:<ab>", "1:<ab>"])
    }

    @Test("Without parseSpecial only user-defined tokens are found, also where a control token is longer")
    func controls() throws {
        let tokens = [("<a", isControl: false), ("<ab>", isControl: true)]
        #expect(try cut("<ab>", tokens, parseSpecial: false) == ["0:<a", "b>"])
        #expect(try cut("<ab>", tokens) == ["1:<ab>"])
    }

    @Test("Of tokens with the same text the first counts; an empty one is never found")
    func duplicates() throws {
        let tokens = [("", isControl: true), ("<a>", isControl: true), ("<a>", isControl: false)]
        #expect(try cut("x<a>", tokens) == ["x", "1:<a>"])
        #expect(try cut("x<a>", tokens, parseSpecial: false) == ["x", "2:<a>"])
    }

    @Test("White space after a token can belong to it")
    func followingSpace() throws {
        #expect(try cut("<a> \n\tb <a> ", [("<a>", isControl: true)], takesSpace: true) == ["0:<a>", "b ", "0:<a>"])
    }

    @Test("A special token of absurd length is refused")
    func tooLong() {
        #expect(throws: TokenizerError.limitExceeded(what: "the length of a special token", limit: 1024, value: 2000)) {
            _ = try cut("x", [(String(repeating: "x", count: 2000), isControl: true)])
        }
    }
}
