import Configuration
import Observability
import Testing

@Suite("Loading the configuration")
struct ConfigurationLoaderTests {
    private static let syntax = CommandSyntax(
        "serve", summary: "Serves.", positionals: [PositionalSyntax("MODEL", .many, help: "")],
        options: ConfigurationLoader.settingsOptions)

    private func load(
        _ words: [String] = [], environment: [String: String] = [:], file: String? = nil
    ) throws -> Settings {
        try ConfigurationLoader.load(
            arguments: try ParsedArguments(words, syntax: Self.syntax), servesModels: true, environment: environment
        ) { path in
            file.map { .success(Array($0.utf8)) } ?? .failure(.unreadableFile(path: path, reason: "not found"))
        }
    }

    @Test("without anything the defaults stand")
    func defaults() throws {
        #expect(try load() == Settings())
        #expect(try load().origin(of: "server.port") == .builtIn)
    }

    @Test("a flag beats the environment, which beats the file, which beats the default")
    func order() throws {
        let file = #"{"server": {"port": 1, "host": "::1"}, "engine": {"parallel": 2}, "log": {"level": "debug"}}"#
        let environment = ["APUS_CONFIG": "/etc/apus.json", "APUS_PORT": "3", "APUS_PARALLEL": "4"]
        let settings = try load(["--port", "5"], environment: environment, file: file)
        #expect(settings.port == 5)
        #expect(settings.origin(of: "server.port") == .flag("--port"))
        #expect(settings.parallel == 4)
        #expect(settings.origin(of: "engine.parallel") == .environment(variable: "APUS_PARALLEL"))
        #expect(settings.host == "::1")
        #expect(settings.origin(of: "server.host") == .file(path: "/etc/apus.json"))
        #expect(settings.logLevel == .debug)
        #expect(settings.threads == nil)
    }

    @Test("newer settings tell what has changed, and what of it needs a restart")
    func changes() throws {
        let old = try load(file: nil)
        var newer = old
        #expect(old.changes(to: newer).reloadable.isEmpty && old.changes(to: newer).needingRestart.isEmpty)
        newer.logLevel = .trace
        newer.maximumConnections = 7
        newer.host = "::1"
        newer.models = [NamedModel(name: "m", path: "m.gguf")]
        let changes = old.changes(to: newer)
        #expect(changes.reloadable == ["server.max_connections", "log.level"])
        #expect(changes.needingRestart == ["server.host", "models"])
    }

    @Test("every key is read from the file, the environment and its flag")
    func everyKey() throws {
        for key in SettingsKey.all {
            let (text, json) = sample(key.kind)
            let parts = key.name.split(separator: ".")
            let file = "{\"\(parts[0])\": {\"\(parts[1])\": \(json)}}"
            let sources = [
                try load(["--config", "/c/apus.json"], file: file), try load(environment: [key.environment: text]),
                try load([key.flag, text]),
            ]
            let origins: [SettingOrigin] = [
                .file(path: "/c/apus.json"), .environment(variable: key.environment), .flag(key.flag),
            ]
            for (settings, origin) in zip(sources, origins) {
                let row = settings.effectiveTable().first { $0.key == key.name }
                #expect(row?.value == text, "\(key.name) by \(origin)")
                #expect(row?.origin == origin)
            }
        }
    }

    private func sample(_ kind: SettingKind) -> (text: String, json: String) {
        switch kind {
        case .integer(let range): (String(range.lowerBound + 1), String(range.lowerBound + 1))
        case .text: ("some text", "\"some text\"")
        case .path: ("/a/path", "\"/a/path\"")
        case .choice(let words): (words[1], "\"\(words[1])\"")
        case .list(.host): ("a.example,b.example", #"["a.example", "b.example"]"#)
        case .list(.webOrigin): ("https://a.example,http://b:81", #"["https://a.example", "http://b:81"]"#)
        case .list(.folder): ("/srv/models,/data", #"["/srv/models", "/data"]"#)
        }
    }

    @Test(
        "what is wrong is named: key, value, what is allowed",
        arguments: [
            (#"{"server": {"prot": 1}}"#, "unknown key server.prot in c.json; did you mean server.port?"),
            (#"{"sever": {}}"#, "unknown key sever in c.json"),
            (
                #"{"server": {"port": 70000}}"#,
                "server.port in c.json cannot be '70000': allowed is an integer from 0 to 65535"
            ),
            (
                #"{"server": {"port": "80"}}"#,
                "server.port in c.json cannot be '80': allowed is an integer from 0 to 65535"
            ),
            (#"{"server": 1}"#, "server in c.json cannot be '1': allowed is an object"),
            (#"{"log": {"level": "loud"}}"#, "log.level in c.json cannot be 'loud': allowed is one of trace"),
            (#"{"server": {"model_roots": ["models"]}}"#, "allowed is a list of absolute paths"),
            (#"{"engine": {"confinement": "some"}}"#, "allowed is one of best, required, off"),
            (#"{"server": {"cors_origins": ["*"]}}"#, "allowed is a list of origins such as https://chat.example"),
            (#"{"server": {"allowed_hosts": ["a:1"]}}"#, "allowed is a list of host names without ports"),
            (#"{"models": {"a b": {"path": "x"}}}"#, "models in c.json cannot be 'a b': allowed is a model name"),
            (#"{"models": {"a": {"file": "x"}}}"#, "unknown key models.a.file"),
            (
                #"{"models": {"a": {"path": "x", "paralel": 2}}}"#,
                "unknown key models.a.paralel in c.json; did you mean models.a.parallel?"
            ),
            (
                #"{"models": {"a": {"path": "x", "load": "later"}}}"#,
                "models.a.load in c.json cannot be 'later': allowed is one of start, demand"
            ),
            (
                #"{"models": {"a": {"path": "x", "memory_mib": 1}}}"#,
                "models.a.memory_mib in c.json cannot be '1': allowed is an integer from 16"
            ),
            (#"{"models": {"a": {}}}"#, "models.a.path in c.json cannot be 'null': allowed is the path"),
            (#"{"server": {"port": 1, "port": 2}}"#, "the key \"port\" appears twice"),
            ("[]", "configuration file c.json: it holds an array, not an object"),
            ("{", "configuration file c.json: invalid JSON at byte 1"),
        ])
    func badFiles(file: String, message: String) throws {
        let error = try #require(throws: ConfigurationError.self) { try load(["--config", "c.json"], file: file) }
        #expect(error.description.contains(message), "\(error.description)")
        #expect(!error.isUsage)
    }

    @Test("a bad variable and a bad flag are named as they were written")
    func badTexts() throws {
        let variable = try #require(throws: ConfigurationError.self) {
            try load(environment: ["APUS_PARALLEL": "many"])
        }
        #expect(
            variable.description
                == "APUS_PARALLEL (engine.parallel) cannot be 'many': allowed is an integer from 1 to 256")
        let unknown = try #require(throws: ConfigurationError.self) { try load(environment: ["APUS_PARALEL": "1"]) }
        #expect(unknown.description == "unknown environment variable APUS_PARALEL; did you mean APUS_PARALLEL?")
        let flag = try #require(throws: ConfigurationError.self) { try load(["--port", "99999"]) }
        #expect(flag.isUsage)
        #expect(flag.description.hasPrefix("--port (server.port) cannot be '99999'"))
        #expect(throws: ConfigurationError.unreadableFile(path: "x", reason: "not found")) {
            try load(["--config", "x"])
        }
    }

    @Test("what a container platform sets for a service called apus does not matter")
    func serviceVariables() throws {
        let environment = [
            "APUS_SERVICE_HOST": "10.0.0.1", "APUS_PORT": "tcp://10.0.0.1:80", "APUS_PORT_80_TCP": "tcp://10.0.0.1:80",
        ]
        #expect(try load(environment: environment) == Settings())
    }

    @Test("models get their names from NAME=, the file, or the file's name")
    func models() throws {
        let file = #"{"models": {"small": {"path": "m/small.gguf"}, "big": {"path": "/abs/big.gguf"}}}"#
        let all = try load(["--config", "/etc/apus/c.json"], file: file).models
        #expect(
            all == [
                NamedModel(name: "small", path: "/etc/apus/m/small.gguf"),
                NamedModel(name: "big", path: "/abs/big.gguf"),
            ])
        let some = try load(["--config", "/etc/apus/c.json", "big", "x=small", "./dir=1/llama.q8.gguf"], file: file)
            .models
        #expect(
            some == [
                NamedModel(name: "big", path: "/abs/big.gguf"), NamedModel(name: "x", path: "/etc/apus/m/small.gguf"),
                NamedModel(name: "llama.q8", path: "./dir=1/llama.q8.gguf"),
            ])
        #expect(throws: ConfigurationError.duplicateModel(name: "a")) { try load(["a.gguf", "b/a.gguf"]) }
    }

    @Test("every option of a model is read, shown, and kept under another name")
    func modelOptions() throws {
        let members = ModelOption.all.map { option in "\"\(option.name)\": \(sample(option.kind).json)" }
        let file = "{\"models\": {\"a\": {\"path\": \"a.gguf\", \(members.joined(separator: ", "))}}}"
        let settings = try load(["--config", "c.json"], file: file)
        for option in ModelOption.all {
            let row = settings.effectiveTable().first { $0.key == "models.a.\(option.name)" }
            #expect(row?.value == sample(option.kind).text, "\(option.name)")
        }
        let renamed = try load(["--config", "c.json", "b=a"], file: file).models
        #expect(renamed == [NamedModel(name: "b", path: "a.gguf", options: settings.models[0].options)])
        #expect(try load(["a.gguf"]).models[0].options == ModelOptions())
    }

    @Test("no two keys share a name, a variable or a flag")
    func unique() {
        #expect(Set(SettingsKey.all.map(\.name)).count == SettingsKey.all.count)
        #expect(Set(SettingsKey.all.map(\.environment)).count == SettingsKey.all.count)
        #expect(Set(SettingsKey.all.map(\.flag)).count == SettingsKey.all.count)
    }
}
