import Configuration
import Foundation
import TestSupport
import Testing

@testable import Gateway

/// `docs/reference/command-line.md` is written from the table of verbs.
@Suite struct CommandLineReferenceTests {
    /// Written anew by running this test with APUS_TEST_WRITE_REFERENCE=1.
    @Test func thePageIsWhatTheTableOfVerbsSays() throws {
        let page = Fixtures.packageRoot.appendingPathComponent("docs/reference/command-line.md")
        if ProcessInfo.processInfo.environment["APUS_TEST_WRITE_REFERENCE"] != nil {
            try Self.markdown.write(to: page, atomically: true, encoding: .utf8)
        }
        #expect(try String(contentsOf: page, encoding: .utf8) == Self.markdown)
    }

    private static var markdown: String {
        introduction + Verb.all.map { section($0.syntax) }.joined() + "\n" + notes
    }

    private static let introduction = """
        # Command line

        <!-- This page is generated from the table of verbs; a test compares both. -->

        `apus VERB [arguments]`. Results go to standard output, everything else to standard error. `--flag value` and
        `--flag=value` mean the same, `--` ends the flags, the last of a repeated flag stands. `apus --help` lists the verbs,
        `apus VERB --help` explains one, `apus --version` prints the version.

        | Exit status | Meaning |
        |---|---|
        | 0 | done |
        | 1 | it was tried and failed; the reason is on standard error |
        | 2 | the words are wrong: an unknown verb or flag, a value that does not fit, an argument missing or too many |
        | 130 | Ctrl-C |

        MODEL is a GGUF file (of a split model, any of its parts), the name of a model in the configuration file that
        `APUS_CONFIG` names, or `demo` for the bundled model.

        """

    private static func section(_ syntax: CommandSyntax) -> String {
        let usage = String(syntax.usage(program: "apus").dropFirst("Usage: ".count))
        var text = "\n## apus \(syntax.name)\n\n\(syntax.summary)\n\n```\n\(usage)\n```\n"
        if !syntax.positionals.isEmpty {
            text += "\n| Argument | Meaning |\n|---|---|\n"
            for positional in syntax.positionals { text += "| `\(positional.name)` | \(positional.help) |\n" }
        }
        let settings = Set(ConfigurationLoader.settingsOptions.map(\.flag))
        let takesSettings = settings.isSubset(of: syntax.options.map(\.flag))
        let own = syntax.options.filter { !takesSettings || !settings.contains($0.flag) }
        if !own.isEmpty {
            text += "\n| Option | Meaning |\n|---|---|\n"
            for option in own {
                let value = option.value.map { " \($0)" } ?? ""
                text += "| `\(option.flag)\(value)` | \(option.help) |\n"
            }
        }
        if takesSettings {
            text += "\nTakes `\(ConfigurationLoader.fileFlag) FILE` and a flag for every setting: "
            text += "[configuration](configuration.md).\n"
        }
        return syntax.notes.isEmpty ? text : text + "\n\(syntax.notes)\n"
    }

    private static let notes = """
        ## Commands inside apus chat

        | Command | Does |
        |---|---|
        | `/help` | lists the commands |
        | `/reset` | forgets the conversation |
        | `/system TEXT` | sets the system prompt and forgets the conversation |
        | `/stats` | tokens and speed of the last answer |
        | `/exit`, `/quit`, Ctrl-D | leaves |
        | Ctrl-C | stops the answer |

        ## What the verbs print

        | Verb | Standard output |
        |---|---|
        | `run` | the answer as it comes; with `--json` one object with `text`, `finish_reason`, `seed`, `usage`, `timings` |
        | `tokenize` | ids separated by blanks, a line for each line; with `--decode` the text |
        | `score` | an object with `tokens`, `nll` (mean nats per token) and `perplexity` |
        | `bench` | a table; with `--json` an object for each batch |
        | `inspect` | a JSON document |
        | `template` | the text that the model would read |
        | `rpc` | text of runs as it comes, then each result, indented; with `--json` each message as a line |
        | `config check` | a line for each setting: key, value, where it comes from |
        | `doctor` | a line for each finding, which begins with `ok`, `warn` or `FAIL`; status 1 if one is `FAIL` |

        The program `apus-worker` lies beside `apus`, which starts it; it is not for people.

        """
}
