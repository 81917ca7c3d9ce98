import CRKLLM
import EngineProtocol

/// A family of the runtime's binary interface, by the releases that share it, and what it can do.
public enum RuntimeFamily: String, Sendable, CaseIterable, Comparable {
    case release11 = "1.1"
    case release120 = "1.2.0"
    case release12 = "1.2"
    case release13 = "1.3"

    public static func < (left: RuntimeFamily, right: RuntimeFamily) -> Bool {
        left.code.rawValue < right.code.rawValue
    }

    var code: apus_rkllm_family {
        switch self {
        case .release11: apus_rkllm_110
        case .release120: apus_rkllm_120
        case .release12: apus_rkllm_121
        case .release13: apus_rkllm_130
        }
    }

    /// Text goes through the template of the converted model; before, it was the application's business.
    var appliesTemplate: Bool { self >= .release120 }
    /// The cache can keep a conversation, and be cleared.
    var keepsHistory: Bool { self >= .release120 }
    var hasLogits: Bool { self >= .release120 }
    /// Processors can be chosen, and the embedding table be read from storage.
    var choosesProcessors: Bool { self >= .release120 }
    /// Roles, tools and thinking.
    var hasTools: Bool { self >= .release12 }
    /// A run can be paused, and positions of a paused one be cleared.
    var pauses: Bool { self >= .release12 }
    var tellsCacheSizes: Bool { self >= .release12 }
    var hasCrossAttention: Bool { self >= .release12 }
    var hasBatches: Bool { self >= .release12 }
    /// A prompt may have several images, and their size counts.
    var countsImages: Bool { self >= .release12 }
    var hasVideos: Bool { self >= .release13 }
    /// Sampling parameters, and what stands around images, come with a run; before, they came with the model.
    var choosesPerRun: Bool { self >= .release13 }

    /// Refuses what this family does not have.
    func require(_ has: KeyPath<RuntimeFamily, Bool>, _ feature: String) throws(EngineError) {
        if !self[keyPath: has] { throw .unsupported(feature: "\(feature) with runtime \(rawValue)") }
    }
}
