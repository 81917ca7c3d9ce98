/// How the Rockchip NPU runtime loads a model; what is nil is left to the runtime.
public struct RKLLMOptions: Sendable, Equatable {
    public var baseDomain: Int?
    /// One of `switches`.
    public var embedFlash: String?
    public var cpus: Int?
    /// One bit for each processor.
    public var cpuMask: Int?
    public var batch: Int?
    /// One of `switches`.
    public var crossAttention: String?

    public static let switches = ["off", "on"]

    public init() {}

    /// With the values of another one where this has none.
    public func filled(from other: RKLLMOptions) -> RKLLMOptions {
        var filled = self
        for option in RKLLMOption.all where option.get(self) == nil {
            if let value = option.get(other) { option.set(&filled, value) }
        }
        return filled
    }
}

/// One of them, as the file, the environment and the command line know it.
struct RKLLMOption: Sendable {
    /// Without its prefix.
    let name: String
    let placeholder: String
    let kind: SettingKind
    let help: String
    let unset: String
    let get: @Sendable (RKLLMOptions) -> SettingValue?
    let set: @Sendable (inout RKLLMOptions, SettingValue) -> Void

    var words: String { name.map { $0 == "_" ? "-" : String($0) }.joined() }

    func text(_ options: RKLLMOptions) -> String? {
        switch get(options) {
        case .integer(let value)?: String(value)
        case .text(let word)?: word
        case .list?, nil: nil
        }
    }

    static let all: [RKLLMOption] = [
        integer(
            "rkllm_base_domain", 0...0xFFFF,
            "IOMMU domain in which the Rockchip runtime's memory begins; models that run beside each other need their own.",
            unset: "the runtime's, which is 0"
        ) {
            $0.baseDomain
        } set: {
            $0.baseDomain = $1
        },
        choice(
            "rkllm_embed_flash", "Reads the embedding table from storage, which takes less memory (from 1.2.0 on)."
        ) {
            $0.embedFlash
        } set: {
            $0.embedFlash = $1
        },
        integer(
            "rkllm_cpus", 1...8, "Processors that the runtime uses beside the NPU (from 1.2.0 on).",
            unset: "engine.threads, or the runtime's"
        ) {
            $0.cpus
        } set: {
            $0.cpus = $1
        },
        integer(
            "rkllm_cpu_mask", 1...255, "Which processors: the sum of 1 for CPU 0, 2 for CPU 1 and so on to 128.",
            unset: "the highest, if their number is set, or the runtime's"
        ) {
            $0.cpuMask
        } set: {
            $0.cpuMask = $1
        },
        integer(
            "rkllm_batch", 1...100, "Inputs that the runtime computes together; more than 8 are slow (from 1.2.1 on).",
            unset: "1"
        ) {
            $0.batch
        } set: {
            $0.batch = $1
        },
        choice("rkllm_cross_attention", "Models that attend to an encoder's output (from 1.2.1 on).") {
            $0.crossAttention
        } set: {
            $0.crossAttention = $1
        },
    ]

    private static func integer(
        _ name: String, _ range: ClosedRange<Int>, _ help: String, unset: String,
        get: @escaping @Sendable (RKLLMOptions) -> Int?, set: @escaping @Sendable (inout RKLLMOptions, Int) -> Void
    ) -> RKLLMOption {
        RKLLMOption(
            name: name, placeholder: "N", kind: .integer(range), help: help, unset: unset,
            get: { get($0).map { .integer($0) } }, set: { if case .integer(let value) = $1 { set(&$0, value) } })
    }

    private static func choice(
        _ name: String, _ help: String, get: @escaping @Sendable (RKLLMOptions) -> String?,
        set: @escaping @Sendable (inout RKLLMOptions, String) -> Void
    ) -> RKLLMOption {
        RKLLMOption(
            name: name, placeholder: "SWITCH", kind: .choice(RKLLMOptions.switches), help: help, unset: "off",
            get: { get($0).map { .text($0) } }, set: { if case .text(let word) = $1 { set(&$0, word) } })
    }
}
