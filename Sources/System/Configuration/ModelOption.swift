/// One thing that can be set for a single model in the configuration file.
///
/// The table `all` is the only list of them: reading, `apus config check` and the reference page come from it.
public struct ModelOption: Sendable {
    /// The member's name in the model's object.
    public let name: String
    public let kind: SettingKind
    public let help: String
    let store: @Sendable (inout ModelOptions, SettingValue) -> Void
    /// The value as text; nil where nothing is set.
    let show: @Sendable (ModelOptions) -> String?

    public static let all: [ModelOption] = own + rkllm

    private static let rkllm = RKLLMOption.all.map { option in
        ModelOption(
            name: option.name, kind: option.kind, help: "As `engine.\(option.name)`.",
            store: { option.set(&$0.rkllm, $1) }, show: { option.text($0.rkllm) })
    }

    private static let own: [ModelOption] = [
        integer("context", 16...(1 << 24), "As `engine.context`.") {
            $0.context
        } set: {
            $0.context = $1
        },
        integer("parallel", 1...256, "As `engine.parallel`.") {
            $0.parallel
        } set: {
            $0.parallel = $1
        },
        integer("threads", 1...256, "As `engine.threads`.") {
            $0.threads
        } set: {
            $0.threads = $1
        },
        choice("kv_cache", Settings.kvCacheTypes, "As `engine.kv_cache`.") {
            $0.kvCache
        } set: {
            $0.kvCache = $1
        },
        ModelOption(
            name: "draft_model", kind: .path, help: "As `engine.draft_model`.",
            store: { if case .text(let path) = $1 { $0.draftModel = path } }, show: { $0.draftModel }),
        choice("load", Settings.loadTimes, "As `engine.load`.") {
            $0.load
        } set: {
            $0.load = $1
        },
        integer("idle_unload_seconds", Settings.idleUnloadRange, "As `engine.idle_unload_seconds`.") {
            $0.idleUnloadSeconds
        } set: {
            $0.idleUnloadSeconds = $1
        },
        integer(
            "memory_mib", Settings.memoryRange,
            "Memory that its weights, buffers and KV cache may take together. Default: a share of the budget."
        ) {
            $0.memoryMebibytes
        } set: {
            $0.memoryMebibytes = $1
        },
    ]

    private static func integer(
        _ name: String, _ range: ClosedRange<Int>, _ help: String,
        get: @escaping @Sendable (ModelOptions) -> Int?, set: @escaping @Sendable (inout ModelOptions, Int) -> Void
    ) -> ModelOption {
        ModelOption(
            name: name, kind: .integer(range), help: help,
            store: { if case .integer(let value) = $1 { set(&$0, value) } }, show: { get($0).map(String.init) })
    }

    private static func choice(
        _ name: String, _ words: [String], _ help: String,
        get: @escaping @Sendable (ModelOptions) -> String?,
        set: @escaping @Sendable (inout ModelOptions, String) -> Void
    ) -> ModelOption {
        ModelOption(
            name: name, kind: .choice(words), help: help,
            store: { if case .text(let word) = $1 { set(&$0, word) } }, show: get)
    }
}
