public import EngineProtocol
import Platform

/// What is done between runs, in turn with them.
public struct RuntimeTask: Sendable {
    enum Action: Sendable {
        case change(SessionID, SessionChange, RuntimeFile?)
        case loadAdapter(AdapterRequest, RuntimeFile)
        case unloadAdapter(name: String)
    }

    let action: Action
}

extension EngineCore {
    /// Does a task on the run thread, and tells what came of it.
    func perform(_ task: RuntimeTask, call: CallID, cache: inout RuntimeCache) -> EngineEvent {
        do throws(EngineError) {
            switch task.action {
            case .change(let id, let change, let file):
                return .result(.session(try self.change(id, change, file, cache: &cache)))
            case .loadAdapter(let request, let file):
                try loadAdapter(request, file, cache: &cache)
            case .unloadAdapter(let name):
                guard model.hasAdapter(name) else { throw Self.unknown(adapter: name) }
                model.forgetAdapter(name)
            }
            return .result(.done)
        } catch {
            return .failed(error)
        }
    }

    static func unknown(adapter name: String) -> EngineError {
        .invalidRequest(parameter: "adapter", message: "there is no adapter '\(name)'")
    }

    static func unknown(_ id: SessionID) -> EngineError {
        .invalidRequest(parameter: "session", message: "there is no session \(id.rawValue)")
    }

    func session(_ id: SessionID) throws(EngineError) -> RuntimeSession {
        guard let session = queue.withLock({ $0.sessions[id] }) else { throw Self.unknown(id) }
        return session
    }

    /// Keeps what is known of a session, unless it was closed meanwhile.
    func keep(_ session: RuntimeSession, as id: SessionID) {
        queue.withLock { queue in
            if queue.sessions[id] != nil { queue.sessions[id] = session }
        }
    }

    // MARK: Sessions

    private func change(
        _ id: SessionID, _ change: SessionChange, _ file: RuntimeFile?, cache: inout RuntimeCache
    ) throws(EngineError) -> SessionState {
        var session = try session(id)
        let holds = cache.holder == .session(id)
        switch change {
        case .clear(let keepsSystemPrompt):
            session.forget()
            keep(session, as: id)
            guard holds else { break }
            cache.hold(.remains)
            try model.clearCache(keepsSystemPrompt: keepsSystemPrompt, mustSucceed: true)
            cache.clear(leavesSystemPrompt: keepsSystemPrompt)
        case .clearRange(let first, let end):
            try clearRange(first, end, isPaused: session.pausedAt != nil, holds: holds)
        case .loadCache:
            guard let file else {
                throw .invalidRequest(parameter: "prompt_cache", message: "no file came with the request")
            }
            let loaded = try PromptCache(readingFrom: file, of: model.identity, limits: limits)
            try model.use(loaded)
            session.promptCache = loaded
            keep(session, as: id)
        case .releaseCache:
            if let cache = session.promptCache, cache === model.promptCache { try model.use(nil) }
            session.promptCache = nil
            keep(session, as: id)
        }
        return try state(of: session, holds: cache.holder == .session(id))
    }

    private func clearRange(_ first: UInt32, _ end: UInt32, isPaused: Bool, holds: Bool) throws(EngineError) {
        try model.family.require(\.pauses, "clearing of a range of positions")
        guard isPaused else {
            throw .invalidRequest(
                parameter: "session", message: "a range of positions can be cleared only while an answer is paused")
        }
        guard holds else { throw Self.displaced }
        let positions = try model.cachedPositions() ?? 0
        guard first < end, end <= positions else {
            throw .invalidRequest(
                parameter: "end_pos", message: "the range is \(first) to \(end), and there are \(positions) positions")
        }
        try model.clearRange(first: Int32(clamping: first), end: Int32(clamping: end))
    }

    static let displaced = EngineError.unsupported(
        feature: "going on with this session: the Rockchip runtime has one cache, and since the session's last answer "
            + "another call used it, or that answer was cut. Clear the session and send the whole conversation")

    func state(of session: RuntimeSession, holds: Bool) throws(EngineError) -> SessionState {
        SessionState(
            positions: holds ? try model.cachedPositions() ?? 0 : 0,
            cachedPositions: session.promptCache.map { max(1, $0.positions) } ?? 0,
            isPaused: holds && session.pausedAt != nil)
    }

    // MARK: Adapters

    private func loadAdapter(
        _ request: AdapterRequest, _ file: RuntimeFile, cache: inout RuntimeCache
    ) throws(EngineError) {
        guard !model.hasAdapter(request.name) else {
            throw .invalidRequest(
                parameter: "adapter", message: "there is an adapter '\(request.name)'; unload it first")
        }
        guard model.adapterCount < limits.adapters else {
            throw .resourceExhausted(
                message: "\(limits.adapters) adapters are loaded, which is the limit", permanent: false)
        }
        if model.isStale(request.name) { try reload(for: nil, cache: &cache) }
        try model.loadAdapter(file, name: request.name, scale: request.scale)
    }
}

// MARK: - Of requests

extension RKLLMEngine {
    /// A session is there from now on; its first run begins with nothing.
    public func openSession(_ id: SessionID) throws(EngineError) -> SessionState {
        try core.queue.withLock { queue throws(EngineError) in
            guard queue.sessions[id] == nil else {
                throw .invalidRequest(parameter: "session", message: "session \(id.rawValue) is open already")
            }
            guard queue.sessions.count < limits.sessions else {
                throw .resourceExhausted(
                    message: "\(limits.sessions) sessions are open, which is the limit", permanent: false)
            }
            queue.sessions[id] = RuntimeSession()
        }
        return SessionState()
    }

    /// What it has in the cache is nobody's from now on.
    public func closeSession(_ id: SessionID) throws(EngineError) -> SessionState {
        guard core.queue.withLock({ $0.sessions.removeValue(forKey: id) }) != nil else {
            throw EngineCore.unknown(id)
        }
        return SessionState()
    }

    public func prepare(
        _ change: SessionChange, of id: SessionID, file: RuntimeFile?
    ) throws(EngineError) -> RuntimeTask {
        _ = try core.session(id)
        return RuntimeTask(action: .change(id, change, file))
    }

    public func prepare(_ adapter: AdapterRequest, file: RuntimeFile?) throws(EngineError) -> RuntimeTask {
        try check(adapter: adapter.name)
        guard adapter.scale.isFinite else {
            throw .invalidRequest(parameter: "scale", message: "the scale is \(adapter.scale), which is no number")
        }
        guard let file else { throw .invalidRequest(parameter: "adapter", message: "no file came with the request") }
        return RuntimeTask(action: .loadAdapter(adapter, file))
    }

    public func prepare(unloading name: String) throws(EngineError) -> RuntimeTask {
        try check(adapter: name)
        return RuntimeTask(action: .unloadAdapter(name: name))
    }

    func check(adapter name: String) throws(EngineError) {
        guard (1...limits.nameBytes).contains(name.utf8.count), !name.utf8.contains(0) else {
            throw .invalidRequest(
                parameter: "adapter",
                message: "the adapter's name has \(name.utf8.count) bytes; allowed are 1 to \(limits.nameBytes), none "
                    + "of them zero")
        }
    }
}
