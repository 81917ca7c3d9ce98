import CRKLLM
import EngineProtocol

/// What a call goes on after in the runtime's one cache, and what it leaves there.
extension RunningCall {
    /// Whether the runtime has what the call goes on with; refused where it should and has not.
    func goesOn(_ cache: RuntimeCache) throws(EngineError) -> Bool {
        if let name = work.adapter, !core.model.hasAdapter(name) { throw EngineCore.unknown(adapter: name) }
        if work.continues {
            guard let turns = work.runs.first?.turns, cache.continues(turns) else { throw Self.forgotten }
            return true
        }
        guard let use = work.session else { return false }
        let session = try core.session(use.id)
        guard session.pausedAt != nil || work.runs.first?.resumes == false else {
            throw .invalidRequest(parameter: "session", message: "no answer of this session is paused")
        }
        guard session.goesOn(with: use) else { return false }
        guard cache.holder == .session(use.id) else { throw EngineCore.displaced }
        guard session.pausedAt == nil || !use.keepsHistory else {
            throw .unsupported(
                feature: "a history that begins with a paused answer: the Rockchip runtime pauses single turns")
        }
        guard session.adapter == work.adapter else {
            throw .invalidRequest(
                parameter: "adapter", message: "the session goes on, so its adapter stays as it is; clear it first")
        }
        return true
    }

    /// Positions in the cache as the runtime tells them, or else as they were counted here.
    func positions(of cache: RuntimeCache) throws(EngineError) -> Int {
        core.beginLibraryCall(for: call)
        return try core.model.cachedPositions().map { Int($0) } ?? cache.positions
    }

    /// What a paused answer goes on with.
    var pausedToken: Int32? {
        get throws(EngineError) {
            try work.session.map { use throws(EngineError) in try core.session(use.id) }?.pausedAt
        }
    }

    /// What the call goes on after is gone.
    var lost: EngineError { work.session == nil ? Self.forgotten : EngineCore.displaced }

    private static let forgotten = EngineError.unsupported(
        feature: "this conversation: the Rockchip runtime remembers the last one only, and only as it was said")

    func keepsHistory(_ run: PreparedRun) -> Bool {
        if let use = work.session { return use.keepsHistory }
        return run.turns != nil && core.model.family.keepsHistory
    }

    /// The runtime tells with FINISH how long a text was, which a run that was paused does not come to.
    func countPausedPrompt(of run: PreparedRun) throws(EngineError) {
        guard run.input.hasText else { return }
        core.beginLibraryCall(for: call)
        let told = try core.model.cachedPositions().map { Int($0) } ?? 0
        count(promptTokens: max(elements[0].inputTokens, told - elements[0].generated), element: 0)
    }

    /// Whose the positions in the cache are after a run.
    ///
    /// - Parameter isWhole: the run came to its end, or to a pause, by itself.
    func leaveHistory(of run: PreparedRun, isWhole: Bool, cache: inout RuntimeCache) {
        if let use = work.session { return remember(use, isWhole: isWhole, cache: &cache) }
        if let turns = run.turns, isWhole, !elements[0].hasToolCalls {
            let said = ChatTurn(role: .assistant, text: elements[0].said)
            cache.hold(.conversation(turns + [said]), positions: elements[0].positions)
        } else if run.turns == nil, run.mode == apus_rkllm_generate, isWhole {
            cache.hold(.nobody)
        }
    }

    private func remember(_ use: SessionUse, isWhole: Bool, cache: inout RuntimeCache) {
        guard var session = try? core.session(use.id) else { return }
        session.adapter = work.adapter
        session.pausedAt = isPaused ? elements[0].lastToken : nil
        session.keptHistory = use.keepsHistory
        core.keep(session, as: use.id)
        if isWhole, use.keepsHistory || isPaused {
            cache.hold(.session(use.id), positions: elements[0].positions)
        } else if isWhole {
            cache.hold(.nobody)
        }
    }
}
