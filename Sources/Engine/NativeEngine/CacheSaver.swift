import EngineProtocol
import Models
import Platform

/// What is left to do of a generation that saves its prompt's cache.
struct CacheSave: Sendable {
    struct Target: Sendable {
        let file: SessionFile
        let identity: PromptCacheIdentity
    }

    let call: CallID
    let target: Target
    /// Held until it is written.
    var blocks: [Int32]
    /// What is said when it is written, and what the session is told before.
    let event: EngineEvent
    let end: SessionEnd
    private let sequence: [Int32]

    /// - Parameter sequence: begins with the tokens of the blocks.
    init(
        call: CallID, target: Target, blocks: [Int32], of sequence: [Int32], event: EngineEvent, end: SessionEnd
    ) {
        self.call = call
        self.target = target
        self.blocks = blocks
        self.sequence = sequence
        self.event = event
        self.end = end
    }

    var tokens: [Int32] { Array(sequence.prefix(blocks.count * target.identity.blockPositions)) }
}

/// Writes prompt caches, one after the other, on a thread that lives as long as there are some: other sequences go on.
final class CacheSaver: Sendable {
    private struct Queue: Sendable {
        var saves: [CacheSave] = []
        var isRunning = false
    }

    private let queue = Monitor(Queue())
    private let cache: KeyValueCache
    private let finish: @Sendable (CacheSave, EngineError?) -> Void

    /// - Parameter finish: gets every save back, with what went wrong.
    init(cache: KeyValueCache, finish: @escaping @Sendable (CacheSave, EngineError?) -> Void) {
        self.cache = cache
        self.finish = finish
    }

    func add(_ save: CacheSave) {
        let starts = queue.withLock { queue in
            queue.saves.append(save)
            defer { queue.isRunning = true }
            return !queue.isRunning
        }
        guard starts else { return }
        do {
            _ = try Thread.start(name: "save") { [self] in while let save = next() { write(save) } }
        } catch {
            let reason = EngineError.resourceExhausted(
                message: "a thread that writes the prompt cache: \(error.description)", permanent: false)
            while let save = next() { finish(save, reason) }
        }
    }

    private func next() -> CacheSave? {
        queue.withLock { queue in
            queue.isRunning = !queue.saves.isEmpty
            return queue.saves.isEmpty ? nil : queue.saves.removeFirst()
        }
    }

    private func write(_ save: CacheSave) {
        do throws(EngineError) {
            try PromptCacheFile.write(
                tokens: save.tokens, identity: save.target.identity, to: save.target.file,
                blocks: save.blocks.map { cache.bytes(of: Int($0)) })
            finish(save, nil)
        } catch {
            finish(save, error)
        }
    }
}
