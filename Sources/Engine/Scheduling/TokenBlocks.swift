/// The tokens of a sequence, cut into the blocks of the cache.
///
/// The hash of a full block stands for all tokens from the first to the block's last, and for the salt.
struct TokenBlocks: Sendable, Equatable {
    let size: Int
    /// Only sequences with the same salt share blocks.
    let salt: String
    private(set) var tokens: [Int32]
    /// Of the full blocks.
    private(set) var hashes: [UInt64] = []

    init(_ tokens: [Int32], size: Int, salt: String) {
        self.size = size
        self.salt = salt
        self.tokens = tokens
        hashes.reserveCapacity(tokens.count / size)
        while (hashes.count + 1) * size <= tokens.count { hashNextBlock() }
    }

    mutating func append(_ token: Int32) {
        tokens.append(token)
        if (hashes.count + 1) * size <= tokens.count { hashNextBlock() }
    }

    /// What a full block holds, after the block `parent`.
    func content(ofBlock index: Int, after parent: Int32?) -> PrefixCache.Content {
        .init(
            hash: hashes[index], parent: parent, salt: salt, tokens: tokens[index * size..<(index + 1) * size])
    }

    /// Stands for all tokens up to the end of a block: of a full one, or of the last one as far as it goes.
    func hash(throughBlock index: Int) -> UInt64 {
        index < hashes.count ? hashes[index] : hash(of: tokens[index * size..<tokens.count], block: index)
    }

    private mutating func hashNextBlock() {
        let index = hashes.count
        hashes.append(hash(of: tokens[index * size..<(index + 1) * size], block: index))
    }

    private func hash(of part: ArraySlice<Int32>, block index: Int) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        if index > 0 {
            hash = hashes[index - 1]
        } else {
            for byte in salt.utf8 { Self.mix(UInt64(byte), into: &hash) }
        }
        Self.mix(UInt64(part.count) << 32, into: &hash)
        for token in part { Self.mix(UInt64(UInt32(bitPattern: token)), into: &hash) }
        return hash
    }

    /// It need not resist attacks: every hit is verified by its tokens, and a collision only misses.
    private static func mix(_ value: UInt64, into hash: inout UInt64) {
        hash = (hash ^ value) &* 0x9E37_79B9_7F4A_7C15
        hash ^= hash >> 32
    }
}
