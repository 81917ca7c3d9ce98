import Foundation
import TestSupport
import Testing

/// SIGHUP: what a running server takes from a changed configuration.
@Suite(.serialized, .timeLimit(.minutes(10))) struct ReloadTests {
    /// A folder with `config.json` and a key file, and a server that was started with them.
    private final class Bench {
        let folder: URL
        let server: ServerProcess

        init(_ configuration: String, keys: String = "first-key\nsecond-key\n") throws {
            folder = FileManager.default.temporaryDirectory.appendingPathComponent("apus-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try Self.write(configuration, folder, "config.json")
            try Self.write(keys, folder, "keys.txt")
            server = try ServerProcess(["--config", folder.appendingPathComponent("config.json").path])
        }

        deinit { try? FileManager.default.removeItem(at: folder) }

        private static func write(_ text: String, _ folder: URL, _ name: String) throws {
            try text.write(to: folder.appendingPathComponent(name), atomically: true, encoding: .utf8)
        }

        /// Changes a file, asks the server to look, and waits until it says so.
        func change(_ name: String, to text: String, event: String) throws {
            let count = server.logSoFar.components(separatedBy: "\"\(event)\"").count
            try Self.write(text, folder, name)
            server.signal(SIGHUP)
            #expect(
                ServerProcess.eventually {
                    server.logSoFar.components(separatedBy: "\"\(event)\"").count > count
                }, "no \(event): \(server.logSoFar)")
        }

        func status(_ path: String, key: String? = nil) throws -> Int {
            let headers = key.map { ["Authorization": "Bearer \($0)"] } ?? [:]
            return try HTTPExchange.get(port: server.port, path, headers: headers).status
        }
    }

    @Test func keysAndLimitsAndTheLogLevelChangeWhileAStreamRuns() throws {
        let bench = try Bench(#"{"server": {"api_key_file": "keys.txt"}}"#)
        let stream = try HTTPExchange(
            port: bench.server.port,
            bytes: HTTPExchange.endless(bench.server, headers: ["Authorization": "Bearer first-key"], choices: 100))
        try stream.read { $0.serverSentEvents.count > 2 }
        #expect(!bench.server.logSoFar.contains("\"http.request\""))
        try bench.change("keys.txt", to: "third-key\nsecond-key\n", event: "config.reloaded")
        #expect(try bench.status("/v1/models", key: "first-key") == 401)
        #expect(try bench.status("/v1/models", key: "second-key") == 200)
        #expect(try bench.status("/v1/models", key: "third-key") == 200)
        let server = #"{"api_key_file": "keys.txt", "max_body_bytes": 1024, "allowed_hosts": ["apus.example"]}"#
        try bench.change(
            "config.json", to: #"{"server": \#(server), "log": {"level": "debug"}}"#, event: "config.reloaded")
        let log = bench.server.logSoFar
        #expect(log.contains(#""changed":"server.allowed_hosts, server.max_body_bytes, log.level""#), "\(log)")
        let large = try HTTPExchange.post(
            port: bench.server.port, "/v1/chat/completions",
            Chat.body(String(repeating: "x", count: 2000), stream: false),
            headers: ["Authorization": "Bearer second-key"])
        #expect(large.status == 413)
        let named = Array("GET /livez HTTP/1.1\r\nHost: apus.example\r\n\r\n".utf8)
        let exchange = try HTTPExchange(port: bench.server.port, bytes: named)
        try exchange.readAll()
        #expect(exchange.status == 200)
        #expect(bench.server.logSoFar.contains("\"http.request\""), "debug lines are written now")
        let count = stream.serverSentEvents.count
        try stream.read { $0.serverSentEvents.count > count }
        #expect(!stream.isComplete, "the running stream was not touched")
    }

    @Test func whatNeedsARestartIsNamedAndTheRestIsTaken() throws {
        let bench = try Bench("{}")
        let changed = #"{"server": {"host": "127.0.0.2", "idle_seconds": 9}, "log": {"format": "text"}}"#
        try bench.change("config.json", to: changed, event: "config.needs_restart")
        let log = bench.server.logSoFar
        #expect(log.contains(#""changed":"server.idle_seconds""#), "\(log)")
        #expect(log.contains(#""settings":"server.host, log.format""#), "\(log)")
        #expect(try bench.status("/readyz") == 200)
    }

    @Test func otherModelsAreServedAndTheOldOnesFinish() throws {
        let bench = try Bench("{}")
        let stream = try HTTPExchange(port: bench.server.port, bytes: HTTPExchange.endless(bench.server))
        try stream.read { $0.serverSentEvents.count > 2 }
        let model = Fixtures.packageRoot.appendingPathComponent("Sources/Engine/CDemoModel/apus-demo.gguf").path
        try bench.change(
            "config.json", to: #"{"models": {"other": {"path": "\#(model)"}}}"#, event: "config.reloaded")
        #expect(bench.server.logSoFar.contains(#""changed":"models""#))
        #expect(try ServerProcess.eventually { try bench.status("/readyz") == 200 })
        #expect(try bench.status("/v1/models/other") == 200)
        #expect(try bench.status("/v1/models/apus-demo") == 404)
        let body = #"{"model":"other","messages":[{"role":"user","content":"Hello"}],"max_tokens":4}"#
        #expect(try HTTPExchange.post(port: bench.server.port, "/v1/chat/completions", body).status == 200)
        try stream.readAll()
        #expect(stream.serverSentEvents.last == "[DONE]" && !stream.text.contains("\"error\":{"))
    }

    @Test(arguments: [
        (#"{"log": {"level": "loud"}}"#, "log.level"),
        (#"{"log": {"level": "debug"}, "server": {"port": -1}}"#, "server.port"),
        (#"{"log": {"level": "debug"}"#, "config.json"),
        (#"{"log": {"level": "debug"}, "server": {"api_key_file": "absent.txt"}}"#, "absent.txt"),
        (#"{"log": {"level": "debug"}, "server": {"host": "0.0.0.0"}}"#, "0.0.0.0 is reachable"),
        (#"{"log": {"level": "debug"}, "models": {"m": {"path": "absent.gguf"}}}"#, "'absent.gguf' cannot be opened"),
    ])
    func aConfigurationWithAMistakeChangesNothing(text: String, reason: String) throws {
        let bench = try Bench("{}")
        try bench.change("config.json", to: text, event: "config.refused")
        let line = bench.server.logSoFar.split(separator: "\n").first { $0.contains("config.refused") }
        #expect(line?.contains(reason) == true, "\(line ?? "")")
        #expect(try bench.status("/v1/models") == 200)
        #expect(!bench.server.logSoFar.contains("\"http.request\""), "the log's level has not changed")
    }

    @Test func aServerThatWasStartedByHandEndsWithItsTerminal() throws {
        let (terminal, path) = try Self.openTerminal()
        let end = FileHandle(fileDescriptor: open(path, O_RDWR | O_NOCTTY), closeOnDealloc: true)
        let server = try ServerProcess(standardInput: end)
        server.signal(SIGHUP)
        #expect(ServerProcess.eventually { server.logSoFar.contains("config.reloaded") })
        close(terminal)
        server.signal(SIGHUP)
        #expect(ServerProcess.eventually { !server.isRunning })
    }

    /// The near end of a new terminal, and the path of the far one.
    private static func openTerminal() throws -> (near: Int32, path: String) {
        let near = open("/dev/ptmx", O_RDWR | O_NOCTTY)
        var lock: Int32 = 0
        var number: Int32 = -1
        // TIOCSPTLCK and TIOCGPTN, which the C library's module lacks as functions.
        try #require(ioctl(near, 0x4004_5431, &lock) == 0 && ioctl(near, 0x8004_5430, &number) == 0)
        return (near, "/dev/pts/\(number)")
    }
}
