import CRKLLM
import EngineProtocol
import Platform

/// The vendor's library, once it is certain which release it is.
final class RuntimeLibrary: Sendable {
    nonisolated(unsafe) let library: OpaquePointer
    let family: RuntimeFamily
    /// What the runtime printed last, for errors; empty, or beginning with a colon.
    let lastWords: @Sendable () -> String

    init(_ choice: RuntimeChoice, lastWords: @escaping @Sendable () -> String) throws(EngineError) {
        (library, family) = try Self.open(choice)
        self.lastWords = lastWords
    }

    private static func open(_ choice: RuntimeChoice) throws(EngineError) -> (OpaquePointer, RuntimeFamily) {
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

    // MARK: Failures

    /// What a function returned, as an error if it is one.
    func check(_ code: Int32, _ function: String) throws(EngineError) {
        guard code != apus_rkllm_absent else {
            throw .unsupported(feature: "\(function), which this library of the Rockchip runtime lacks")
        }
        if code != 0 { throw failure("failed (\(function): \(code))\(lastWords())") }
    }

    /// - Parameter what: what the runtime did.
    func failure(_ what: String) -> EngineError {
        .internalError(id: String(SystemRandom.next(), radix: 16), message: "the Rockchip runtime \(what)")
    }
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

    func isEqual(to other: apus_rkllm_sampling) -> Bool {
        (top_k, top_p, temperature) == (other.top_k, other.top_p, other.temperature)
            && (repeat_penalty, frequency_penalty, presence_penalty)
                == (other.repeat_penalty, other.frequency_penalty, other.presence_penalty)
            && (mirostat, mirostat_tau, mirostat_eta) == (other.mirostat, other.mirostat_tau, other.mirostat_eta)
    }
}
