import Foundation
import TestSupport
import Testing

/// The programs that people use: the official Python client, and a browser.
@Suite(.serialized, .timeLimit(.minutes(8))) struct ClientTests {
    private static let python = Fixtures.packageRoot.appendingPathComponent(".build/clients/bin/python3").path
    private static let hasClients = FileManager.default.fileExists(atPath: python)
    private static let hasBrowser = ["/usr/bin/chromium", "/usr/bin/chromedriver"].allSatisfy {
        FileManager.default.fileExists(atPath: $0)
    }

    private func script(_ name: String) -> String {
        Fixtures.packageRoot.appendingPathComponent("Tests/Clients/\(name)").path
    }

    @Test(.enabled(if: hasClients, "scripts/setup tests has not installed the clients"))
    func theOfficialClientChatsStreamsAndGetsTypedErrors() throws {
        let server = try ServerProcess()
        let output = try Programs.run(Self.python, [script("openai_client.py"), server.base, Chat.model])
        #expect(output.status == 0, "\(output.standardOutput)\(output.standardError)")
        let summary = try #require(output.standardOutput.firstMatch(of: #/(\d+) passed, (\d+) failed/#))
        #expect(try #require(Int(summary.1)) >= 12)
        #expect(summary.2 == "0")
    }

    @Test(.enabled(if: hasClients && hasBrowser, "there is no chromium with its driver, or no selenium"))
    func theConsolePageWorksInABrowser() throws {
        let server = try ServerProcess()
        let picture = FileManager.default.temporaryDirectory.appendingPathComponent("apus-console-\(getpid()).png")
        defer { try? FileManager.default.removeItem(at: picture) }
        let output = try Programs.run(Self.python, [script("console_page.py"), server.base, picture.path])
        #expect(output.status == 0, "\(output.standardOutput)\(output.standardError)")
        #expect(FileManager.default.fileExists(atPath: picture.path))
    }
}
