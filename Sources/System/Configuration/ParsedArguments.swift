/// The command line does not have the form that its verb asks for: exit status 2.
public struct UsageError: Error, Sendable, Equatable, CustomStringConvertible {
    public let description: String

    public init(_ description: String) { self.description = description }
}

/// The words of a command line, sorted into flags and the rest.
///
/// `--flag value` and `--flag=value` mean the same, `--` ends the flags, and of a repeated flag the last one stands.
public struct ParsedArguments: Sendable, Equatable {
    public private(set) var positionals: [String] = []
    /// `--help` was there: nothing else was checked.
    public private(set) var wantsHelp = false
    private var values: [String: String] = [:]
    private var switches: Set<String> = []

    public init() {}

    /// - Parameter words: what follows the verb.
    public init(_ words: [String], syntax: CommandSyntax) throws(UsageError) {
        let own = words.prefix { $0 != "--" }
        if own.contains("--help") || own.contains("-h") {
            wantsHelp = true
            return
        }
        var rest = words[...]
        while let word = rest.popFirst() {
            if word == "--" {
                positionals += rest
                break
            }
            if word.hasPrefix("-"), word != "-" {
                try read(flag: word, &rest, syntax)
            } else {
                positionals.append(word)
            }
        }
        try checkCount(syntax)
    }

    public func has(_ flag: String) -> Bool { switches.contains(flag) }

    public func value(_ flag: String) -> String? { values[flag] }

    public func integer(_ flag: String, in range: ClosedRange<Int>) throws(UsageError) -> Int? {
        guard let text = values[flag] else { return nil }
        guard let value = Int(text), range.contains(value) else {
            throw UsageError("\(flag) is an integer from \(range.lowerBound) to \(range.upperBound), not '\(text)'")
        }
        return value
    }

    public func unsigned(_ flag: String) throws(UsageError) -> UInt64? {
        guard let text = values[flag] else { return nil }
        guard let value = UInt64(text) else {
            throw UsageError("\(flag) is an integer from 0 to \(UInt64.max), not '\(text)'")
        }
        return value
    }

    public func number(_ flag: String, in range: ClosedRange<Double>) throws(UsageError) -> Double? {
        guard let text = values[flag] else { return nil }
        guard let value = Double(text), range.contains(value) else {
            throw UsageError("\(flag) is a number from \(range.lowerBound) to \(range.upperBound), not '\(text)'")
        }
        return value
    }

    /// One of some words.
    public func word(_ flag: String, of words: [String]) throws(UsageError) -> String? {
        guard let text = values[flag] else { return nil }
        guard words.contains(text) else {
            throw UsageError("\(flag) is one of \(words.joined(separator: ", ")), not '\(text)'")
        }
        return text
    }

    /// Integers separated by commas.
    public func integers(_ flag: String, in range: ClosedRange<Int>) throws(UsageError) -> [Int]? {
        guard let text = values[flag] else { return nil }
        var found: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let value = Int(part), range.contains(value) else {
                let bounds = "from \(range.lowerBound) to \(range.upperBound)"
                throw UsageError("\(flag) is a list of integers \(bounds), separated by commas, not '\(text)'")
            }
            found.append(value)
        }
        return found
    }

    private mutating func read(
        flag word: String, _ rest: inout ArraySlice<String>, _ syntax: CommandSyntax
    ) throws(UsageError) {
        let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let flag = parts[0]
        guard let option = syntax.options.first(where: { $0.flag == flag }) else { throw Self.unknown(flag, syntax) }
        guard let placeholder = option.value else {
            guard parts.count == 1 else { throw UsageError("\(flag) takes no value") }
            switches.insert(flag)
            return
        }
        if parts.count == 2 {
            values[flag] = parts[1]
        } else if let next = rest.first, !next.hasPrefix("--") {
            values[flag] = next
            rest.removeFirst()
        } else {
            throw UsageError("\(flag) needs a value: \(flag) \(placeholder)")
        }
    }

    private static func unknown(_ flag: String, _ syntax: CommandSyntax) -> UsageError {
        let known = syntax.options.map(\.flag) + ["--help"]
        let hint = Suggestion.nearest(to: flag, among: known).map { "did you mean \($0)?" }
        return UsageError("unknown flag \(flag); \(hint ?? "text that begins with a dash goes after --")")
    }

    private func checkCount(_ syntax: CommandSyntax) throws(UsageError) {
        let required = syntax.positionals.filter { $0.count == .one }
        if positionals.count < required.count {
            throw UsageError("\(required[positionals.count].name) is missing")
        }
        if syntax.positionals.contains(where: { $0.count == .many }) { return }
        if positionals.count > syntax.positionals.count {
            throw UsageError("'\(positionals[syntax.positionals.count])' is one argument too many")
        }
    }
}
