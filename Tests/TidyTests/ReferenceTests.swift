import Foundation
import TestSupport
import Testing

/// The pages in `docs/reference` and `docs/operations` name everything that the code has.
///
/// They are written by hand, so this is what tells that one of them is out of date.
@Suite struct ReferenceTests {
    private static func page(_ path: String) throws -> String {
        try String(contentsOf: Fixtures.packageRoot.appendingPathComponent(path), encoding: .utf8)
    }

    /// A list in the code, and the page that must have every member of it in code style.
    struct List: Sendable, CustomTestStringConvertible {
        let what: String
        /// Finds one member, as its first group.
        let pattern: String
        let folder: String
        let page: String
        /// Below this, the pattern finds something else than it was written for.
        let fewest: Int

        var testDescription: String { what }

        func members() throws -> Set<String> {
            let regex = try Regex<(Substring, Substring)>(pattern)
            let text = try SourceTree.files(below: [folder], endings: ["swift"])
                .map { $0.lines.joined(separator: "\n") }.joined(separator: "\n")
            return Set(text.matches(of: regex).map { String($0.output.1) })
        }
    }

    static let lists = [
        List(
            what: "metrics", pattern: #""(apus_[a-z_]+)""#, folder: "Sources/Gateway",
            page: "docs/reference/metrics.md", fewest: 20),
        List(
            what: "error codes", pattern: #"(?:code: |busy\(|unavailable\(\s*)"([a-z_]+)""#,
            folder: "Sources/Gateway/OpenAIAPI", page: "docs/reference/http.md", fewest: 20),
        List(
            what: "refusals of the HTTP layer", pattern: #"case \w+ = "([a-z_]+)""#,
            folder: "Sources/Gateway/HTTPServer", page: "docs/reference/http.md", fewest: 15),
        List(
            what: "request fields",
            pattern: #"fields\.(?:value|string|bool|number|integer|accept)\(\s*"([a-z_]+)""#,
            folder: "Sources/Gateway/OpenAIAPI", page: "docs/reference/http.md", fewest: 30),
        List(
            what: "routes", pattern: #""(/(?:v1/[a-z/]+[a-z]|[a-z]+))""#, folder: "Sources/Gateway/OpenAIAPI",
            page: "docs/reference/http.md", fewest: 8),
        List(
            what: "log events",
            pattern: #"logger\.(?:trace|debug|info|warning|error)\(\s*"([a-z_.]+)""#, folder: "Sources",
            page: "docs/operations/monitor.md", fewest: 15),
        List(
            what: "limits types", pattern: #"(?:struct|enum|class) (\w+Limits)\b"#, folder: "Sources",
            page: "docs/reference/limits.md", fewest: 15),
    ]

    @Test(arguments: lists)
    func everyMemberIsOnItsPage(list: List) throws {
        let members = try list.members()
        #expect(members.count >= list.fewest)
        let page = try Self.page(list.page)
        for member in members.sorted() where !page.contains("`\(member)`") {
            Issue.record("\(list.page) lacks `\(member)`")
        }
    }

    @Test func thePageOfMetricsNamesNoOther() throws {
        let known = try #require(Self.lists.first { $0.what == "metrics" }).members()
        let page = try Self.page("docs/reference/metrics.md")
        for match in page.matches(of: #/`(apus_[a-z_]+)`/#) {
            #expect(known.contains(String(match.1)), "\(match.1) is no metric")
        }
    }

    /// Pages of proof name tests; each of them has to exist.
    @Test(arguments: ["docs/reference/ipc-proof.md"])
    func everyTestThatAPageNamesExists(page: String) throws {
        let tests = try SourceTree.files(below: ["Tests"], endings: ["swift"]).flatMap(\.lines).joined(separator: "\n")
        let names = try Self.page(page).matches(of: #/`([^`]+)`/#).map { String($0.1) }
        let isNoTest = #/^(make |apus_|Tests\/|code$|SharedMemory$|EngineLink$)/#
        let named = names.filter { $0.firstMatch(of: isNoTest) == nil }
        #expect(named.count > 40)
        for name in named where !tests.contains("\"\(name)\"") && !tests.contains("func \(name)(") {
            Issue.record("\(page): there is no test `\(name)`")
        }
    }

    // MARK: Limits

    @Test func everyLimitIsOnThePageWithItsValue() throws {
        let sections = try Self.page("docs/reference/limits.md").components(separatedBy: "\n## ")
        var checked = 0
        for file in try SourceTree.files(below: ["Sources"], endings: ["swift"]) {
            for type in LimitsType.all(in: file) {
                let section = sections.first { $0.prefix { $0 != "\n" }.contains("`\(type.name)`") }
                guard let section else {
                    Issue.record("docs/reference/limits.md has no section with `\(type.name)` in its title")
                    continue
                }
                for member in type.members {
                    let row = section.split(separator: "\n").first { $0.hasPrefix("| `\(member.name)` |") }
                    let problem = row.map { member.problem(row: $0) } ?? "no row"
                    #expect(problem == nil, "\(type.name).\(member.name): \(problem ?? "")")
                    checked += 1
                }
            }
        }
        #expect(checked > 100, "only \(checked) limits were found")
    }

    @Test func aLimitWithAnotherValueIsNoticed() throws {
        let file = SourceFile(
            path: "Sources/System/JSON/X.swift",
            lines: [
                "public struct XLimits {", "    public var bytes = 32 << 20", "    public let count: Int",
                "    public var half: Int { count / 2 }", "    public init(count: Int = 1_000) {}", "}",
                "public let other = 1",
            ])
        let type = try #require(LimitsType.all(in: file).first)
        #expect(type.members.map(\.name) == ["bytes", "count"])
        #expect(type.members[0].problem(row: "| `bytes` | 32 MiB |") == nil)
        #expect(type.members[0].problem(row: "| `bytes` | 132 MiB |") != nil)
        #expect(type.members[1].problem(row: "| `count` | 1,000 |") == nil)
        #expect(type.members[1].problem(row: "| `count` | 10,000 |") != nil)
    }
}

/// A type whose name ends with `Limits`, as its source shows it.
private struct LimitsType {
    struct Member {
        let name: String
        /// As it stands in the source, such as `32 << 20` or `1...1024`; nil without a number.
        let value: String?

        /// What is wrong with the member's row of the page.
        func problem(row: Substring) -> String? {
            let cells = row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count > 1 else { return "no value" }
            guard let forms = LimitsType.forms(of: value ?? "", name: name) else { return nil }
            let matches = forms.contains { form in
                cells[1] == form || cells[1].hasPrefix(form + " ") || cells[1].hasPrefix(form + ";")
                    || cells[1].hasPrefix(form + ",")
            }
            return matches ? nil : "the page says '\(cells[1])', the code \(value ?? "")"
        }
    }

    let name: String
    var members: [Member] = []

    static func all(in file: SourceFile) -> [LimitsType] {
        var found: [LimitsType] = []
        var isInside = false
        for (number, line) in file.lines.enumerated() {
            if let start = line.firstMatch(of: #/^(?:public )?(?:struct|enum) (\w+Limits)\b/#) {
                found.append(LimitsType(name: String(start.1)))
                isInside = true
            } else if line == "}" {
                isInside = false
            } else if isInside, !line.contains("{"),
                let member = line.firstMatch(
                    of: #/^    public (?:static )?(?:let|var) (\w+)(?:: [\w?]+)?(?: = (.*))?$/#)
            {
                let value = member.2.map(String.init) ?? defaultInInitializer(String(member.1), file.lines[number...])
                found[found.count - 1].members.append(Member(name: String(member.1), value: value))
            }
        }
        return found
    }

    private static func defaultInInitializer(_ name: String, _ lines: ArraySlice<String>) -> String? {
        guard let pattern = try? Regex<(Substring, Substring)>("\\b\(name): Int = ([0-9_ <]+)") else { return nil }
        let rest = lines.prefix { $0 != "}" }.joined(separator: "\n")
        return rest.firstMatch(of: pattern).map { String($0.output.1).trimmingCharacters(in: .whitespaces) }
    }

    /// The ways in which a page may write a value; nil if it is no number.
    static func forms(of value: String, name: String) -> [String]? {
        if let range = value.firstMatch(of: #/^([0-9_]+)\.\.\.([0-9_]+)$/#) {
            guard let low = integer(String(range.1)), let high = integer(String(range.2)) else { return nil }
            return ["\(grouped(low)) to \(grouped(high))"]
        }
        if let seconds = Double(value), value.contains(".") { return ["\(grouped(Int(seconds)))"] }
        guard let number = integer(value) else { return nil }
        var forms = [grouped(number)]
        for (shift, unit) in [(10, "KiB"), (20, "MiB"), (30, "GiB")] where number % (1 << shift) == 0 {
            forms.append("\(number >> shift) \(unit)")
        }
        if name.hasSuffix("Nanoseconds") {
            forms = number % 1_000_000_000 == 0 ? ["\(number / 1_000_000_000) s"] : ["\(number / 1_000_000) ms"]
        }
        return forms
    }

    private static func integer(_ text: String) -> Int? {
        let parts = text.replacingOccurrences(of: "_", with: "").components(separatedBy: " << ")
        guard let base = Int(parts[0]), parts.count <= 2 else { return nil }
        guard parts.count == 2 else { return base }
        return Int(parts[1]).map { base << $0 }
    }

    private static func grouped(_ number: Int) -> String {
        var digits = Array(String(number))
        for place in stride(from: digits.count - 3, to: 0, by: -3) { digits.insert(",", at: place) }
        return String(digits)
    }
}
