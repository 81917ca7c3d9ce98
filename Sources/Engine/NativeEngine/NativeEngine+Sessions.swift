public import EngineProtocol
import Platform

/// Sessions: what a client said and heard before, for its next generation.
extension NativeEngine {
    public func openSession(_ id: SessionID) throws(EngineError) -> SessionState {
        try state.withLock { state throws(EngineError) in try state.sessions.open(id) }
    }

    /// Removes a session; what runs in it is cancelled.
    public func closeSession(_ id: SessionID) throws(EngineError) -> SessionState {
        try state.change { state throws(EngineError) in
            let session = try state.sessions.close(id)
            if let cache = session.cache { state.unpin(cache.blocks) }
            if let call = session.running, state.live.contains(call) {
                state.cancelRequests.insert(call)
                interruption.request()
            }
            return SessionState()
        }
    }

    /// Changes a session while nothing runs in it.
    ///
    /// - Parameter file: the prompt cache to load.
    public func changeSession(
        _ id: SessionID, _ change: SessionChange, file: SessionFile? = nil
    ) throws(EngineError) -> SessionState {
        switch change {
        case .clear(let keepsSystemPrompt):
            let before = try session(id)
            let kept = keepsSystemPrompt ? model.systemPrompt(of: before.history) : SessionHistory()
            return try self.change(id) { session throws(EngineError) in
                try session.check(revision: before.revision)
                try session.clear(keeping: kept)
            }
        case .clearRange(let first, let end):
            return try self.change(id) { session throws(EngineError) in
                try session.clearRange(first: first, end: end) { $0.remove($1) }
            }
        case .loadCache:
            guard let file else {
                throw .invalidRequest(parameter: "prompt_cache", message: "no file came to load the prompt cache from")
            }
            return try loadCache(id, from: file)
        case .releaseCache: return try releaseCache(id)
        }
    }

    func session(_ id: SessionID) throws(EngineError) -> SessionTable.EngineSession {
        try state.withLock { state throws(EngineError) in try state.sessions.session(id) }
    }

    private func change(
        _ id: SessionID, _ body: (inout SessionTable.EngineSession) throws(EngineError) -> Void
    ) throws(EngineError) -> SessionState {
        try state.withLock { state throws(EngineError) in try state.sessions.change(id, body) }
    }

    /// Renders, tokenizes and checks a generation of a session, or of none.
    ///
    /// - Parameter file: where the prompt's cache is written.
    public func prepare(
        _ request: GenerateRequest, file: SessionFile? = nil
    ) throws(EngineError) -> PreparedGeneration {
        guard let use = request.session else { return try model.prepare(request) }
        return try model.prepare(request, in: try session(use.id).turn(use), file: file)
    }

    /// Ends a generation of a session before it chooses its next token, and keeps its answer for `Input.resumed`.
    ///
    /// It takes effect from `accepted` on, also while the prompt is computed. Unknown calls, those of no session and
    /// those of several sequences are ignored.
    public func pause(_ call: CallID) {
        state.change { state in
            guard state.live.contains(call) else { return }
            state.pauseRequests.insert(call)
        }
    }
}
