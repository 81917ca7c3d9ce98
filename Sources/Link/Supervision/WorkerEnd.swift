public import EngineProtocol
import Glibc
import Platform

/// How a worker ended, or why there is none.
public enum WorkerEnd: Sendable, Equatable {
    case crashed(signal: Int32)
    case exited(status: Int32)
    /// Killed while the kernel's count of kills for want of memory rose.
    case outOfMemory
    /// A running call made no progress.
    case stalled(what: String)
    case slowStart(seconds: Int)
    case couldNotStart(reason: String)
    /// The process may live on, but nobody can talk with it; it is ended.
    case linkBroken(reason: String)
    /// It said that there is no room for the model now.
    case mayFitLater(reason: String)

    /// The end in words, to be read after "the worker".
    public var text: String {
        switch self {
        case .crashed(let signal): "killed by \(Signals.name(of: signal))"
        case .exited(let status): "exited with status \(status)"
        case .outOfMemory: "killed by SIGKILL, probably because memory ran out"
        case .stalled(let what): "stalled: \(what)"
        case .slowStart(let seconds): "did not load within \(seconds) s"
        case .couldNotStart(let reason): "could not be started: \(reason)"
        case .linkBroken(let reason): "closed its link (\(reason))"
        case .mayFitLater(let reason): reason
        }
    }

    /// What clients are told about calls that ended with the worker.
    public var loss: WorkerLoss {
        if case .stalled = self { .stalled } else { .crashed }
    }

    /// Whether a request that the worker computed may be to blame.
    ///
    /// No worker sends itself SIGKILL or SIGTERM, and none has requests before it has loaded its model.
    public var mayBeARequestsFault: Bool {
        switch self {
        case .crashed(let signal): signal != SIGKILL && signal != SIGTERM
        case .exited, .outOfMemory, .stalled, .linkBroken: true
        case .slowStart, .couldNotStart, .mayFitLater: false
        }
    }

    /// The case without its details: a label of metrics and logs.
    public enum Kind: String, Sendable, CaseIterable {
        case crashed
        case exited
        case outOfMemory = "out_of_memory"
        case stalled
        case slowStart = "slow_start"
        case couldNotStart = "could_not_start"
        case linkBroken = "link_broken"
        case mayFitLater = "may_fit_later"
    }

    public var kind: Kind {
        switch self {
        case .crashed: .crashed
        case .exited: .exited
        case .outOfMemory: .outOfMemory
        case .stalled: .stalled
        case .slowStart: .slowStart
        case .couldNotStart: .couldNotStart
        case .linkBroken: .linkBroken
        case .mayFitLater: .mayFitLater
        }
    }
}
