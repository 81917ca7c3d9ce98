/// How a worker is started, whatever it will load.
public struct WorkerOptions: Sendable, Equatable {
    /// A word that `apus-worker` knows: how it is confined.
    public var confinement: String
    /// A word that `apus-worker` knows: how much of the KV cache takes memory when a model is loaded.
    public var committedCache: String
    /// Private memory that the worker may have; nil for what the machine has left.
    public var memoryBytes: UInt64?
    /// The library that runs the model; nil for the native engine.
    public var runtime: Runtime?

    /// The Rockchip NPU runtime.
    public struct Runtime: Sendable, Equatable {
        /// A path, or a name that the system's loader searches.
        public var library: String
        /// A word that `apus-worker` knows: which release it is.
        public var release: String

        public init(library: String = "librkllmrt.so", release: String = "auto") {
            self.library = library
            self.release = release
        }
    }

    public init(
        confinement: String = "best", committedCache: String = "context", memoryBytes: UInt64? = nil,
        runtime: Runtime? = nil
    ) {
        self.confinement = confinement
        self.committedCache = committedCache
        self.memoryBytes = memoryBytes
        self.runtime = runtime
    }

    var arguments: [String] {
        ["--confinement", confinement, "--cache", committedCache]
            + (memoryBytes.map { ["--memory", String($0)] } ?? [])
            + (runtime.map { ["--rkllm-runtime", $0.library, "--rkllm-release", $0.release] } ?? [])
    }

    /// What a worker needs of the gateway's environment, which may hold keys of all kinds: where libraries are, and the
    /// instruction set that somebody wants.
    private static let inherited: Set<Substring> = ["APUS_ISA", "LD_LIBRARY_PATH"]

    /// Swift's own backtracer would start a program; crashes are left to the worker's handler.
    ///
    /// - Parameter entries: `NAME=value`, as the gateway has them.
    public static func environment(from entries: [String]) -> [String] {
        entries.filter { entry in entry.firstIndex(of: "=").map { inherited.contains(entry[..<$0]) } ?? false }
            + ["SWIFT_BACKTRACE=enable=no"]
    }
}
