import EngineProtocol
import Platform
import Supervision

/// Sessions at the channel's worker: they are opened there by calls like any other, and end with it.
extension ModelChannel {
    func makeSession() throws(EngineError) -> ServedSession {
        guard sessions.count < limits.sessionsPerModel else {
            throw .resourceExhausted(
                message: "the model has \(sessions.count) open sessions, which is the limit", permanent: false)
        }
        let session = ServedSession(id: SessionID(rawValue: nextSession), model: name, channel: self)
        nextSession += 1
        sessions[session.id] = session
        return session
    }

    /// Whether calls of a session that this generation of workers has can be sent.
    func isServing(_ generation: UInt16) -> Bool {
        supervisor.state.phase == .ready && supervisor.generation == generation
    }

    func check(_ session: ServedSession, for request: EngineRequest) throws(EngineError) {
        guard request.sessionID == session.id else {
            throw .invalidRequest(parameter: "session", message: "the request is not one of this session")
        }
        guard !session.isLost else { throw .workerLost(.crashed, retryAfterMilliseconds: 0) }
    }

    /// A call in a session is over: at the worker, or before it was there.
    func noteEnded(_ call: ServedCall) {
        guard let session = call.session, call.countsInSession else { return }
        call.countsInSession = false
        session.calls -= 1
        guard session.calls == 0 else { return }
        if session.phase == .closed { return closeAtWorker(session) }
        // Its listener is told of the end before it is told that the next call may come.
        loop.atEndOfTurn { [weak session] in
            if let session, !session.isBusy { session.onIdle() }
        }
    }

    /// Forgets a session; the worker is told once nothing runs in it.
    func close(_ session: ServedSession) {
        let isAtWorker: Bool
        switch session.phase {
        case .opening: isAtWorker = session.isBusy
        case .open(let generation): isAtWorker = isServing(generation)
        case .lost: isAtWorker = false
        case .closed: return
        }
        session.phase = .closed
        session.onIdle = {}
        if !isAtWorker { sessions[session.id] = nil } else if !session.isBusy { closeAtWorker(session) }
    }

    private func closeAtWorker(_ session: ServedSession) {
        guard sessions.removeValue(forKey: session.id) != nil else { return }
        let call = CallID(generation: supervisor.generation, sequence: nextSequence)
        nextSequence += 1
        // Nobody waits for the answer, and a worker that is gone has closed it already.
        try? supervisor.send(.closeSession(session.id), call: call)
    }

    /// Those that were open went with their worker.
    func loseSessions() {
        for session in sessions.values {
            switch session.phase {
            case .opening: continue
            case .open, .lost: session.phase = .lost
            case .closed: sessions[session.id] = nil
            }
        }
    }

    /// Ends a generation so that another call of its session can go on with it.
    func pause(_ call: ServedCall) {
        guard call.session != nil else { return }
        call.isPausing = true
        sendPause(of: call)
    }

    /// A worker that prepares a call does not hear that it is to pause: it is told again when it has begun.
    func sendPause(of call: ServedCall) {
        guard call.isPausing, case .sent(let id) = call.phase else { return }
        // A worker that is gone needs none.
        try? supervisor.send(.pause, call: id)
    }
}
