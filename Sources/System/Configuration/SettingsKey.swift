import Observability

/// One thing that can be set: its names, what is allowed, its default and its meaning.
///
/// The table `all` is the only list of settings: reading, `--help`, `apus config check` and the reference page come
/// from it.
public struct SettingsKey: Sendable {
    /// In the file, with a dot between section and member.
    public let name: String
    public let environment: String
    /// With its two dashes.
    public let flag: String
    /// What stands for the value in a usage line.
    public let placeholder: String
    public let kind: SettingKind
    public let help: String
    let store: @Sendable (inout Settings, SettingValue) -> Void
    /// The value as text; nil where nothing is set.
    let show: @Sendable (Settings) -> String?
    /// What nothing set means.
    public let unset: String

    private init(
        _ name: String, _ flag: String, _ placeholder: String, _ kind: SettingKind, _ help: String,
        unset: String = "", store: @escaping @Sendable (inout Settings, SettingValue) -> Void,
        show: @escaping @Sendable (Settings) -> String?
    ) {
        self.name = name
        self.flag = "--" + flag
        environment = "APUS_" + flag.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
        self.placeholder = placeholder
        self.kind = kind
        self.help = help
        self.unset = unset
        self.store = store
        self.show = show
    }

    public var defaultText: String { show(Settings()) ?? unset }

    public static let all: [SettingsKey] = server + engine + log

    private static let server = [
        text("server.host", "host", "ADDRESS", "Address to listen on; any but a loopback address needs an API key.") {
            $0.host
        } set: {
            $0.host = $1
        },
        SettingsKey(
            "server.port", "port", "N", .integer(0...65535), "TCP port; 0 lets the system choose.",
            store: { if case .integer(let value) = $1 { $0.port = UInt16(value) } }, show: { String($0.port) }),
        path("server.socket", "socket", "Unix socket to listen on as well.", unset: "none") {
            $0.socket
        } set: {
            $0.socket = $1
        },
        path(
            "server.api_key_file", "api-key-file", "File with one API key on each line; clients then need one of them.",
            unset: "no key needed"
        ) {
            $0.apiKeyFile
        } set: {
            $0.apiKeyFile = $1
        },
        list("server.cors_origins", "cors-origins", .webOrigin, "Web pages that may call the API from a browser.") {
            $0.corsOrigins
        } set: {
            $0.corsOrigins = $1
        },
        list(
            "server.allowed_hosts", "allowed-hosts", .host,
            "Names in a Host header that are right besides localhost and addresses."
        ) {
            $0.allowedHosts
        } set: {
            $0.allowedHosts = $1
        },
        integer("server.max_connections", "max-connections", 1...65536, "Open connections at the same time.") {
            $0.maximumConnections
        } set: {
            $0.maximumConnections = $1
        },
        integer("server.max_body_bytes", "max-body-bytes", 1024...(32 << 20), "Largest body of a request.") {
            $0.maximumBodyBytes
        } set: {
            $0.maximumBodyBytes = $1
        },
        integer("server.idle_seconds", "idle-seconds", 1...3600, "How long a connection may stay idle.") {
            $0.idleSeconds
        } set: {
            $0.idleSeconds = $1
        },
        integer(
            "server.drain_seconds", "drain-seconds", 0...3600, "How long running requests may go on after SIGTERM."
        ) {
            $0.drainSeconds
        } set: {
            $0.drainSeconds = $1
        },
    ]

    private static let engine = [
        integer("engine.threads", "threads", 1...256, "Compute threads of a worker.", unset: "as the machine allows") {
            $0.threads
        } set: {
            $0.threads = $1
        },
        integer(
            "engine.context", "context", 16...(1 << 24), "Positions of one sequence, prompt and answer together.",
            unset: "the model's, as far as memory allows"
        ) {
            $0.context
        } set: {
            $0.context = $1
        },
        integer("engine.parallel", "parallel", 1...256, "Sequences that decode together.", unset: "the engine's") {
            $0.parallel
        } set: {
            $0.parallel = $1
        },
        SettingsKey(
            "engine.kv_cache", "kv-cache", "TYPE", .choice(Settings.kvCacheTypes),
            "How keys and values are stored; q8_0 takes about half of f16's memory.",
            store: { if case .text(let word) = $1 { $0.kvCache = word } }, show: { $0.kvCache }),
        path(
            "engine.draft_model", "draft-model",
            "Smaller model with the same tokenizer that guesses what the models say next; it changes no text.",
            unset: "none"
        ) {
            $0.draftModel
        } set: {
            $0.draftModel = $1
        },
        integer("engine.load_seconds", "load-seconds", 1...86400, "How long loading a model may take.") {
            $0.loadSeconds
        } set: {
            $0.loadSeconds = $1
        },
    ]

    private static let log = [
        SettingsKey(
            "log.level", "log-level", "LEVEL", .choice(LogLevel.allCases.map(\.name)), "Least level that is logged.",
            store: { settings, value in
                if case .text(let word) = value, let level = LogLevel(name: word) { settings.logLevel = level }
            }, show: { $0.logLevel.name }),
        SettingsKey(
            "log.format", "log-format", "FORMAT", .choice(Settings.LogStyle.allCases.map(\.rawValue)),
            "Form of a log line; auto is text on a terminal and JSON elsewhere.",
            store: { settings, value in
                if case .text(let word) = value, let style = Settings.LogStyle(rawValue: word) {
                    settings.logStyle = style
                }
            }, show: { $0.logStyle.rawValue }),
    ]
}

extension SettingsKey {
    private static func text(
        _ name: String, _ flag: String, _ placeholder: String, _ help: String,
        get: @escaping @Sendable (Settings) -> String, set: @escaping @Sendable (inout Settings, String) -> Void
    ) -> SettingsKey {
        SettingsKey(
            name, flag, placeholder, .text, help, store: { if case .text(let text) = $1 { set(&$0, text) } },
            show: { get($0) })
    }

    private static func path(
        _ name: String, _ flag: String, _ help: String, unset: String,
        get: @escaping @Sendable (Settings) -> String?, set: @escaping @Sendable (inout Settings, String) -> Void
    ) -> SettingsKey {
        SettingsKey(
            name, flag, "PATH", .path, help, unset: unset,
            store: { if case .text(let text) = $1 { set(&$0, text) } }, show: get)
    }

    private static func list(
        _ name: String, _ flag: String, _ element: SettingKind.Element, _ help: String,
        get: @escaping @Sendable (Settings) -> [String], set: @escaping @Sendable (inout Settings, [String]) -> Void
    ) -> SettingsKey {
        SettingsKey(
            name, flag, "LIST", .list(element), help, unset: "none",
            store: { if case .list(let elements) = $1 { set(&$0, elements) } },
            show: { get($0).isEmpty ? nil : get($0).joined(separator: ",") })
    }

    private static func integer(
        _ name: String, _ flag: String, _ range: ClosedRange<Int>, _ help: String, unset: String = "",
        get: @escaping @Sendable (Settings) -> Int?, set: @escaping @Sendable (inout Settings, Int) -> Void
    ) -> SettingsKey {
        SettingsKey(
            name, flag, "N", .integer(range), help, unset: unset,
            store: { if case .integer(let value) = $1 { set(&$0, value) } }, show: { get($0).map(String.init) })
    }
}
