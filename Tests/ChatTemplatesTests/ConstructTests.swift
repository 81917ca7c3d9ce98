import JSON
import Testing

@testable import ChatTemplates

@Suite struct ConstructTests {
    @Test(arguments: [
        "output", "arithmetic", "logic", "access", "text methods", "format", "filters", "json", "tests", "statements",
        "white space", "broken",
    ])
    func `every construct gives what Jinja gives`(group: String) throws {
        let goldens = try TemplateGoldens.json("constructs.json")
        let context = TemplateGoldens.context(try #require(goldens["context"]))
        let cases = try #require(goldens["cases"]?[group]?.arrayValue)
        #expect(!cases.isEmpty)
        for golden in cases {
            let source = try #require(golden["source"]?.stringValue)
            if let expected = golden["expected"]?.stringValue {
                let text = try ChatTemplate(source: source).render(context)
                #expect(Array(text.utf8) == Array(expected.utf8), "\(source) gives \(text), not \(expected)")
            } else {
                #expect(throws: TemplateError.self, "\(source)") { try ChatTemplate(source: source).render(context) }
            }
        }
    }

    @Test func `whole templates give what Jinja gives`() throws {
        let goldens = try TemplateGoldens.json("constructs.json")
        let contexts = try TemplateGoldens.json("contexts.json")
        let templates = try #require(goldens["templates"]?.arrayValue)
        #expect(templates.count == 4)
        for golden in templates {
            let name = try #require(golden["template"]?.stringValue)
            let template = try ChatTemplate(source: TemplateGoldens.text("templates/\(name)"))
            guard case .object(let expectations)? = golden["expected"] else { continue }
            #expect(expectations.members.count == 5)
            for expectation in expectations.members {
                let context = TemplateGoldens.context(try #require(contexts[expectation.key]))
                if let expected = expectation.value.stringValue {
                    #expect(try template.render(context) == expected, "\(name) with \(expectation.key)")
                } else {
                    #expect(throws: TemplateError.self) { try template.render(context) }
                }
            }
        }
    }
}
