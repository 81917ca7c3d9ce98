import Foundation
import TestSupport
import Testing

/// Several models in real workers: loaded on demand, unloaded, pushed out, replaced.
@Suite(.serialized, .timeLimit(.minutes(10))) struct SeveralModelsTests {
    /// A folder with small models, a configuration that names them, and an administrator's key.
    private final class Setting {
        let folder: URL
        static let key = "administrator-key"

        init() throws {
            folder = FileManager.default.temporaryDirectory.appendingPathComponent("apus-models-\(UUID())")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            try write("keys", Array("\(Self.key)\n".utf8))
        }

        deinit { try? FileManager.default.removeItem(at: folder) }

        func write(_ name: String, _ bytes: [UInt8]) throws {
            try Data(bytes).write(to: folder.appendingPathComponent(name), options: .atomic)
        }

        /// A model whose seed is its weights.
        func writeModel(_ name: String, seed: UInt64) throws {
            var tiny = TinyModel()
            tiny.seed = seed
            tiny.contextLength = 100_000
            try write("\(name).gguf", tiny.bytes())
        }

        /// Starts a server with the models `a`, `b`, … and these members for each of them.
        func start(models: [String], _ members: String = "", _ arguments: [String] = []) throws -> ServerProcess {
            for (index, name) in models.enumerated() { try writeModel(name, seed: UInt64(index + 1)) }
            let entries = models.map { #""\#($0)": {"path": "\#($0).gguf"\#(members)}"# }.joined(separator: ", ")
            let context = #""context": 8192, "parallel": 8, "threads": 1"#
            try write("apus.json", Array("{\"engine\": {\(context)}, \"models\": {\(entries)}}".utf8))
            return try ServerProcess(
                [
                    "--config", folder.appendingPathComponent("apus.json").path, "--admin-key-file",
                    folder.appendingPathComponent("keys").path,
                ] + arguments)
        }
    }

    private struct Model {
        let state: String
        let takenBytes: Int
        let text: [String: Any]

        init(_ server: ServerProcess, _ name: String) throws {
            text = try HTTPExchange.get(port: server.port, "/v1/models/\(name)").json()
            state = text["state"] as? String ?? ""
            takenBytes = (text["memory"] as? [String: Any])?["taken_bytes"] as? Int ?? -1
        }
    }

    private static func ask(_ server: ServerProcess, _ model: String, tokens: Int = 8) throws -> HTTPExchange {
        try HTTPExchange.post(
            port: server.port, "/v1/chat/completions",
            #"{"model":"\#(model)","temperature":0,"ignore_eos":true,"max_tokens":\#(tokens),"#
                + #""messages":[{"role":"user","content":"hello"}]}"#)
    }

    private static func answer(_ server: ServerProcess, _ model: String) throws -> String {
        let exchange = try ask(server, model)
        try #require(exchange.status == 200, "\(exchange.text)")
        let choices = try exchange.json()["choices"] as? [[String: Any]]
        return try #require((choices?.first?["message"] as? [String: Any])?["content"] as? String)
    }

    private func order(
        _ server: ServerProcess, _ operation: String, _ body: String
    ) throws -> HTTPExchange {
        try HTTPExchange.post(
            port: server.port, "/v1/models/\(operation)", body, headers: ["Authorization": "Bearer \(Setting.key)"])
    }

    private func metric(_ server: ServerProcess, _ name: String, _ labels: [String: String]) throws -> Double? {
        let page = try PrometheusParser(HTTPExchange.get(port: server.port, "/metrics").text)
        return page.samples.first { $0.name == name && $0.labels == labels }?.value
    }

    @Test func twoModelsAnswerAtOnce() throws {
        let setting = try Setting()
        let server = try setting.start(models: ["a", "b"])
        #expect(try ServerProcess.eventually { try HTTPExchange.get(port: server.port, "/readyz").status == 200 })
        #expect(server.workerProcessIDs.count == 2)
        let answers = try Parallel(8) { try Self.answer(server, $0 % 2 == 0 ? "a" : "b") }.wait()
        #expect(Set(answers).count == 2, "each model has its own answer")
        #expect(answers[0] == answers[2] && answers[1] == answers[3])
    }

    @Test func tenCallersWaitForOneLoadOnDemand() throws {
        let setting = try Setting()
        let server = try setting.start(models: ["a", "b"], #", "load": "demand""#)
        #expect(try HTTPExchange.get(port: server.port, "/readyz").status == 200)
        #expect(try Model(server, "a").state == "unloaded" && server.workerProcessIDs.isEmpty)
        let answers = try Parallel(10) { _ in try Self.answer(server, "a") }.wait()
        #expect(Set(answers).count == 1)
        #expect(try metric(server, "apus_model_loads_total", ["model": "a"]) == 1)
        let loaded = try Model(server, "a")
        #expect(loaded.state == "ready" && loaded.takenBytes > 8 << 20)
        #expect(loaded.text["context_length"] as? Int == 8192)
        #expect(loaded.text["capabilities"] as? [String] == ["completion", "chat"])
        #expect(try Model(server, "b").state == "unloaded" && server.workerProcessIDs.count == 1)
    }

    @Test func anIdleModelIsUnloadedAndComesBack() throws {
        let setting = try Setting()
        let server = try setting.start(models: ["a"], #", "idle_unload_seconds": 1"#)
        let before = try Self.answer(server, "a")
        #expect(try ServerProcess.eventually { try Model(server, "a").state == "unloaded" })
        #expect(ServerProcess.eventually { server.workerProcessIDs.isEmpty })
        #expect(try ServerProcess.eventually { try Model(server, "a").takenBytes == 0 })
        #expect(try Self.answer(server, "a") == before)
        #expect(try metric(server, "apus_model_unloads_total", ["model": "a", "reason": "idle"]) ?? 0 >= 1)
    }

    /// Each takes about 9 MiB when it is loaded and is granted 16 before: two and a load fit, three and a load do not.
    @Test func theLeastRecentlyUsedModelMakesRoomUnlessItIsBusy() throws {
        let setting = try Setting()
        let server = try setting.start(
            models: ["a", "b", "c"], #", "load": "demand", "memory_mib": 16"#, ["--memory-budget-mib", "32"])
        _ = try Self.answer(server, "a")
        _ = try Self.answer(server, "b")
        #expect(try Model(server, "a").state == "ready")
        _ = try Self.answer(server, "c")
        #expect(try Model(server, "a").state == "unloaded" && Model(server, "b").state == "ready")
        #expect(try metric(server, "apus_model_unloads_total", ["model": "a", "reason": "memory"]) == 1)

        let body =
            #"{"model":"b","stream":true,"ignore_eos":true,"max_tokens":8000,"#
            + #""messages":[{"role":"user","content":"x"}]}"#
        let stream = try HTTPExchange(
            port: server.port,
            bytes: HTTPExchange.request("POST", "/v1/chat/completions", port: server.port, body: body))
        try stream.read { $0.serverSentEvents.count > 2 }
        _ = try Self.answer(server, "a")
        #expect(try Model(server, "c").state == "unloaded", "c was used later, but b has a call")
        #expect(try Model(server, "b").state == "ready")
        stream.abandon()
        #expect(try metric(server, "apus_memory_taken_bytes", [:]) ?? .infinity <= Double(32 << 20))
    }

    @Test func aModelThatCanNeverFitIsRefusedWithTheNumbers() throws {
        let setting = try Setting()
        try setting.write("huge.gguf", [UInt8](repeating: 0, count: 17 << 20))
        let path = setting.folder.appendingPathComponent("huge.gguf").path
        let output = try Programs.run("apus", ["serve", "--port", "0", "--memory-budget-mib", "16", path])
        #expect(output.status == 1)
        #expect(output.standardError.contains("'huge' needs 17 MiB; the memory budget is 16 MiB"))
    }

    // MARK: Replacement

    @Test func aReloadUnderLoadDropsNoCall() throws {
        let setting = try Setting()
        let server = try setting.start(models: ["a"])
        let first = try Self.answer(server, "a")
        let stop = Flag()
        let clients = Parallel(4) { index -> [Int] in
            var counts: [Int] = []
            while !stop.isSet {
                let stream = try HTTPExchange.post(
                    port: server.port, "/v1/chat/completions",
                    #"{"model":"a","stream":true,"ignore_eos":true,"max_tokens":1000,"seed":\#(index),"#
                        + #""messages":[{"role":"user","content":"hello"}]}"#)
                let isWhole =
                    stream.status == 200 && stream.serverSentEvents.last == "[DONE]"
                    && !stream.text.contains("\"error\":{")
                guard isWhole else { throw Broken(description: "\(stream.status) \(stream.text.suffix(300))") }
                counts.append(stream.serverSentEvents.count)
            }
            return counts
        }
        for seed in 2...4 {
            #expect(try ServerProcess.eventually { try server.metric("apus_calls_in_flight") ?? 0 > 0 })
            try setting.writeModel("a", seed: UInt64(seed))
            let reload = try order(server, "reload", #"{"model": "a"}"#)
            #expect(reload.status == 200, "\(reload.text)")
        }
        let busy = server.logSoFar.matches(of: #/"model.leaving","model":"a","reason":"replaced","calls":[1-9]/#)
        #expect(!busy.isEmpty, "no reload met calls that were running")
        stop.set()
        let counts = try clients.wait()
        #expect(counts.allSatisfy { !$0.isEmpty })
        #expect(try Self.answer(server, "a") != first, "the new weights answer")
        #expect(
            try ServerProcess.eventually {
                try metric(server, "apus_model_unloads_total", ["model": "a", "reason": "replaced"]) == 3
            })
        #expect(ServerProcess.eventually { server.workerProcessIDs.count == 1 })
        #expect(try metric(server, "apus_calls_lost_total", ["model": "a"]) == 0)
        #expect(try metric(server, "apus_calls_replayed_total", ["model": "a"]) == 0)
    }

    @Test func aHangupServesTheModelsThatTheConfigurationThenNames() throws {
        let setting = try Setting()
        let server = try setting.start(models: ["a", "b"])
        let before = try Self.answer(server, "b")
        try setting.writeModel("c", seed: 3)
        // Little memory each, so that none is pushed out for another.
        let models =
            #"{"b": {"path": "b.gguf", "context": 4096, "memory_mib": 256}, "#
            + #""c": {"path": "c.gguf", "load": "demand", "memory_mib": 256}}"#
        try setting.write("apus.json", Array("{\"models\": \(models)}".utf8))
        server.signal(SIGHUP)
        #expect(try ServerProcess.eventually { try Self.ask(server, "a").status == 404 })
        #expect(try Self.answer(server, "c") != before)
        #expect(try ServerProcess.eventually { try Model(server, "b").text["context_length"] as? Int == 4096 })
        #expect(try Self.answer(server, "b") == before)
        #expect(ServerProcess.eventually { server.workerProcessIDs.count == 2 })

        try setting.write("huge.gguf", [UInt8](repeating: 0, count: 17 << 20))
        let huge = #"{"huge": {"path": "huge.gguf", "memory_mib": 16}}"#
        try setting.write("apus.json", Array("{\"models\": \(huge)}".utf8))
        server.signal(SIGHUP)
        #expect(ServerProcess.eventually { server.logSoFar.contains("'huge' needs 17 MiB") })
        #expect(try Self.answer(server, "b") == before, "what is refused changes nothing")
    }

    @Test func aReloadWithABrokenFileKeepsTheOldWorker() throws {
        let setting = try Setting()
        let server = try setting.start(models: ["a"])
        let before = try Self.answer(server, "a")
        let worker = server.workerProcessIDs
        try setting.write("a.gguf", Array("This is no model.".utf8))
        let reload = try order(server, "reload", #"{"model": "a"}"#)
        #expect(reload.status == 503 && reload.headers["x-should-retry"] == "false")
        #expect(reload.text.contains("model file"), "\(reload.text)")
        #expect(try Self.answer(server, "a") == before)
        #expect(ServerProcess.eventually { server.workerProcessIDs == worker })
        #expect(try HTTPExchange.get(port: server.port, "/readyz").status == 200)
        try setting.writeModel("a", seed: 9)
        #expect(try order(server, "reload", #"{"model": "a"}"#).status == 200)
        #expect(try Self.answer(server, "a") != before)
    }

    @Test func anAdministratorLoadsAndUnloadsByPathBelowTheAllowedFolders() throws {
        let setting = try Setting()
        let server = try setting.start(models: ["a"], "", ["--model-roots", setting.folder.path])
        try setting.writeModel("extra", seed: 7)
        let path = setting.folder.appendingPathComponent("extra.gguf").path
        let load = try order(server, "load", #"{"model": "extra", "path": "\#(path)"}"#)
        #expect(load.status == 200, "\(load.text)")
        _ = try Self.answer(server, "extra")
        let outside = try order(server, "load", #"{"model": "passwd", "path": "/etc/passwd"}"#)
        #expect(try outside.status == 403 && Chat.errorCode(outside) == "path_not_allowed", "\(outside.text)")
        let gone = try order(server, "load", #"{"model": "none", "path": "\#(path).not"}"#)
        #expect(gone.status == 400, "\(gone.text)")
        #expect(try order(server, "unload", #"{"model": "extra"}"#).status == 200)
        #expect(try Self.ask(server, "extra").status == 404)
        #expect(try order(server, "unload", #"{"model": "a"}"#).status == 200)
        #expect(server.workerProcessIDs.isEmpty)
        #expect(try order(server, "load", #"{"model": "a"}"#).status == 200)
        #expect(try Model(server, "a").state == "ready")
        #expect(!server.logSoFar.contains(Setting.key))
    }
}

/// A stream that did not end as it should.
private struct Broken: Error, CustomStringConvertible {
    let description: String
}

/// Told by one thread, read by others.
private final class Flag: @unchecked Sendable {
    private let lock = NSLock()
    private var value = false

    func set() { lock.withLock { value = true } }

    var isSet: Bool { lock.withLock { value } }
}
