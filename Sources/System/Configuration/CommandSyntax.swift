/// The words of one verb: what may follow it on the command line, and its help text.
public struct CommandSyntax: Sendable {
    /// As it is typed, such as `config check`.
    public let name: String
    public let summary: String
    public let positionals: [PositionalSyntax]
    public let options: [OptionSyntax]
    /// Paragraphs under the options.
    public let notes: String

    public init(
        _ name: String, summary: String, positionals: [PositionalSyntax] = [], options: [OptionSyntax] = [],
        notes: String = ""
    ) {
        self.name = name
        self.summary = summary
        self.positionals = positionals
        self.options = options
        self.notes = notes
    }

    /// One line: `apus run MODEL PROMPT [options]`.
    public func usage(program: String) -> String {
        let words = [program, name] + positionals.map(\.usage) + (options.isEmpty ? [] : ["[options]"])
        return "Usage: " + words.joined(separator: " ")
    }

    public func help(program: String) -> String {
        var text = usage(program: program) + "\n\n" + summary + "\n"
        text += Self.section("Arguments", positionals.map { ($0.name, $0.help) })
        let help = OptionSyntax("--help", help: "Shows this text.")
        text += Self.section("Options", (options + [help]).map { ($0.usage, $0.help) })
        return notes.isEmpty ? text : text + "\n" + notes + "\n"
    }

    private static func section(_ title: String, _ rows: [(name: String, help: String)]) -> String {
        guard !rows.isEmpty else { return "" }
        let width = min(28, rows.map { $0.name.utf8.count }.max() ?? 0)
        let lines = rows.map { row in
            "  " + row.name + String(repeating: " ", count: max(0, width - row.name.utf8.count)) + "  " + row.help
        }
        return "\n\(title):\n" + lines.joined(separator: "\n") + "\n"
    }
}

/// A word without a flag.
public struct PositionalSyntax: Sendable {
    public enum Count: Sendable {
        case one, optional, many
    }

    public let name: String
    public let count: Count
    public let help: String

    public init(_ name: String, _ count: Count = .one, help: String) {
        self.name = name
        self.count = count
        self.help = help
    }

    var usage: String {
        switch count {
        case .one: name
        case .optional: "[\(name)]"
        case .many: "[\(name) …]"
        }
    }
}

/// A flag, with or without a value.
public struct OptionSyntax: Sendable {
    /// With its two dashes.
    public let flag: String
    /// What stands for the value in the help text; nil for a switch.
    public let value: String?
    public let help: String

    public init(_ flag: String, value: String? = nil, help: String) {
        self.flag = flag
        self.value = value
        self.help = help
    }

    var usage: String { value.map { "\(flag) \($0)" } ?? flag }
}
