import EngineProtocol

/// The sessions of a worker.
struct SessionTable: Sendable {
    typealias EngineSession = Session<PausedAnswer>

    private let limits: EngineLimits
    private var sessions: [SessionID: EngineSession] = [:]
    private var loadedCaches: UInt64 = 0

    init(limits: EngineLimits) { self.limits = limits }

    var count: Int { sessions.count }

    mutating func open(_ id: SessionID) throws(EngineError) -> SessionState {
        guard sessions[id] == nil else { throw EngineSession.refusal(id, "is open already") }
        guard sessions.count < limits.sessions else {
            throw .resourceExhausted(
                message: "\(sessions.count) sessions are open, the limit is \(limits.sessions)", permanent: false)
        }
        let session = EngineSession(id: id)
        sessions[id] = session
        return session.state
    }

    func session(_ id: SessionID) throws(EngineError) -> EngineSession {
        guard let session = sessions[id] else { throw EngineSession.refusal(id, "is not open") }
        return session
    }

    /// Changes a session and says what it holds then.
    mutating func change(
        _ id: SessionID, _ body: (inout EngineSession) throws(EngineError) -> Void
    ) throws(EngineError) -> SessionState {
        var session = try session(id)
        try body(&session)
        sessions[id] = session
        return session.state
    }

    /// Removes a session, whatever runs in it, and returns it.
    mutating func close(_ id: SessionID) throws(EngineError) -> EngineSession {
        let session = try session(id)
        sessions[id] = nil
        return session
    }

    /// A salt that no request can have, as those of requests contain a zero byte or are empty.
    mutating func nextCacheSalt() -> String {
        loadedCaches += 1
        return "prompt cache \(loadedCaches)"
    }

    // MARK: Generations

    /// Refuses a generation that was prepared for another state, or for which there is no room.
    func check(_ run: SessionRun) throws(EngineError) {
        try session(run.use.id).check(revision: run.revision)
        let others = sessions.values.reduce(0) { $1.id == run.use.id ? $0 : $0 + $1.history.byteCount }
        let bytes = run.history.byteCount
        guard bytes <= limits.sessionBytes - others else {
            throw .resourceExhausted(
                message: "the session would keep \(bytes) bytes, all others keep \(others); the limit of all is "
                    + "\(limits.sessionBytes)", permanent: bytes > limits.sessionBytes)
        }
    }

    mutating func begin(_ run: SessionRun, call: CallID) {
        sessions[run.use.id]?.begin(call, keepsHistory: run.use.keepsHistory)
    }

    /// Ends a generation; of a session that was closed nobody asks.
    mutating func end(_ end: SessionEnd) {
        guard sessions[end.session]?.running == end.call else { return }
        sessions[end.session]?.end(end.end)
    }
}

/// How a generation ended, for its session.
struct SessionEnd: Sendable {
    let session: SessionID
    let call: CallID
    let end: SessionTable.EngineSession.End

    /// The same generation, if it failed after all.
    var failed: SessionEnd { SessionEnd(session: session, call: call, end: .failed) }
}
