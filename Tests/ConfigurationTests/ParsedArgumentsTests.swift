import Configuration
import Testing

@Suite("The command line")
struct ParsedArgumentsTests {
    private static let run = CommandSyntax(
        "run", summary: "One answer on standard output.",
        positionals: [
            PositionalSyntax("MODEL", help: "A model."), PositionalSyntax("PROMPT", .optional, help: "A text."),
        ],
        options: [
            OptionSyntax("--raw", help: "Without a chat template."),
            OptionSyntax("--max-tokens", value: "N", help: "Length of the answer."),
            OptionSyntax("--temperature", value: "T", help: "0 is greedy."),
            OptionSyntax("--batch", value: "LIST", help: "Sizes."),
        ])

    private func parse(_ words: String...) throws(UsageError) -> ParsedArguments {
        try ParsedArguments(words, syntax: Self.run)
    }

    @Test("flags and words may mix, with a space or an equals sign")
    func mixed() throws {
        let parsed = try parse("--max-tokens", "5", "m", "--raw", "hello world", "--temperature=0.5")
        #expect(parsed.positionals == ["m", "hello world"])
        #expect(parsed.has("--raw"))
        #expect(try parsed.integer("--max-tokens", in: 1...10) == 5)
        #expect(try parsed.number("--temperature", in: 0...2) == 0.5)
        #expect(parsed.value("--batch") == nil)
    }

    @Test("-- ends the flags; a dash alone, an empty word and a negative value are words")
    func dashes() throws {
        #expect(try parse("m", "--", "--raw").positionals == ["m", "--raw"])
        #expect(try !parse("m", "--", "--raw").has("--raw"))
        #expect(try parse("-", "").positionals == ["-", ""])
        #expect(try parse("m", "--temperature", "-1").value("--temperature") == "-1")
        #expect(try parse("m", "--temperature=").value("--temperature") == "")
        #expect(try !parse("m", "--", "--help").wantsHelp)
    }

    @Test("help wins over everything that is wrong")
    func help() throws {
        #expect(try parse("--bogus", "--help").wantsHelp)
        let text = Self.run.help(program: "apus")
        #expect(text.hasPrefix("Usage: apus run MODEL [PROMPT] [options]\n"))
        for word in ["--max-tokens N", "Length of the answer.", "--help"] { #expect(text.contains(word)) }
    }

    @Test(
        "what is wrong is said",
        arguments: [
            ([], "MODEL is missing"), (["a", "b", "c"], "'c' is one argument too many"),
            (["a", "--rwa"], "unknown flag --rwa; did you mean --raw?"),
            (["a", "-text"], "text that begins with a dash goes after --"),
            (["a", "--raw=1"], "--raw takes no value"),
            (["a", "--max-tokens"], "--max-tokens needs a value: --max-tokens N"),
            (["a", "--max-tokens", "--raw"], "--max-tokens needs a value"),
        ])
    func errors(words: [String], message: String) throws {
        let error = try #require(throws: UsageError.self) { try ParsedArguments(words, syntax: Self.run) }
        #expect(error.description.contains(message), "\(error.description)")
    }

    @Test(
        "values that do not fit are named",
        arguments: [("--max-tokens", "11"), ("--max-tokens", "x"), ("--temperature", "nan"), ("--batch", "1,,2")])
    func values(flag: String, text: String) throws {
        let parsed = try parse("m", "\(flag)=\(text)")
        let error = try #require(throws: UsageError.self) {
            _ = try parsed.integer("--max-tokens", in: 1...10)
            _ = try parsed.number("--temperature", in: 0...2)
            _ = try parsed.integers("--batch", in: 1...64)
        }
        #expect(error.description.contains(flag) && error.description.contains("'\(text)'"))
    }
}
