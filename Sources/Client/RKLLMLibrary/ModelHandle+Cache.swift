import EngineProtocol
import Platform

/// What a handle keeps between runs: positions of the cache, and how prompts are put.
extension ModelHandle {
    /// Positions in the cache, for each input; of a run that goes on, those before it.
    func cacheSizes() -> [Int32] { state.withLock { $0.slots.map { Int32(clamping: $0.positions) } } }

    /// Empties the cache, or forgets a part of each input's.
    ///
    /// - Parameter ranges: first position and the one after the last; nil forgets all.
    func clearCache(keepsSystemPrompt: Bool, ranges: [(first: Int32, end: Int32)]?) throws(Refusal) {
        try change { () throws(Refusal) in
            guard let ranges else {
                return try changeSessions { _ in .clear(keepsSystemPrompt: keepsSystemPrompt) }
            }
            let slots = state.withLock { $0.slots }
            guard slots.allSatisfy(\.isPaused) else {
                throw Refusal("a range can be cleared only after a run that was paused")
            }
            for (place, range) in ranges.enumerated() {
                guard 0 <= range.first, range.first <= range.end, range.end <= slots[place].positions else {
                    throw Refusal(
                        "start_pos[\(place)] is \(range.first) and end_pos[\(place)] is \(range.end); allowed is 0 to "
                            + "\(slots[place].positions), in this order")
                }
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
        for place in 0..<inputs {
            guard let change = change(place) else { continue }
            try changeSession(change, file: file, place: place)
        }
    }

    private func changeSession(_ change: SessionChange, file: String? = nil, place: Int) throws(Refusal) {
        var descriptor: FileDescriptor?
        if let file {
            do throws(SystemError) { descriptor = try .openForReading(path: file) } catch {
                throw Refusal(error.description)
            }
        }
        let session = state.withLock { $0.slots[place].session }
        if case .session(let now) = try worker.call(.changeSession(session, change), file: descriptor) {
            state.withLock { state in
                state.slots[place].positions = now.positions
                if now.positions == 0 { state.slots[place].isPaused = false }
            }
        }
    }

    // MARK: Around a run

    /// Empties the sessions that a run does not go on with.
    func beginAnew(_ request: RunRequest) throws(Refusal) {
        try changeSessions { place in
            let slot = state.withLock { $0.slots[place] }
            return slot.goesOn(request) || slot.positions == 0 ? nil : .clear(keepsSystemPrompt: false)
        }
    }

    /// Notes what a run has left in the sessions.
    ///
    /// After a pause the engine has gone on a little. What the program was not told of is taken back, and so is the token that
    /// it was told of last: that one becomes part of the cache when it is fed.
    func remember(_ run: BatchRun, _ outcome: BatchRun.Outcome, _ request: RunRequest) throws(Refusal) {
        for (place, element) in run.elements.enumerated() where element.promptTokens > 0 {
            let positions = element.promptTokens + UInt32(element.generated)
            state.withLock { state in
                state.slots[place].positions = positions
                state.slots[place].keepsHistory = request.keepsHistory
                state.slots[place].isPaused = outcome == .paused
            }
            guard element.isPaused else { continue }
            let kept = element.promptTokens + UInt32(max(0, element.told - 1))
            guard kept < positions else { continue }
            try changeSession(.clearRange(first: kept, end: positions), place: place)
        }
    }
}
