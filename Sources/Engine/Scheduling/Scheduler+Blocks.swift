/// Blocks of the cache: who gets them, and who finds what they need in the blocks of others.
///
/// The users of a block are the sequences with it in their table, and the prefix cache if it knows the block.
extension Scheduler {
    /// Blocks that can be handed out: free ones, and known ones that no sequence uses.
    var availableBlocks: Int { pool.freeCount + prefixes.idleCount }

    /// Hands out a block, and forgets a known one for it where none is free.
    mutating func takeBlock() -> Int32? {
        if pool.freeCount == 0, let evicted = prefixes.evict() { pool.release(evicted) }
        return pool.take()
    }

    mutating func release(_ block: Int32) {
        if pool.release(block) == 1, prefixes.contains(block) { prefixes.markIdle(block) }
    }

    private mutating func share(_ block: Int32) {
        pool.share(block)
        prefixes.markUsed(block)
    }

    /// Makes the blocks that are full by now known to the prefix cache.
    mutating func makeBlocksKnown(of sequence: inout RunningSequence) {
        while sequence.makesBlocksKnown, (sequence.knownBlocks + 1) * limits.blockPositions <= sequence.computed {
            let index = sequence.knownBlocks
            let block = sequence.table[index]
            let content = sequence.tokens.content(ofBlock: index, after: index > 0 ? sequence.table[index - 1] : nil)
            guard let known = prefixes.insert(block, holding: content) else {
                sequence.makesBlocksKnown = false
                return
            }
            // If another block holds the same, the sequence goes on with that one: its bits are the same.
            share(known)
            if known != block {
                sequence.table[index] = known
                release(block)
            }
            sequence.knownBlocks += 1
        }
    }

    /// Adds to a table the blocks that are known to hold the next tokens of its sequence, but for the last token, whose
    /// logits are needed.
    mutating func takeKnownBlocks(slot: Int) {
        while let sequence = running[slot], sequence.knownBlocks < sequence.tokens.hashes.count,
            sequence.isAtEndOfKnownBlocks(size: limits.blockPositions),
            (sequence.knownBlocks + 1) * limits.blockPositions < sequence.rows,
            let block = prefixes.block(
                holding: sequence.tokens.content(ofBlock: sequence.knownBlocks, after: sequence.table.last))
        {
            share(block)
            running[slot]?.table.append(block)
            running[slot]?.knownBlocks += 1
            advance(slot: slot, by: limits.blockPositions)
        }
    }

    /// Copies the last block of a prompt from where it is computed already, and leaves only the last row to compute.
    mutating func copyLastBlock(slot: Int, into plan: inout StepPlan) {
        guard let sequence = running[slot], sequence.request.sharedPrompt != nil,
            sequence.isAtEndOfKnownBlocks(size: limits.blockPositions),
            limits.blocks(for: sequence.rows) == sequence.table.count + 1, sequence.rowsLeft > 1,
            let source = blockWithLastRows(of: sequence)
        else { return }
        // Held for the while, so that it is not itself taken as the target.
        share(source)
        if let target = takeBlock() {
            plan.copies.append(.init(source: source, target: target))
            running[slot]?.table.append(target)
            advance(slot: slot, by: sequence.rowsLeft - 1)
        }
        release(source)
    }

    /// A block with all but the last of the rows that are left: a known one, or that of a sequence with the same prompt.
    private func blockWithLastRows(of sequence: RunningSequence) -> Int32? {
        let index = sequence.table.count
        if index < sequence.tokens.hashes.count {
            return prefixes.block(holding: sequence.tokens.content(ofBlock: index, after: sequence.table.last))
        }
        guard sequence.generatedTokens == 0 else { return nil }
        for case let other? in running
        where other.computed >= sequence.rows - 1 && other.table.count > index
            && other.tokens.salt == sequence.tokens.salt && other.request.sharedPrompt == sequence.tokens.tokens
        {
            return other.table[index]
        }
        return nil
    }

    /// Counts positions as computed that were found in the cache.
    private mutating func advance(slot: Int, by positions: Int) {
        running[slot]?.computed += positions
        cachedPositions += UInt64(positions)
        if running[slot]?.isResumed == false { running[slot]?.cachedTokens += positions }
    }

    /// So many blocks from the first on are known, or will be once those who compute them now are done.
    func blocksSoonKnown(to waiting: WaitingSequence, from known: Int) -> Int {
        var most = known
        let hashes = waiting.tokens.hashes
        for case let other? in running where other.rowsLeft > 0 && other.tokens.hashes.count > most {
            // A hash stands for all blocks up to its own.
            while most < min(hashes.count, other.tokens.hashes.count), other.tokens.hashes[most] == hashes[most] {
                most += 1
            }
        }
        return most
    }

    /// Blocks that running sequences will still take for their prompts.
    var promisedBlocks: Int {
        running.reduce(0) { sum, sequence in
            guard let sequence else { return sum }
            return sum + max(0, limits.blocks(for: sequence.rows) - max(sequence.table.count, sequence.sharedBlocks))
        }
    }

    /// True if there are blocks for all that a waiting sequence has to compute.
    func hasBlocks(for waiting: WaitingSequence) -> Bool {
        guard runningCount > 0 else { return true }
        var known = 0
        var idle = 0
        var parent: Int32?
        while known < waiting.tokens.hashes.count,
            let block = prefixes.block(holding: waiting.tokens.content(ofBlock: known, after: parent))
        {
            // An idle block that it uses is no longer there for others.
            if pool.userCount(of: block) == 1 { idle += 1 }
            known += 1
            parent = block
        }
        let shared = blocksSoonKnown(to: waiting, from: known)
        let needed = max(1, limits.blocks(for: waiting.rows) - shared) + idle
        // Each running sequence keeps a block to grow into.
        return needed + promisedBlocks + runningCount <= availableBlocks
    }
}

extension RunningSequence {
    /// All that is computed lies in known blocks, and nothing else is in the table.
    fileprivate func isAtEndOfKnownBlocks(size: Int) -> Bool {
        table.count == knownBlocks && computed == knownBlocks * size
    }
}
