import Foundation
import TestSupport
import Testing

/// The programs that people use: the official Python client, a browser, the project's own clients and their examples.
@Suite(.serialized, .timeLimit(.minutes(10))) struct ClientTests {
    private static let python = Fixtures.packageRoot.appendingPathComponent(".build/clients/bin/python3").path
    /// What is installed is what the list in the source tree says.
    private static let hasClients = FileManager.default.contentsEqual(
        atPath: Fixtures.packageRoot.appendingPathComponent("Tests/Clients/requirements.txt").path,
        andPath: Fixtures.packageRoot.appendingPathComponent(".build/clients/requirements.txt").path)
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

    // MARK: The local door

    /// A path for a socket, in a folder that the server makes.
    private static func withSocket(_ body: (String) throws -> Void) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("apus-local-\(UUID())")
        defer { try? FileManager.default.removeItem(at: folder) }
        try body(folder.appendingPathComponent("door").path)
    }

    @Test(.enabled(if: hasClients, "scripts/setup tests has not installed the clients"), arguments: [nil, "sk-local"])
    func theClientForTheLocalDoorDoesAllThatItSays(key: String?) throws {
        try Self.withSocket { path in
            let keys = FileManager.default.temporaryDirectory.appendingPathComponent("apus-local-keys-\(UUID())")
            try "\(key ?? "")\n".write(to: keys, atomically: true, encoding: .utf8)
            defer { try? FileManager.default.removeItem(at: keys) }
            let server = try ServerProcess(["--ipc", path] + (key == nil ? [] : ["--api-key-file", keys.path]))
            let token = key.map { ["--token", $0] } ?? []
            let output = try Programs.run(Self.python, [script("local_client.py"), path, Chat.model] + token)
            #expect(output.status == 0, "\(output.standardOutput)\(output.standardError)\(server.logSoFar)")
            let summary = try #require(output.standardOutput.firstMatch(of: #/(\d+) passed, 0 failed/#))
            #expect(try #require(Int(summary.1)) >= 20)
        }
    }

    @Test(.enabled(if: hasClients, "scripts/setup tests has not installed the clients"))
    func pythonExamplesRun() throws {
        try Self.withSocket { path in
            let server = try ServerProcess(["--ipc", path])
            func run(_ name: String, input: String = "") throws -> String {
                let file = Fixtures.packageRoot.appendingPathComponent("examples/python/\(name)").path
                let output = try Programs.run(Self.python, [file, path], input: input)
                #expect(output.status == 0, "\(name): \(output.standardError)\(server.logSoFar)")
                return output.standardOutput
            }
            let chat = try run("chat.py", input: "Hello! Who are you?\nWhere do you sleep?\n")
            #expect(chat.matches(of: #/\[\d+ tokens, \d+ of the prompt from the cache/#).count == 2)
            #expect(try run("tools.py").count > 1)
            let embeddings = try run("embed.py")
            #expect(embeddings.split(separator: "\n").count == 3 && embeddings.contains("Swifts sleep on the wing."))
        }
    }

    @Test(.enabled(if: hasClients, "scripts/setup tests has not installed the clients"))
    func theExampleOverJSONRPCRuns() throws {
        try Self.withSocket { path in
            try FileManager.default.createDirectory(
                atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
            let server = try ServerProcess(["--rpc", path])
            let file = Fixtures.packageRoot.appendingPathComponent("examples/python/rpc_stream.py").path
            let output = try Programs.run(Self.python, [file, path])
            #expect(output.status == 0, "\(output.standardError)\(server.logSoFar)")
            #expect(output.standardOutput.contains(#/.+\n\[(stop|length), \d+ tokens, \d+ ms\]/#))
        }
    }

    @Test func theSwiftExampleRuns() throws {
        try Self.withSocket { path in
            let server = try ServerProcess(["--ipc", path])
            let output = try Programs.run("apus-example", [path])
            #expect(output.status == 0, "\(output.standardError)\(server.logSoFar)")
            #expect(output.standardOutput.contains(#/\n\[\d+ tokens\]\n.+/#), "\(output.standardOutput)")
        }
    }
}
