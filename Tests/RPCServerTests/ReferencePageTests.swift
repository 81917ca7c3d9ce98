import Foundation
import JSON
import TestSupport
import Testing

@testable import RPCServer

/// The methods and structs in `docs/reference/rkllm.md` are those of the tables.
@Suite("The reference page") struct ReferencePageTests {
    private static let begin = "generated from the table of methods; a test compares both. -->\n"
    private static let end = "<!-- The end of the generated part. -->"

    /// Written anew by running this test with APUS_TEST_WRITE_REFERENCE=1.
    @Test("the generated part is what the tables say")
    func fresh() throws {
        let page = Fixtures.packageRoot.appendingPathComponent("docs/reference/rkllm.md")
        let text = try String(contentsOf: page, encoding: .utf8)
        let first = try #require(text.range(of: Self.begin))
        let last = try #require(text.range(of: Self.end))
        let wanted = text[..<first.upperBound] + Self.markdown + text[last.lowerBound...]
        if ProcessInfo.processInfo.environment["APUS_TEST_WRITE_REFERENCE"] != nil {
            try String(wanted).write(to: page, atomically: true, encoding: .utf8)
        }
        #expect(try String(contentsOf: page, encoding: .utf8) == wanted)
    }

    @Test("every test that the page names is there")
    func testsExist() throws {
        let page = Fixtures.packageRoot.appendingPathComponent("docs/reference/rkllm.md")
        let folder = Fixtures.packageRoot.appendingPathComponent("Tests/RPCServerTests")
        let sources = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "swift" }
            .map { try String(contentsOf: $0, encoding: .utf8) }
        let text = try String(contentsOf: page, encoding: .utf8)
        var count = 0
        for match in text.matches(of: /`(\w+Tests)\.(\w+)`/) {
            let isThere = sources.contains { source in
                source.contains("struct \(match.1)") && source.contains("func \(match.2)(")
            }
            #expect(isThere, "\(match.0)")
            count += 1
        }
        #expect(count > 40)
    }

    private static var markdown: String {
        var text = "\n| Method | Answered | Parameters, by position | by name only | Result |\n|---|---|---|---|---|\n"
        for method in RPCMethod.all {
            let names = method.parameters.fields.map { "`\($0.name)`" }
            let positional = names.prefix(method.positionalCount).joined(separator: ", ")
            let isRun = method.kind == .streaming
            let named = isRun ? "the members of both" : names.dropFirst(method.positionalCount).joined(separator: ", ")
            text +=
                "| `\(method.name)` | \(answered(method.kind)) | \(positional) | \(named) | "
                + "\(method.summary) \(method.result) |\n"
        }
        var written: Set<String> = []
        for shape in RPCMethod.all.flatMap({ $0.parameters.fields.flatMap(\.shape.structs) })
        where written.insert(shape.name).inserted {
            text += "\n### \(shape.name)\n\n| Member | Allowed | Default | Meaning |\n|---|---|---|---|\n"
            for field in shape.fields {
                let names = field.names.map { "`\($0)`" }.joined(separator: " or ")
                let fallback = field.defaultValue?.serializedText ?? (field.isRequired ? "required" : "–")
                text += "| \(names) | \(allowed(field.shape)) | \(fallback) | \(field.help) |\n"
            }
        }
        return text + "\n"
    }

    private static func answered(_ kind: RPCMethod.Kind) -> String {
        switch kind {
        case .instant: "at once"
        case .waiting: "when the model answers"
        case .streaming: "as it goes on"
        }
    }

    private static func allowed(_ shape: Shape) -> String {
        switch shape {
        case .integer(let range): "an integer, \(range.lowerBound) to \(range.upperBound)"
        case .number(let range): "a number, \(range.lowerBound) to \(range.upperBound)"
        case .flag: "true, false, 1, 0"
        case .text(let bytes): "a string of at most \(bytes) bytes"
        case .choice(let choices): choices.map { "`\($0.name)` (\($0.number))" }.joined(separator: ", ")
        case .object(let shape): "[\(shape.name)](#\(shape.name.lowercased()))"
        case .list(let element, let maximum): "an array of at most \(maximum): \(allowed(element))"
        case .oneOrMany(let element, let maximum): "one or an array of at most \(maximum): \(allowed(element))"
        case .tensor: "a tensor"
        case .any: "any"
        case .nothing: "null"
        }
    }
}
