import Foundation
import JSON
import TestSupport
import Testing

@testable import ChatTemplates

@Suite struct FixtureTemplateTests {
    @Test(.enabled(if: Fixtures.has("templates"), "fixtures folder is absent"))
    func `templates of real models give what Jinja gives`() throws {
        let goldens = try TemplateGoldens.json("fixture-hashes.json")
        let contexts = try contexts()
        guard case .object(let templates) = goldens else { return }
        #expect(templates.members.count > 80)
        var compared = 0
        for golden in templates.members {
            let source = String(decoding: try Fixtures.bytes("templates/\(golden.key)"), as: UTF8.self)
            for (name, context) in contexts {
                let expected = try #require(golden.value[name]?.stringValue)
                let actual: String
                do throws(TemplateError) {
                    actual = TemplateGoldens.hash(try ChatTemplate(source: source).render(context))
                } catch {
                    actual = "raises"
                    if expected != "raises" { Issue.record("\(golden.key) with \(name): \(error)") }
                }
                #expect(actual == expected, "\(golden.key) with \(name)")
                compared += 1
            }
        }
        #expect(compared == templates.members.count * 8)
    }

    private func contexts() throws -> [(name: String, context: TemplateContext)] {
        guard case .object(let own) = try TemplateGoldens.json("contexts.json") else { return [] }
        var contexts = own.members.map { (name: $0.key, context: TemplateGoldens.context($0.value)) }
        for name in ["simple", "system", "tool_use"] {
            let json = try JSONValue.parse(Fixtures.bytes("templates/minja-contexts/contexts/\(name).json"))
            contexts.append((name, TemplateGoldens.context(json)))
        }
        return contexts
    }
}
