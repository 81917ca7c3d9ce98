/// Finds the blocks that already hold the beginning of a sequence.
///
/// Each block is known by its content: its tokens, and the block with those before them. A hash finds a candidate; the
/// tokens and the parent decide. A block that no sequence uses stays until its place is needed; then the one that was
/// not used for longest goes, and never before the blocks that follow it.
///
/// | State of a block | Leaves it by |
/// |---|---|
/// | absent | `insert` |
/// | used: sequences read it | `markIdle` |
/// | idle: kept in case that it is wanted again | `markUsed`, `evict` |
public struct PrefixCache: Sendable {
    /// What a block holds.
    public struct Content: Sendable, Equatable {
        /// Of everything from the first token to this block's last.
        public let hash: UInt64
        /// The block with the tokens before; nil for the first.
        public let parent: Int32?
        /// Only sequences with the same salt share blocks.
        public let salt: String
        public let tokens: ArraySlice<Int32>

        public init(hash: UInt64, parent: Int32?, salt: String, tokens: ArraySlice<Int32>) {
            self.hash = hash
            self.parent = parent
            self.salt = salt
            self.tokens = tokens
        }
    }

    private struct Node: Sendable {
        /// A copy of its own, so that it keeps no whole prompt alive.
        let content: Content
        var isIdle = false
        /// Neighbours among the idle blocks, by the time since which they are.
        var older: Int32 = -1
        var newer: Int32 = -1
    }

    /// By block.
    private var nodes: [Node?] = []
    private var blocks: [UInt64: Int32] = [:]
    private var oldestIdle: Int32 = -1
    private var newestIdle: Int32 = -1
    public private(set) var count = 0
    public private(set) var idleCount = 0

    public init() {}

    public func contains(_ block: Int32) -> Bool { node(block) != nil }

    /// The block that holds these tokens after that parent; O(tokens of a block).
    public func block(holding content: Content) -> Int32? {
        guard let block = blocks[content.hash], let known = node(block)?.content, known == content else { return nil }
        return block
    }

    /// Makes the content of a block known, and returns the block that holds it: an earlier one, if there is one.
    ///
    /// Nil: another content has the same hash, and this one stays unknown.
    public mutating func insert(_ block: Int32, holding content: Content) -> Int32? {
        if blocks[content.hash] != nil { return self.block(holding: content) }
        precondition(!contains(block), "block \(block) is known already")
        let owned = Content(
            hash: content.hash, parent: content.parent, salt: content.salt, tokens: ArraySlice(Array(content.tokens)))
        while nodes.count <= Int(block) { nodes.append(nil) }
        nodes[Int(block)] = Node(content: owned)
        blocks[content.hash] = block
        count += 1
        return block
    }

    /// Says that no sequence uses a known block any more.
    ///
    /// Of one sequence the last block comes first, so that a block is always idle for longer than its parent.
    public mutating func markIdle(_ block: Int32) {
        guard let known = node(block), !known.isIdle else { return }
        nodes[Int(block)]?.isIdle = true
        nodes[Int(block)]?.older = newestIdle
        if newestIdle >= 0 { nodes[Int(newestIdle)]?.newer = block } else { oldestIdle = block }
        newestIdle = block
        idleCount += 1
    }

    /// Says that a sequence uses a known block again.
    public mutating func markUsed(_ block: Int32) {
        guard let known = node(block), known.isIdle else { return }
        if known.older >= 0 { nodes[Int(known.older)]?.newer = known.newer } else { oldestIdle = known.newer }
        if known.newer >= 0 { nodes[Int(known.newer)]?.older = known.older } else { newestIdle = known.older }
        nodes[Int(block)]?.isIdle = false
        nodes[Int(block)]?.older = -1
        nodes[Int(block)]?.newer = -1
        idleCount -= 1
    }

    /// Forgets the block that has been idle for longest, and returns it.
    public mutating func evict() -> Int32? {
        guard oldestIdle >= 0, let known = node(oldestIdle) else { return nil }
        let block = oldestIdle
        markUsed(block)
        nodes[Int(block)] = nil
        blocks[known.content.hash] = nil
        count -= 1
        return block
    }

    private func node(_ block: Int32) -> Node? { Int(block) < nodes.count ? nodes[Int(block)] : nil }
}
