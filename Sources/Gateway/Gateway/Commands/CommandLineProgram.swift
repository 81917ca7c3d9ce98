import Configuration
import EngineProtocol
import Platform

/// The program `apus`: finds the verb, runs it, and turns its failure into words and an exit status.
public enum CommandLineProgram {
    /// - Parameter arguments: as the program got them, its own name first.
    /// - Returns: 0, 1 (failed), 2 (the words are wrong), or 130 after Ctrl-C.
    public static func run(_ arguments: [String]) -> Int32 {
        // A blocked signal is inherited, and nobody wants a program that Ctrl-C cannot end.
        Signals.unblock([1, 2, 15])
        let console = Console()
        let words = Array(arguments.dropFirst())
        switch words.first {
        case nil:
            console.message(overview)
            return 2
        case "--help", "-h", "help":
            console.result(overview)
            return 0
        case "--version", "version":
            console.result("apus \(BuildIdentity.version)")
            return 0
        case let name?:
            guard let (verb, rest) = find(words) else {
                console.message("apus: unknown verb '\(name)'\n\n\(overview)")
                return 2
            }
            return run(verb, rest, console)
        }
    }

    /// A verb may have two words, such as `config check`.
    private static func find(_ words: [String]) -> (Verb, [String])? {
        for verb in Verb.all {
            let own = verb.syntax.name.split(separator: " ").map(String.init)
            if words.starts(with: own) { return (verb, Array(words.dropFirst(own.count))) }
            if own.count > 1, own[0] == words[0], words.contains("--help") { return (verb, ["--help"]) }
        }
        return nil
    }

    private static func run(_ verb: Verb, _ words: [String], _ console: Console) -> Int32 {
        let arguments: ParsedArguments
        do {
            arguments = try ParsedArguments(words, syntax: verb.syntax)
        } catch {
            console.message("apus \(verb.syntax.name): \(error)\n\(verb.syntax.usage(program: "apus"))")
            return 2
        }
        if arguments.wantsHelp {
            console.write(verb.syntax.help(program: "apus"))
            return 0
        }
        do throws(CommandFailure) {
            try verb.run(arguments, console)
            return 0
        } catch {
            if error != .interrupted { console.message("apus \(verb.syntax.name): \(error.text)") }
            return error.status
        }
    }

    private static var overview: String {
        let width = Verb.all.map(\.syntax.name.count).max() ?? 0
        let lines = Verb.all.map { verb in
            let name = verb.syntax.name
            return "  \(name)\(String(repeating: " ", count: width - name.count))  \(verb.syntax.summary)"
        }
        return "Usage: apus VERB [arguments]\n\n\(lines.joined(separator: "\n"))\n\napus VERB --help says more."
    }
}
