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
    /// Whether a running server takes a new value when it reads its settings again.
    public let reloads: Bool
    let store: @Sendable (inout Settings, SettingValue) -> Void
    /// The value as text; nil where nothing is set.
    let show: @Sendable (Settings) -> String?
    /// What nothing set means.
    public let unset: String

    private init(
        _ name: String, _ flag: String, _ placeholder: String, _ kind: SettingKind, _ help: String,
        unset: String = "", reloads: Bool = false,
        store: @escaping @Sendable (inout Settings, SettingValue) -> Void,
        show: @escaping @Sendable (Settings) -> String?
    ) {
        self.name = name
        self.flag = "--" + flag
        environment = "APUS_" + flag.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
        self.placeholder = placeholder
        self.kind = kind
        self.help = help
        self.reloads = reloads
        self.unset = unset
        self.store = store
        self.show = show
    }

    public var defaultText: String { show(Settings()) ?? unset }

    public static let all: [SettingsKey] = server + rpc + engine + rkllm + log

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
            "server.ipc", "ipc",
            "Unix socket for local clients with shared memory; its folder has to belong to the user alone.",
            unset: "none"
        ) {
            $0.ipc
        } set: {
            $0.ipc = $1
        },
        path(
            "server.api_key_file", "api-key-file", "File with one API key on each line; clients then need one of them.",
            unset: "no key needed", reloads: true
        ) {
            $0.apiKeyFile
        } set: {
            $0.apiKeyFile = $1
        },
        path(
            "server.admin_key_file", "admin-key-file",
            "File with one administrator key on each line; they may load, unload and reload models over HTTP.",
            unset: "nobody may", reloads: true
        ) {
            $0.adminKeyFile
        } set: {
            $0.adminKeyFile = $1
        },
        list(
            "server.cors_origins", "cors-origins", .webOrigin, "Web pages that may call the API from a browser.",
            reloads: true
        ) {
            $0.corsOrigins
        } set: {
            $0.corsOrigins = $1
        },
        list(
            "server.allowed_hosts", "allowed-hosts", .host,
            "Names in a Host header that are right besides localhost and addresses.", reloads: true
        ) {
            $0.allowedHosts
        } set: {
            $0.allowedHosts = $1
        },
        integer(
            "server.max_connections", "max-connections", 1...65536, "Open connections at the same time.", reloads: true
        ) {
            $0.maximumConnections
        } set: {
            $0.maximumConnections = $1
        },
        integer(
            "server.max_body_bytes", "max-body-bytes", 1024...(32 << 20), "Largest body of a request.", reloads: true
        ) {
            $0.maximumBodyBytes
        } set: {
            $0.maximumBodyBytes = $1
        },
        integer(
            "server.idle_seconds", "idle-seconds", 1...3600, "How long a connection may stay idle.", reloads: true
        ) {
            $0.idleSeconds
        } set: {
            $0.idleSeconds = $1
        },
        integer(
            "server.drain_seconds", "drain-seconds", 0...3600, "How long running requests may go on after SIGTERM.",
            reloads: true
        ) {
            $0.drainSeconds
        } set: {
            $0.drainSeconds = $1
        },
        list(
            "server.model_roots", "model-roots", .folder,
            "Absolute paths of folders; a model that is loaded over HTTP by its path must lie below one of them.",
            reloads: true
        ) {
            $0.modelRoots
        } set: {
            $0.modelRoots = $1
        },
    ]

    private static let rpc = [
        path("rpc.socket", "rpc", "Unix socket for JSON-RPC, which only this user and root may use.", unset: "none") {
            $0.rpcSocket
        } set: {
            $0.rpcSocket = $1
        },
        SettingsKey(
            "rpc.group", "rpc-group", "GROUP", .text, "Group whose members may use it too.", unset: "none",
            store: { if case .text(let name) = $1 { $0.rpcGroup = name } }, show: { $0.rpcGroup }),
        path(
            "rpc.cache_root", "rpc-cache-root",
            "Folder of the prompt caches that an administrator's JSON-RPC runs save and load.", unset: "none",
            reloads: true
        ) {
            $0.rpcCacheRoot
        } set: {
            $0.rpcCacheRoot = $1
        },
        text("rpc.host", "rpc-host", "ADDRESS", "Loopback address for JSON-RPC over TCP.") {
            $0.rpcHost
        } set: {
            $0.rpcHost = $1
        },
        integer(
            "rpc.port", "rpc-port", 0...65535, "TCP port for JSON-RPC; 0 lets the system choose. It needs API keys.",
            unset: "none"
        ) {
            $0.rpcPort
        } set: {
            $0.rpcPort = $1
        },
        integer(
            "rpc.max_connections", "rpc-max-connections", 1...65536, "Open JSON-RPC connections at the same time.",
            reloads: true
        ) {
            $0.rpcMaximumConnections
        } set: {
            $0.rpcMaximumConnections = $1
        },
        integer(
            "rpc.max_message_bytes", "rpc-max-message-bytes", 1024...(64 << 20), "Largest JSON-RPC message.",
            reloads: true
        ) {
            $0.rpcMaximumMessageBytes
        } set: {
            $0.rpcMaximumMessageBytes = $1
        },
        integer(
            "rpc.max_runs", "rpc-max-runs", 1...1024, "Runs of one JSON-RPC connection that have not ended.",
            reloads: true
        ) {
            $0.rpcMaximumRuns
        } set: {
            $0.rpcMaximumRuns = $1
        },
        integer(
            "rpc.requests_per_second", "rpc-requests-per-second", 1...1_000_000,
            "Requests of one JSON-RPC connection; twice as many may come at once.", reloads: true
        ) {
            $0.rpcRequestsPerSecond
        } set: {
            $0.rpcRequestsPerSecond = $1
        },
    ]

    private static let engine = [
        integer(
            "engine.threads", "threads", 1...256, "Compute threads of a worker.", unset: "as the machine allows",
            reloads: true
        ) {
            $0.threads
        } set: {
            $0.threads = $1
        },
        integer(
            "engine.context", "context", 16...(1 << 24), "Positions of one sequence, prompt and answer together.",
            unset: "the model's, as far as memory allows", reloads: true
        ) {
            $0.context
        } set: {
            $0.context = $1
        },
        integer(
            "engine.parallel", "parallel", 1...256, "Sequences that decode together.", unset: "the engine's",
            reloads: true
        ) {
            $0.parallel
        } set: {
            $0.parallel = $1
        },
        SettingsKey(
            "engine.kv_cache", "kv-cache", "TYPE", .choice(Settings.kvCacheTypes),
            "How keys and values are stored; q8_0 takes about half of f16's memory.",
            reloads: true,
            store: { if case .text(let word) = $1 { $0.kvCache = word } }, show: { $0.kvCache }),
        path(
            "engine.draft_model", "draft-model",
            "Smaller model with the same tokenizer that guesses what the models say next; it changes no text.",
            unset: "none", reloads: true
        ) {
            $0.draftModel
        } set: {
            $0.draftModel = $1
        },
        integer(
            "engine.load_seconds", "load-seconds", 1...86400, "How long loading a model may take.", reloads: true
        ) {
            $0.loadSeconds
        } set: {
            $0.loadSeconds = $1
        },
        integer(
            "engine.stall_seconds", "stall-seconds", 1...86400,
            "How long a worker with requests may make no progress, not even within a step, before it is replaced.",
            reloads: true
        ) {
            $0.stallSeconds
        } set: {
            $0.stallSeconds = $1
        },
        SettingsKey(
            "engine.committed_cache", "committed-cache", "SIZE", .choice(Settings.committedCacheSizes),
            "What a model takes of its KV cache's memory when it is loaded: room for one whole context, or all of it.",
            reloads: true,
            store: { if case .text(let word) = $1 { $0.committedCache = word } }, show: { $0.committedCache }),
        integer(
            "engine.memory_budget_mib", "memory-budget-mib", Settings.memoryRange,
            "Memory in MiB that all models may take together; idle models are unloaded to stay within it.",
            unset: "15/16 of the machine's or its control group's memory, less 64 MiB"
        ) {
            $0.memoryBudgetMebibytes
        } set: {
            $0.memoryBudgetMebibytes = $1
        },
        SettingsKey(
            "engine.load", "load", "WHEN", .choice(Settings.loadTimes),
            "When models are loaded: at the start of the server, or by the first request for them.",
            reloads: true,
            store: { if case .text(let word) = $1 { $0.load = word } }, show: { $0.load }),
        integer(
            "engine.idle_unload_seconds", "idle-unload-seconds", Settings.idleUnloadRange,
            "How long a model may be idle before it is unloaded; 0 is for ever. The next request loads it again.",
            reloads: true
        ) {
            $0.idleUnloadSeconds
        } set: {
            $0.idleUnloadSeconds = $1
        },
        SettingsKey(
            "engine.confinement", "confinement", "MODE", .choice(Settings.confinementModes),
            "How workers are confined: as far as the kernel can, only completely or not at all (they do not start), off.",
            reloads: true,
            store: { if case .text(let word) = $1 { $0.confinement = word } }, show: { $0.confinement }),
        path(
            "engine.rkllm_runtime", "rkllm-runtime",
            "Library of the Rockchip NPU runtime, which runs models whose files end in .rkllm.",
            unset: "librkllmrt.so where the system's loader finds it", reloads: true
        ) {
            $0.rkllmRuntime
        } set: {
            $0.rkllmRuntime = $1
        },
        SettingsKey(
            "engine.rkllm_release", "rkllm-release", "RELEASE", .choice(Settings.rkllmReleases),
            "Which release that library is: 1.1.x, 1.2.0, 1.2.1 to 1.2.3, or 1.3.0; auto finds out.",
            reloads: true,
            store: { if case .text(let word) = $1 { $0.rkllmRelease = word } }, show: { $0.rkllmRelease }),
    ]

    private static let rkllm = RKLLMOption.all.map { option in
        SettingsKey(
            "engine." + option.name, option.words, option.placeholder, option.kind, option.help, unset: option.unset,
            reloads: true, store: { option.set(&$0.rkllm, $1) }, show: { option.text($0.rkllm) })
    }

    private static let log = [
        SettingsKey(
            "log.level", "log-level", "LEVEL", .choice(LogLevel.allCases.map(\.name)), "Least level that is logged.",
            reloads: true,
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
        _ name: String, _ flag: String, _ help: String, unset: String, reloads: Bool = false,
        get: @escaping @Sendable (Settings) -> String?, set: @escaping @Sendable (inout Settings, String) -> Void
    ) -> SettingsKey {
        SettingsKey(
            name, flag, "PATH", .path, help, unset: unset, reloads: reloads,
            store: { if case .text(let text) = $1 { set(&$0, text) } }, show: get)
    }

    private static func list(
        _ name: String, _ flag: String, _ element: SettingKind.Element, _ help: String,
        reloads: Bool = false,
        get: @escaping @Sendable (Settings) -> [String], set: @escaping @Sendable (inout Settings, [String]) -> Void
    ) -> SettingsKey {
        SettingsKey(
            name, flag, "LIST", .list(element), help, unset: "none", reloads: reloads,
            store: { if case .list(let elements) = $1 { set(&$0, elements) } },
            show: { get($0).isEmpty ? nil : get($0).joined(separator: ",") })
    }

    private static func integer(
        _ name: String, _ flag: String, _ range: ClosedRange<Int>, _ help: String, unset: String = "",
        reloads: Bool = false, get: @escaping @Sendable (Settings) -> Int?,
        set: @escaping @Sendable (inout Settings, Int) -> Void
    ) -> SettingsKey {
        SettingsKey(
            name, flag, "N", .integer(range), help, unset: unset, reloads: reloads,
            store: { if case .integer(let value) = $1 { set(&$0, value) } }, show: { get($0).map(String.init) })
    }
}
