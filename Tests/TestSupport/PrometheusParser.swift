/// A strict reader of the Prometheus text format 0.0.4, independent of the writer under test.
public struct PrometheusParser {
    public struct Sample: Equatable {
        public let name: String
        public let labels: [String: String]
        public let value: Double
    }

    public struct Failure: Error, CustomStringConvertible {
        public let line: Int
        public let description: String
    }

    public private(set) var samples: [Sample] = []
    public private(set) var types: [String: String] = [:]
    public private(set) var helps: [String: String] = [:]
    private var sampled: Set<String> = []
    private var characters: ArraySlice<Character> = []
    private var line = 0

    public init(_ text: String) throws {
        guard text.isEmpty || text.hasSuffix("\n") else { throw failure("no line end at the end") }
        for part in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
            line += 1
            characters = ArraySlice(part)
            skipBlanks()
            if characters.isEmpty { continue }
            if characters.first == "#" { try comment() } else { try sample() }
        }
    }

    private func failure(_ text: String) -> Failure { Failure(line: line, description: text) }

    private mutating func skipBlanks() {
        while characters.first == " " || characters.first == "\t" { characters.removeFirst() }
    }

    private mutating func word() -> String {
        let part = characters.prefix { $0 != " " && $0 != "\t" }
        characters = characters.dropFirst(part.count)
        return String(part)
    }

    private mutating func comment() throws {
        characters.removeFirst()
        skipBlanks()
        let kind = word()
        guard kind == "HELP" || kind == "TYPE" else { return }
        skipBlanks()
        if characters.isEmpty { return }
        let name = try name(colonAllowed: true)
        guard characters.isEmpty || characters.first == " " || characters.first == "\t" else {
            throw failure("junk after the name of a comment")
        }
        skipBlanks()
        let rest = String(characters)
        if kind == "HELP" {
            if rest.isEmpty { return }
            guard let help = Self.unescape(rest, quotes: false) else { throw failure("bad escape") }
            guard helps.updateValue(help, forKey: name) == nil else { throw failure("a second HELP") }
            return
        }
        guard ["counter", "gauge", "histogram", "summary", "untyped"].contains(rest) else {
            throw failure("unknown type")
        }
        guard !sampled.contains(name) else { throw failure("TYPE after samples") }
        guard types.updateValue(rest, forKey: name) == nil else { throw failure("a second TYPE") }
    }

    private mutating func name(colonAllowed: Bool) throws -> String {
        let part = characters.prefix { character in
            guard let byte = character.asciiValue else { return false }
            return character.isLetter || (0x30...0x39).contains(byte) || byte == 0x5F || (byte == 0x3A && colonAllowed)
        }
        guard let first = part.first, !first.isNumber else { throw failure("no name") }
        characters = characters.dropFirst(part.count)
        return String(part)
    }

    private mutating func sample() throws {
        let name = try name(colonAllowed: true)
        skipBlanks()
        let labels = characters.first == "{" ? try self.labels() : [:]
        skipBlanks()
        let value = try number(word())
        skipBlanks()
        if !characters.isEmpty {
            guard Int64(word()) != nil else { throw failure("bad timestamp") }
            skipBlanks()
            guard characters.isEmpty else { throw failure("junk after the timestamp") }
        }
        let sample = Sample(name: name, labels: labels, value: value)
        guard !samples.contains(where: { $0.name == name && $0.labels == labels }) else {
            throw failure("a series twice")
        }
        samples.append(sample)
        try noteFamily(of: sample)
    }

    private mutating func noteFamily(of sample: Sample) throws {
        for suffix in ["_bucket", "_sum", "_count"] where sample.name.hasSuffix(suffix) {
            let family = String(sample.name.dropLast(suffix.count))
            guard let type = types[family], type == "histogram" || type == "summary" else { continue }
            if suffix == "_bucket" { _ = try number(sample.labels["le"] ?? "no le") }
            sampled.insert(family)
        }
        if types[sample.name] == "summary" { _ = try number(sample.labels["quantile"] ?? "no quantile") }
        sampled.insert(sample.name)
    }

    private func number(_ text: String) throws -> Double {
        let known = ["+inf": Double.infinity, "-inf": -.infinity, "inf": .infinity, "nan": .nan]
        if let value = known[text.lowercased()] { return value }
        guard let first = text.first, first.isNumber || "+-.".contains(first), let value = Double(text) else {
            throw failure("'\(text)' is no value")
        }
        return value
    }

    private mutating func labels() throws -> [String: String] {
        characters.removeFirst()
        var found: [String: String] = [:]
        skipBlanks()
        while characters.first != "}" {
            let name = try name(colonAllowed: false)
            guard name != "__name__" else { throw failure("a reserved label") }
            skipBlanks()
            guard characters.popFirst() == "=" else { throw failure("no = after a label's name") }
            skipBlanks()
            guard characters.popFirst() == "\"" else { throw failure("a label's value without quotes") }
            guard found.updateValue(try quoted(), forKey: name) == nil else { throw failure("a label twice") }
            skipBlanks()
            if characters.first == "," {
                characters.removeFirst()
                skipBlanks()
            } else if characters.first != "}" {
                throw failure("no , or } after a label")
            }
        }
        characters.removeFirst()
        return found
    }

    private mutating func quoted() throws -> String {
        var raw = ""
        while let character = characters.popFirst() {
            if character == "\"" {
                guard let text = Self.unescape(raw, quotes: true) else { throw failure("bad escape") }
                return text
            }
            raw.append(character)
            if character == "\\", let next = characters.popFirst() { raw.append(next) }
        }
        throw failure("a label's value without an end")
    }

    private static func unescape(_ raw: String, quotes: Bool) -> String? {
        var (text, rest) = ("", Array(raw)[...])
        while let character = rest.popFirst() {
            guard character == "\\" else {
                text.append(character)
                continue
            }
            switch rest.popFirst() {
            case "\\": text.append("\\")
            case "n": text.append("\n")
            case "\"" where quotes: text.append("\"")
            default: return nil
            }
        }
        return text
    }
}
