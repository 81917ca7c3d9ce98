/// Blocks that are held for others than sequences: loaded prompt caches, and prompts that are being saved.
///
/// Whoever holds a block is one of its users, so that nobody else writes it.
extension Scheduler {
    /// Why blocks cannot be pinned.
    public enum PinError: Error, Sendable, Equatable {
        /// More than half of the cache would be pinned.
        case tooMany(pinned: Int, limit: Int)
        /// A sequence that waits or runs may need what would be left.
        case neededBySequences(positions: Int)
        /// Sequences use too many blocks now.
        case notFree(available: Int)
    }

    /// Blocks that may be pinned together.
    public var mostPinnedBlocks: Int { limits.blocks / 2 }

    /// Takes blocks that the caller fills, makes known, and gives back with `unpin`.
    ///
    /// - Parameter replacing: so many pinned blocks are given back then.
    public mutating func pin(_ count: Int, replacing: Int = 0) throws(PinError) -> [Int32] {
        let pinned = pinnedBlocks - replacing + count
        guard pinned <= mostPinnedBlocks else { throw .tooMany(pinned: pinned, limit: mostPinnedBlocks) }
        // Both are there for a while.
        let left = limits.blocks - pinnedBlocks - count
        if let positions = largestSequence, limits.blocks(for: positions) > left {
            throw .neededBySequences(positions: positions)
        }
        guard count <= availableBlocks else { throw .notFree(available: availableBlocks) }
        pinnedBlocks += count
        return (0..<count).compactMap { _ in takeBlock() }
    }

    /// Makes pinned blocks known that hold these tokens by now, and returns how many of them can be found.
    public mutating func makeKnown(_ blocks: [Int32], tokens: [Int32], salt: String) -> Int {
        let content = TokenBlocks(tokens, size: limits.blockPositions, salt: salt)
        for (index, block) in blocks.enumerated() where index < content.hashes.count {
            let parent = index > 0 ? blocks[index - 1] : nil
            guard prefixes.insert(block, holding: content.content(ofBlock: index, after: parent)) == block else {
                return index
            }
            pool.share(block)
        }
        return min(blocks.count, content.hashes.count)
    }

    /// Gives pinned blocks back; what is known of them stays until its place is needed.
    public mutating func unpin(_ blocks: [Int32]) {
        pinnedBlocks -= blocks.count
        release(held: blocks)
    }

    /// Holds the blocks of a slot that are full and computed, as far as `positions` go.
    ///
    /// They stay as they are until `release(held:)`, though their sequence ends.
    public mutating func hold(slot: Int, positions: Int) -> [Int32] {
        guard let sequence = running[slot] else { return [] }
        let held = Array(sequence.table.prefix(min(positions, sequence.computed) / limits.blockPositions))
        for block in held { pool.share(block) }
        return held
    }

    public mutating func release(held blocks: [Int32]) { for block in blocks.reversed() { release(block) } }

    /// Positions that the largest of all sequences may fill.
    private var largestSequence: Int? {
        let running = running.compactMap { $0?.request.mostPositions }.max()
        return [running, waiting.mostPositions].compactMap(\.self).max()
    }
}
