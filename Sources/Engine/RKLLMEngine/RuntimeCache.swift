import EngineProtocol

/// Whose positions the runtime's one cache has, as the run thread knows it.
struct RuntimeCache {
    enum Holder: Equatable {
        /// Nobody's that a later run may go on with; what is in it may be found again by a prompt that begins like it.
        case nobody
        /// A conversation, with all of its turns as they were said.
        case conversation([ChatTurn])
        case session(SessionID)
        /// Something that has to be cleared before anything else runs.
        case remains
    }

    private(set) var holder = Holder.nobody
    /// What the holder has in it, as far as it could be counted: the length of a text is told by some families only.
    private(set) var positions = 0
    /// Nothing has run since the cache was empty.
    private(set) var isEmpty = true
    private var adapter: String?
    private var isCrossAttended = false

    /// Whether the turns before the last one are in it.
    func continues(_ turns: [ChatTurn]) -> Bool {
        guard turns.count > 1, case .conversation(let held) = holder else { return false }
        return turns.dropLast() == held[...]
    }

    /// - Parameter leavesSystemPrompt: the positions of the template's beginning stayed.
    mutating func clear(leavesSystemPrompt: Bool = false) {
        self = RuntimeCache()
        isEmpty = !leavesSystemPrompt
    }

    /// A run is about to put something into it.
    mutating func fill(_ work: PreparedRuns) {
        (holder, positions, isEmpty) = (.remains, 0, false)
        (adapter, isCrossAttended) = (work.adapter, work.crossAttention != nil)
    }

    mutating func hold(_ holder: Holder, positions: Int = 0) { (self.holder, self.positions) = (holder, positions) }

    /// Whether positions in it were computed in another way than the call's would be.
    func isForeign(to work: PreparedRuns) -> Bool {
        !isEmpty && (work.adapter != adapter || isCrossAttended || work.crossAttention != nil)
    }
}
