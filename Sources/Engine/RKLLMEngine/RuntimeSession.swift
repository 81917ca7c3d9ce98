import EngineProtocol

/// What is known of a session; its positions are in the runtime's cache, if another call has not displaced them.
struct RuntimeSession: Sendable {
    /// The token with which the paused answer goes on, which the runtime has not computed yet.
    var pausedAt: Int32?
    /// The last run kept its history.
    var keptHistory = false
    /// What the last run was computed with.
    var adapter: String?
    /// The prompt cache that was loaded for it.
    var promptCache: PromptCache?

    /// Whether the session has positions that a run may go on after.
    func goesOn(with use: SessionUse) -> Bool { pausedAt != nil || keptHistory && use.keepsHistory }

    /// Nothing of what was said counts any more.
    mutating func forget() { (pausedAt, keptHistory, adapter) = (nil, false, nil) }
}
