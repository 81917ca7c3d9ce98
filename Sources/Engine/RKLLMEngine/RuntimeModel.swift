import CRKLLM
import EngineProtocol
import Glibc

/// Which library to load.
public struct RuntimeChoice: Sendable, Equatable {
    /// A path, or a name that the loader searches.
    public var path: String
    /// What the operator says about it; nil: the library shows it itself.
    public var family: RuntimeFamily?

    public static let defaultName = "librkllmrt.so"

    public init(path: String = RuntimeChoice.defaultName, family: RuntimeFamily? = nil) {
        self.path = path
        self.family = family
    }
}

/// The vendor's library with one model in it.
///
/// Runs come from one thread, one after the other; `abort` comes from any other one.
final class RuntimeModel: @unchecked Sendable {
    let family: RuntimeFamily
    /// Positions as the runtime has them.
    let contextLength: Int
    private let library: OpaquePointer
    private let handle: UnsafeMutableRawPointer
    /// The runtime may keep the pointer.
    private let path: UnsafeMutablePointer<CChar>

    /// - Parameters:
    ///   - path: of the model's file.
    ///   - processors: for what the NPU does not do; 0 is the runtime's default.
    ///   - lastWords: what the runtime printed last, asked when it refuses the model.
    init(
        path: String, choice: RuntimeChoice, context: Int32, processors: Int, lastWords: () -> String
    ) throws(EngineError) {
        (library, family) = try Self.library(choice)
        guard let kept = strdup(path) else { throw .resourceExhausted(message: "no memory", permanent: false) }
        var settings = apus_rkllm_settings(
            model_path: kept, context: context, processors: Int32(processors),
            processor_mask: Self.mask(processors), sampling: .unchanged)
        var handle: UnsafeMutableRawPointer?
        let code = apus_rkllm_load(library, &settings, &handle)
        guard code == 0, let handle else {
            free(kept)
            guard code != 0 else {
                throw .resourceExhausted(
                    message: "the Rockchip runtime made no model and gave no reason; the NPU's memory may be full"
                        + lastWords(), permanent: false)
            }
            throw .invalidRequest(
                parameter: "model",
                message: "the Rockchip runtime refused the model (rkllm_init: \(code))\(lastWords())")
        }
        self.handle = handle
        self.path = kept
        contextLength = Int(settings.context)
    }

    /// Gives everything back; nothing may be called afterwards.
    ///
    /// The library stays: threads of its own may still run in it.
    func unload() {
        _ = apus_rkllm_unload(library, handle)
        free(path)
    }

    private static func library(_ choice: RuntimeChoice) throws(EngineError) -> (OpaquePointer, RuntimeFamily) {
        var words = [CChar](repeating: 0, count: 512)
        guard let library = apus_rkllm_open(choice.path, &words, words.count) else {
            throw refusal("it cannot be loaded: \(text(words))")
        }
        var failure = "it lacks functions of every release"
        if apus_rkllm_exports(library, "rkllm_createDefaultParam"), apus_rkllm_exports(library, "rkllm_run") {
            let evidence = evidence(of: library, configured: choice.family)
            if let family = evidence.family, apus_rkllm_use(library, family.code) { return (library, family) }
            failure = "it is not certain which release it is, and a wrong guess would corrupt memory: \(evidence.text)"
        }
        apus_rkllm_close(library)
        throw refusal(failure)
    }

    private static func evidence(of library: OpaquePointer, configured: RuntimeFamily?) -> FamilyEvidence {
        var defaults = [UInt8](repeating: 0, count: Int(apus_rkllm_default_bytes))
        apus_rkllm_defaults(library, &defaults)
        return FamilyEvidence(
            configured: configured, bannerVersion: Int(apus_rkllm_banner_version(library)),
            exportsClearing: apus_rkllm_exports(library, "rkllm_clear_kv_cache"),
            exportsCacheSizes: apus_rkllm_exports(library, "rkllm_get_kv_cache_size"), defaults: defaults)
    }

    private static func refusal(_ reason: String) -> EngineError {
        .invalidRequest(parameter: "rkllm_runtime", message: "the Rockchip runtime cannot be used: \(reason)")
    }

    private static func text(_ words: [CChar]) -> String {
        String(decoding: words.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// The highest of eight processors: the fast ones, where there are two kinds.
    private static func mask(_ processors: Int) -> UInt32 {
        processors > 0 ? UInt32(0xFF << (8 - min(8, processors)) & 0xFF) : 0
    }

    // MARK: Runs

    /// Runs until the end, and hands each result over before the runtime takes it back.
    ///
    /// - Returns: what the runtime returned.
    func run(_ run: PreparedRun, of call: RunningCall) -> Int32 {
        let context = Unmanaged.passUnretained(call)
        defer { withExtendedLifetime(call) {} }
        var sampling = run.sampling
        return withUnsafePointer(to: &sampling) { sampling in
            var arguments = apus_rkllm_run(
                mode: run.mode, input: apus_rkllm_prompt, data: nil, count: 0, thinks: run.thinks,
                keeps_history: run.turns != nil && family.keepsHistory,
                sampling: family.samplesPerRun ? sampling : nil,
                max_new_tokens: Int32(clamping: max(1, run.maximumTokens)),
                callback: { context, result in
                    guard let context, let result else { return }
                    Unmanaged<RunningCall>.fromOpaque(context).takeUnretainedValue().take(result.pointee)
                }, context: context.toOpaque())
            return run.input.withBytes { kind, data, count in
                (arguments.input, arguments.data, arguments.count) = (kind, data, count)
                return apus_rkllm_run(library, handle, &arguments)
            }
        }
    }

    /// Asks the run to end; what it returns is the runtime's business.
    func abort() { _ = apus_rkllm_abort(library, handle) }

    /// - Parameter keepsSystemPrompt: the positions of the template's beginning stay.
    func clearCache(keepsSystemPrompt: Bool) { _ = apus_rkllm_clear_cache(library, handle, keepsSystemPrompt) }
}

extension apus_rkllm_sampling {
    /// A number of tokens that is more than any vocabulary has: all of them.
    static let everyToken: Int32 = 1 << 20

    /// What the parameters' defaults of a request mean: nothing is changed.
    static var unchanged: apus_rkllm_sampling {
        apus_rkllm_sampling(
            top_k: everyToken, top_p: 1, temperature: 1, repeat_penalty: 1, frequency_penalty: 0, presence_penalty: 0,
            mirostat: 0, mirostat_tau: 5, mirostat_eta: 0.1)
    }
}
