import CRKLLM

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
    var hasThinking: Bool { self >= .release12 }
    /// Sampling parameters come with a run; before, they came with the model.
    var samplesPerRun: Bool { self >= .release13 }
}
