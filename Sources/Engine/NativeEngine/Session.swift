import EngineProtocol

/// One session: what it holds, and what may be done to it now.
///
/// It holds tokens and no blocks of the KV cache, which is only a cache of them: an idle session takes none, and what
/// was evicted is computed again with the same bits. A value without clock, threads or model.
///
/// | State | Leaves it by |
/// |---|---|
/// | idle: empty, or with the history that the last generation kept | `begin` |
/// | paused: with the history and an answer that can go on | `begin`, `clear` |
/// | running: with what it had before | `end` |
struct Session<Answer: Sendable>: Sendable {
    /// How a generation ends.
    enum End: Sendable {
        /// It left this behind, which is forgotten unless it keeps the history.
        case done(SessionHistory)
        case paused(SessionHistory, Answer)
        /// The session is as it was before.
        case failed
    }

    /// What a generation may use.
    struct Turn: Sendable {
        let use: SessionUse
        let revision: UInt64
        /// Of the blocks of its loaded prompt cache; nil: it has none.
        let cacheSalt: String?
        /// What it goes on after; empty where the session begins anew.
        let history: SessionHistory
        let paused: Answer?
    }

    let id: SessionID
    private(set) var history = SessionHistory()
    /// Of the last generation, if it was paused.
    private(set) var paused: Answer?
    /// The prompt cache that was loaded; it outlives what the session says.
    private(set) var cache: LoadedCache?
    /// The generation that runs.
    private(set) var running: CallID?
    private var runningKeepsHistory = false
    /// Rises with every change, so that what was prepared for another state is noticed.
    private(set) var revision: UInt64 = 0

    init(id: SessionID) { self.id = id }

    var state: SessionState {
        SessionState(
            positions: UInt32(clamping: history.positions), cachedPositions: UInt32(clamping: cache?.positions ?? 0),
            isPaused: paused != nil)
    }

    // MARK: Generations

    /// What a generation would go on after.
    ///
    /// The last one kept its history, or there is none.
    func turn(_ use: SessionUse) throws(EngineError) -> Turn {
        try checkIdle()
        let goesOn = use.keepsHistory || paused != nil
        return Turn(
            use: use, revision: revision, cacheSalt: cache?.salt, history: goesOn ? history : SessionHistory(),
            paused: paused)
    }

    /// Refuses what was prepared for another state than this one.
    func check(revision: UInt64) throws(EngineError) {
        try checkIdle()
        guard revision == self.revision else {
            throw Self.refusal(id, "was changed while the request was prepared")
        }
    }

    mutating func begin(_ call: CallID, keepsHistory: Bool) {
        running = call
        runningKeepsHistory = keepsHistory
        revision += 1
    }

    mutating func end(_ end: End) {
        switch end {
        case .done(let left):
            history = runningKeepsHistory ? left : SessionHistory()
            paused = nil
        case .paused(let left, let answer):
            history = left
            paused = answer
        case .failed: break
        }
        running = nil
        revision += 1
    }

    // MARK: Changes

    /// Forgets everything but the beginning that is given.
    mutating func clear(keeping kept: SessionHistory = SessionHistory()) throws(EngineError) {
        try checkIdle()
        history = kept
        paused = nil
        revision += 1
    }

    /// Forgets some positions, and tells the paused answer about it.
    mutating func clearRange(
        first: UInt32, end: UInt32, note: (inout Answer, Range<Int>) -> Void
    ) throws(EngineError) {
        try checkIdle()
        guard var answer = paused else { throw Self.refusal(id, "is not paused; only then positions can be cleared") }
        guard first <= end, Int(end) <= history.positions else {
            throw .invalidRequest(
                parameter: "end_pos",
                message: "positions \(first) to before \(end) cannot be cleared, the session has \(history.positions)")
        }
        let range = Int(first)..<Int(end)
        history.remove(range)
        note(&answer, range)
        paused = answer
        revision += 1
    }

    /// Takes another prompt cache, or none, and returns the one before.
    mutating func replaceCache(by other: LoadedCache?) throws(EngineError) -> LoadedCache? {
        try checkIdle()
        defer { cache = other }
        revision += 1
        return cache
    }

    func checkIdle() throws(EngineError) {
        if running != nil { throw Self.refusal(id, "has a generation that has not ended") }
    }

    static func refusal(_ id: SessionID, _ reason: String) -> EngineError {
        .invalidRequest(parameter: "session", message: "session \(id.rawValue) \(reason)")
    }
}

/// Blocks of the KV cache whose content came from a file.
///
/// Only prompts with its salt find them, which are those of one session: a file can change nobody else's answers.
struct LoadedCache: Sendable, Equatable {
    /// Positions that can be found.
    let positions: Int
    let blocks: [Int32]
    let salt: String
}
