import Foundation
import TestSupport
import Testing

/// Habits of the code that a reader relies on, checked on every file.
@Suite struct TidyTests {
    private struct Banned {
        let pattern: String
        let reason: String
    }

    private static let banned = [
        Banned(pattern: #"\bprint\("#, reason: "results go through StandardIO, events through Logger"),
        Banned(pattern: #"\btry!"#, reason: "handle the error"),
        Banned(pattern: #"\bas!"#, reason: "use as? and handle nil"),
        Banned(pattern: #"\bTask\b\s*[.{]"#, reason: "compute and I/O run on owned threads"),
        Banned(pattern: #"\bfatalError\(\)"#, reason: "say what went wrong"),
        Banned(pattern: #"\b(TODO|FIXME|XXX|HACK)\b"#, reason: "finish it, or leave it out"),
        Banned(pattern: #"^\s*(public )?import Foundation"#, reason: "runtime rooms start without it"),
    ]

    @Test func noFileUsesABannedCall() throws {
        let rules = try Self.banned.map { ($0, try Regex($0.pattern)) }
        for file in try SourceTree.files(below: ["Sources"], endings: ["swift", "c", "h"]) {
            for (number, line) in file.lines.enumerated() {
                for (rule, regex) in rules where line.contains(regex) {
                    Issue.record("\(file.path):\(number + 1): \(rule.reason)")
                }
            }
        }
    }

    @Test func noFileHoldsControlCharactersOrLongLines() throws {
        let folders = ["Sources", "Tests", "Benchmarks"]
        for file in try SourceTree.files(below: folders, endings: ["swift", "c", "h"]) {
            for (number, line) in file.lines.enumerated() {
                if line.unicodeScalars.contains(where: { $0.value < 32 || $0.value == 127 }) {
                    Issue.record("\(file.path):\(number + 1): a control character")
                }
                if line.count > 160 { Issue.record("\(file.path):\(number + 1): \(line.count) columns") }
            }
        }
    }

    @Test func everyPageHasOneTitleAndItsLinksLeadSomewhere() throws {
        let root = Fixtures.packageRoot
        var pages = try SourceTree.files(below: ["docs"], endings: ["md"])
        for name in ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
            let text = try String(contentsOf: root.appendingPathComponent(name), encoding: .utf8)
            pages.append(SourceFile(path: name, lines: text.components(separatedBy: "\n")))
        }
        let link = #/\]\(([^)#\s]+)(#[^)]*)?\)/#
        for page in pages {
            var inCode = false
            var titles = 0
            for line in page.lines {
                if line.hasPrefix("```") { inCode.toggle() }
                guard !inCode else { continue }
                if line.hasPrefix("# ") { titles += 1 }
                for match in line.matches(of: link) where !match.1.contains("://") {
                    let folder = root.appendingPathComponent(page.path).deletingLastPathComponent()
                    let target = folder.appendingPathComponent(String(match.1)).standardized
                    if !FileManager.default.fileExists(atPath: target.path) {
                        Issue.record("\(page.path): \(match.1) is not there")
                    }
                }
            }
            #expect(titles == 1, "\(page.path) has \(titles) titles")
        }
    }
}
