/// Hands out the blocks of the KV cache, and counts the users of each.
///
/// A block with one user may be written; one with several holds what they share and is only read. Memory grows with the
/// blocks that were ever handed out, not with `count`.
public struct BlockPool: Sendable {
    public let count: Int
    /// Users of each block that was ever handed out.
    private var users: [UInt32] = []
    /// Blocks that came back, the last one on top.
    private var returned: [Int32] = []
    /// So many of `returned`, from the bottom, were reported by `takeReturned`.
    private var reported = 0

    public init(count: Int) { self.count = max(1, count) }

    public var freeCount: Int { returned.count + count - users.count }
    public func userCount(of block: Int32) -> Int { Int(users[Int(block)]) }

    /// Hands a free block to its first user.
    public mutating func take() -> Int32? {
        if let block = returned.popLast() {
            reported = min(reported, returned.count)
            users[Int(block)] = 1
            return block
        }
        guard users.count < count else { return nil }
        users.append(1)
        return Int32(users.count - 1)
    }

    /// Adds a user to a block that has one.
    public mutating func share(_ block: Int32) {
        precondition(users[Int(block)] > 0, "block \(block) is free and cannot be shared")
        users[Int(block)] += 1
    }

    /// Takes a user away, and returns how many are left; without any the block is free.
    @discardableResult
    public mutating func release(_ block: Int32) -> Int {
        precondition(users[Int(block)] > 0, "block \(block) is free and cannot be released")
        users[Int(block)] -= 1
        if users[Int(block)] == 0 { returned.append(block) }
        return Int(users[Int(block)])
    }

    /// The blocks that came back since the last call and are still free: their memory may go to the system.
    public mutating func takeReturned() -> ArraySlice<Int32> {
        defer { reported = returned.count }
        return returned[reported...]
    }
}
