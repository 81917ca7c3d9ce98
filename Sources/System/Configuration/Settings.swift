public import Observability

/// Everything that can be set about a server: validated, and immutable once it is loaded.
///
/// `SettingsKey.all` says for each member where it comes from, what is allowed and what it means.
public struct Settings: Sendable, Equatable {
    public enum LogStyle: String, Sendable, CaseIterable {
        /// Text on a terminal, JSON elsewhere.
        case auto, json, text
    }

    public var host = "127.0.0.1"
    public var port: UInt16 = 8080
    /// A Unix socket to listen on besides the port.
    public var socket: String?
    /// A Unix socket for clients that share memory with the server.
    public var ipc: String?
    public var apiKeyFile: String?
    public var corsOrigins: [String] = []
    public var allowedHosts: [String] = []
    public var maximumConnections = 1024
    public var maximumBodyBytes = 32 << 20
    public var idleSeconds = 75
    public var drainSeconds = 30
    /// Keys that may load, unload and reload models; nil lets nobody.
    public var adminKeyFile: String?
    /// Folders below which a model must lie that is loaded over HTTP by its path.
    public var modelRoots: [String] = []

    /// A Unix socket for JSON-RPC.
    public var rpcSocket: String?
    /// Whose members may connect to it.
    public var rpcGroup: String?
    public var rpcCacheRoot: String?
    /// A loopback address for JSON-RPC over TCP, which there is only with a port.
    public var rpcHost = "127.0.0.1"
    public var rpcPort: Int?
    public var rpcMaximumConnections = 256
    public var rpcMaximumMessageBytes = 64 << 20
    public var rpcMaximumRuns = 64
    public var rpcRequestsPerSecond = 1000

    /// Nil takes what the machine grants.
    public var threads: Int?
    /// How the KV cache stores keys and values: one of `kvCacheTypes`.
    public var kvCache = "f16"
    public static let kvCacheTypes = ["f16", "q8_0", "f32"]
    /// Positions per sequence; nil takes the model's own, as far as memory allows.
    public var context: Int?
    /// Sequences that decode together; nil takes the engine's default.
    public var parallel: Int?
    /// A smaller model that drafts for every model that is served: a path, or a word as of a model.
    public var draftModel: String?
    public var loadSeconds = 600
    public var stallSeconds = 30
    /// How much of the KV cache takes memory when a model is loaded: one of `committedCacheSizes`.
    public var committedCache = "context"
    public static let committedCacheSizes = ["context", "all"]
    /// Bytes that all models may take together, in MiB; nil is nearly what the machine or its control group has.
    public var memoryBudgetMebibytes: Int?
    /// When models are loaded: one of `loadTimes`.
    public var load = "start"
    public static let loadTimes = ["start", "demand"]
    static let idleUnloadRange = 0...(30 * 86400)
    static let memoryRange = 16...(1 << 24)
    /// How long a model may be idle before it is unloaded; 0 is for ever.
    public var idleUnloadSeconds = 0
    /// How much of its confinement a worker insists on: one of `confinementModes`.
    public var confinement = "best"
    public static let confinementModes = ["best", "required", "off"]

    /// The Rockchip NPU runtime's library; nil lets the system's loader search it.
    public var rkllmRuntime: String?
    /// Which release it is: one of `rkllmReleases`.
    public var rkllmRelease = "auto"
    public static let rkllmReleases = ["auto", "1.1", "1.2.0", "1.2", "1.3"]
    public var rkllm = RKLLMOptions()

    public var logLevel = LogLevel.info
    public var logStyle = LogStyle.auto

    /// The models to serve; none means the bundled demo model.
    public var models: [NamedModel] = []

    private var origins: [String: SettingOrigin] = [:]

    public init() {}

    /// Where the value of the key `name` comes from.
    public func origin(of name: String) -> SettingOrigin { origins[name] ?? .builtIn }

    mutating func record(_ name: String, from origin: SettingOrigin) { origins[name] = origin }
}

/// A model as the configuration names it.
public struct NamedModel: Sendable, Equatable {
    public let name: String
    /// A model file or folder, or a word that the program knows, as the user wrote it.
    public let path: String
    public var options: ModelOptions

    public init(name: String, path: String, options: ModelOptions = ModelOptions()) {
        self.name = name
        self.path = path
        self.options = options
    }
}

/// What is set for one model; where nothing is, the settings of the engine hold.
///
/// `ModelOption.all` says for each member what it is called, what is allowed and what it means.
public struct ModelOptions: Sendable, Equatable {
    public var context: Int?
    public var parallel: Int?
    public var threads: Int?
    public var kvCache: String?
    public var draftModel: String?
    public var load: String?
    public var idleUnloadSeconds: Int?
    /// Nil is a share of the memory budget.
    public var memoryMebibytes: Int?
    public var rkllm = RKLLMOptions()

    public init() {}
}

/// Who set a value.
public enum SettingOrigin: Sendable, Equatable, CustomStringConvertible {
    case builtIn
    case file(path: String)
    case environment(variable: String)
    case flag(String)
    case argument

    public var description: String {
        switch self {
        case .builtIn: "default"
        case .file(let path): "file \(path)"
        case .environment(let variable): "environment \(variable)"
        case .flag(let flag): "flag \(flag)"
        case .argument: "argument"
        }
    }
}
