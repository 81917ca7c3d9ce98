import Observability
import Supervision
import Testing

@testable import OpenAIAPI

@Suite("The administrator's routes") struct ModelAdministrationTests {
    private func ask(
        _ bench: RoutesBench, _ path: String, key: String? = nil, body: String = #"{"model": "tiny"}"#
    ) throws -> Client {
        let client = try bench.connect()
        let headers = key.map { ["authorization": "Bearer \($0)"] } ?? [:]
        try client.send("POST", path, headers: headers, body: body)
        #expect(client.waits(for: "\r\n\r\n"))
        return client
    }

    @Test("without administrator keys nobody may", arguments: ["load", "unload", "reload"])
    func disabled(operation: String) throws {
        let client = try ask(RoutesBench(), "/v1/models/\(operation)", key: "whatever")
        #expect(client.status == 403 && client.body.contains("administration_disabled"))
        #expect(client.body.contains("--admin-key-file"))
    }

    @Test(
        "only an administrator's key opens them",
        arguments: [
            (nil, 401, "invalid_api_key"), ("wrong", 401, "invalid_api_key"), ("user", 403, "administrator_required"),
            ("admin", 200, #""state":"ready""#),
        ])
    func keys(key: String?, status: Int, text: String) throws {
        let bench = try RoutesBench(keys: ["user": "t1"], administrators: ["admin": "a1"])
        let client = try ask(bench, "/v1/models/load", key: key)
        #expect(client.status == status && client.body.contains(text), "\(client.body)")
        #expect(!bench.sink.lines.joined().contains("wrong"))
    }

    @Test(
        "what is wrong with a body is told",
        arguments: [
            ("load", "{}", 400, "missing_required_parameter"), ("load", #"{"model": 1}"#, 400, "invalid_type"),
            ("load", #"{"model": "other"}"#, 404, "model_not_found"), ("load", "{", 400, "invalid_json"),
            ("load", #"{"model": "tiny", "allow_downtime": true}"#, 400, "unknown_parameter"),
            ("load", #"{"model": "new", "path": "/etc/passwd"}"#, 403, "path_not_allowed"),
            ("unload", #"{"model": "tiny", "path": "x"}"#, 400, "unknown_parameter"),
            ("reload", #"{"model": "tiny", "allow_downtime": 1}"#, 400, "invalid_type"),
        ])
    func bodies(operation: String, body: String, status: Int, code: String) throws {
        let bench = try RoutesBench(administrators: ["admin": "a1"])
        let client = try ask(bench, "/v1/models/\(operation)", key: "admin", body: body)
        #expect(client.status == status && client.body.contains("\"code\":\"\(code)\""), "\(client.body)")
    }

    @Test("unloading is told in the list, and the next request loads again")
    func unload() throws {
        let bench = try RoutesBench(administrators: ["admin": "a1"])
        let client = try bench.connect()
        try client.send(
            "POST", "/v1/models/unload", headers: ["authorization": "Bearer admin"], body: #"{"model": "tiny"}"#)
        #expect(bench.turn { bench.worker.state.phase == .draining })
        bench.worker.onStopped()
        #expect(client.waits(for: "\r\n\r\n") && client.status == 200)
        #expect(client.body.contains(#""state":"unloaded""#))
        let list = try bench.connect()
        try list.send("GET", "/v1/models")
        #expect(list.waits(for: #""state":"unloaded""#))
        #expect(list.body.contains(#""capabilities":["completion","chat"]"#), "what it was is remembered")
        let ready = try bench.connect()
        try ready.send("GET", "/readyz")
        #expect(ready.waits(for: "\r\n\r\n") && ready.status == 200)
    }
}
