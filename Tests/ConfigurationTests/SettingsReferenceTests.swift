import Configuration
import Foundation
import TestSupport
import Testing

@Suite("The reference page of the settings")
struct SettingsReferenceTests {
    /// Written anew by running this test with APUS_TEST_WRITE_REFERENCE=1.
    @Test("docs/reference/configuration.md is what the table of keys says")
    func fresh() throws {
        let page = Fixtures.packageRoot.appendingPathComponent("docs/reference/configuration.md")
        if ProcessInfo.processInfo.environment["APUS_TEST_WRITE_REFERENCE"] != nil {
            try SettingsReference.markdown.write(to: page, atomically: true, encoding: .utf8)
        }
        #expect(try String(contentsOf: page, encoding: .utf8) == SettingsReference.markdown)
    }
}
