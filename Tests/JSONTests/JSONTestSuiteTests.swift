import Foundation
import JSON
import TestSupport
import Testing

@Suite("JSONTestSuite")
struct JSONTestSuiteTests {
    private static let folder = "conformance/json-test-suite/test_parsing"

    private func files(_ prefix: String) throws -> [URL] {
        try FileManager.default.contentsOfDirectory(at: Fixtures.url(Self.folder), includingPropertiesForKeys: nil)
            .filter { $0.lastPathComponent.hasPrefix(prefix) }
    }

    @Test("documents that must be accepted are", .enabled(if: Fixtures.has(folder), "fixtures folder is absent"))
    func accepted() throws {
        let files = try files("y_")
        #expect(files.count >= 90)
        for file in files {
            let bytes = [UInt8](try Data(contentsOf: file))
            let rule: DuplicateKeys = file.lastPathComponent.contains("duplicated_key") ? .lastWins : .reject
            #expect(throws: Never.self, "\(file.lastPathComponent)") {
                let value = try JSONValue.parse(bytes, duplicateKeys: rule)
                #expect(try JSONValue.parse(value.serialized) == value)
            }
        }
    }

    @Test("documents that must be refused are", .enabled(if: Fixtures.has(folder), "fixtures folder is absent"))
    func refused() throws {
        let files = try files("n_")
        #expect(files.count >= 180)
        for file in files {
            let bytes = [UInt8](try Data(contentsOf: file))
            #expect(throws: JSONError.self, "\(file.lastPathComponent)") {
                try JSONValue.parse(bytes, duplicateKeys: .lastWins)
            }
        }
    }

    @Test("the others end in a value or an error", .enabled(if: Fixtures.has(folder), "fixtures folder is absent"))
    func either() throws {
        let files = try files("i_")
        #expect(files.count >= 30)
        for file in files { _ = try? JSONValue.parse([UInt8](try Data(contentsOf: file))) }
    }
}
