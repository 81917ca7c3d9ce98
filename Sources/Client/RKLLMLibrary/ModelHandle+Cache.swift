import EngineProtocol
import Platform

/// What a handle keeps between runs: positions of the cache, and how prompts are put.
extension ModelHandle {
    /// Positions in the cache, for each input; of a run that goes on, those before it.
    func cacheSizes() -> [Int32] { state.withLock { $0.slots.map { Int32(clamping: $0.state.positions) } } }

    /// Empties the cache, or forgets a part of each input's.
    ///
    /// - Parameter ranges: first position and the one after the last; nil forgets all.
    func clearCache(keepsSystemPrompt: Bool, ranges: [(first: Int32, end: Int32)]?) throws(Refusal) {
        try change { () throws(Refusal) in
            guard let ranges else {
                return try changeSessions { _ in .clear(keepsSystemPrompt: keepsSystemPrompt) }
            }
            for (place, range) in ranges.enumerated() where range.first < 0 || range.end < range.first {
                throw Refusal("start_pos[\(place)] is \(range.first) and end_pos[\(place)] is \(range.end)")
            }
            try changeSessions { place in
                let range = ranges[place]
                return range.first == range.end
                    ? nil : .clearRange(first: UInt32(range.first), end: UInt32(range.end))
            }
        }
    }

    func loadPromptCache(path: String) throws(Refusal) {
        try change { () throws(Refusal) in
            try changeSessions(file: path) { _ in .loadCache }
        }
    }

    func releasePromptCache() throws(Refusal) {
        try change { () throws(Refusal) in
            try changeSessions { _ in .releaseCache }
        }
    }

    func setChatTemplate(system: String?, prefix: String?, postfix: String?) throws(Refusal) {
        try changeConversation { conversation throws(Refusal) in
            try conversation.setFrame(system: system, prefix: prefix, postfix: postfix)
        }
    }

    func setFunctionTools(system: String?, definitions: String?) throws(Refusal) {
        try changeConversation { conversation throws(Refusal) in
            try conversation.setTools(system: system, definitions: definitions)
        }
    }

    /// What the cache holds was put in another way, so it is forgotten.
    private func changeConversation(_ body: (inout Conversation) throws(Refusal) -> Void) throws(Refusal) {
        try change { () throws(Refusal) in
            try state.withLock { state throws(Refusal) in try body(&state.conversation) }
            try changeSessions { _ in .clear(keepsSystemPrompt: false) }
        }
    }

    /// - Parameters:
    ///   - file: goes with each change.
    ///   - change: of each input's session; nil leaves it as it is.
    private func changeSessions(
        file: String? = nil, _ change: (Int) -> SessionChange?
    ) throws(Refusal) {
        let slots = state.withLock { $0.slots }
        for (place, slot) in slots.enumerated() {
            guard let change = change(place) else { continue }
            try changeSession(slot.session, change, file: file, place: place)
        }
    }

    private func changeSession(
        _ session: SessionID, _ change: SessionChange, file: String? = nil, place: Int
    ) throws(Refusal) {
        var descriptor: FileDescriptor?
        if let file {
            do throws(SystemError) { descriptor = try .openForReading(path: file) } catch {
                throw Refusal(error.description)
            }
        }
        guard case .session(let now) = try worker.call(.changeSession(session, change), file: descriptor) else {
            return
        }
        state.withLock { $0.slots[place].state = now }
    }

    /// Notes what a run has left in the cache.
    func remember(_ run: BatchRun, _ outcome: BatchRun.Outcome, _ request: RunRequest) {
        for (place, element) in run.elements.enumerated() {
            state.withLock { state in
                let before = state.slots[place].goesOn(request) ? state.slots[place].state.positions : 0
                let now = before + element.promptTokens + UInt32(element.generated)
                state.slots[place].keepsHistory = request.keepsHistory
                state.slots[place].state = SessionState(
                    positions: now, cachedPositions: state.slots[place].state.cachedPositions,
                    isPaused: outcome == .paused)
            }
        }
    }
}
