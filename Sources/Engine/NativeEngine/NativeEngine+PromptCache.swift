import EngineProtocol
import Models
import Platform
import Scheduling

/// Prompt caches that clients bring.
extension NativeEngine {
    /// Reads a file into blocks of the cache that stay, for the prompts of one session.
    func loadCache(_ id: SessionID, from file: SessionFile) throws(EngineError) -> SessionState {
        let before = try session(id)
        try before.checkIdle()
        let content = try PromptCacheFile(
            reading: file, for: try model.promptCacheIdentity(),
            mostBlocks: state.withLock { $0.scheduler.mostPinnedBlocks })
        let blocks = try pin(content.blocks, replacing: before.cache?.blocks.count ?? 0)
        do throws(EngineError) {
            // Nobody else touches blocks that are pinned and not known, so steps go on meanwhile.
            for (index, block) in blocks.enumerated() {
                try content.read(file, block: index, into: cache.bytes(of: Int(block)))
            }
            return try state.change { state throws(EngineError) in
                try state.sessions.session(id).check(revision: before.revision)
                return try state.adopt(blocks, tokens: content.tokens, session: id)
            }
        } catch {
            state.change { $0.unpin(blocks) }
            throw error
        }
    }

    private func pin(_ count: Int, replacing: Int) throws(EngineError) -> [Int32] {
        try state.withLock { state throws(EngineError) in
            do throws(Scheduler.PinError) {
                return try state.scheduler.pin(count, replacing: replacing)
            } catch {
                throw .resourceExhausted(
                    message: "the prompt cache needs \(count) blocks: \(error.reason)", permanent: false)
            }
        }
    }

    /// Lets go of what a session loaded.
    func releaseCache(_ id: SessionID) throws(EngineError) -> SessionState {
        try state.change { state throws(EngineError) in
            var released: LoadedCache?
            let result = try state.sessions.change(id) { session throws(EngineError) in
                released = try session.replaceCache(by: nil)
            }
            if let released { state.unpin(released.blocks) }
            return result
        }
    }
}

extension EngineState {
    /// Makes loaded blocks known to a session alone.
    fileprivate mutating func adopt(
        _ blocks: [Int32], tokens: [Int32], session id: SessionID
    ) throws(EngineError) -> SessionState {
        let salt = sessions.nextCacheSalt()
        let known = scheduler.makeKnown(blocks, tokens: tokens, salt: salt)
        let loaded = LoadedCache(
            positions: known * scheduler.limits.blockPositions, blocks: blocks, salt: salt)
        var replaced: LoadedCache?
        let result = try sessions.change(id) { session throws(EngineError) in
            replaced = try session.replaceCache(by: loaded)
        }
        loadedBlocks += blocks
        if let replaced { unpin(replaced.blocks) }
        return result
    }

    mutating func unpin(_ blocks: [Int32]) {
        scheduler.unpin(blocks)
        isStalled = false
    }
}

extension Scheduler.PinError {
    fileprivate var reason: String {
        switch self {
        case .tooMany(let pinned, let limit):
            "loaded prompt caches would have \(pinned) blocks, at most \(limit), half of the KV cache, may be theirs"
        case .neededBySequences(let positions): "a sequence that waits or runs may need \(positions) positions"
        case .notFree(let available): "\(available) are free"
        }
    }
}
