import Testing

@testable import Scheduling

/// What the prefix cache finds, and what it forgets first.
@Suite struct PrefixCacheTests {
    static func content(
        _ tokens: [Int32], hash: UInt64, parent: Int32? = nil, salt: String = ""
    ) -> PrefixCache.Content {
        .init(hash: hash, parent: parent, salt: salt, tokens: tokens[...])
    }

    @Test func `a block is found by its tokens, its parent and its salt`() {
        var cache = PrefixCache()
        let content = Self.content([1, 2], hash: 7, salt: "a")
        #expect(cache.insert(4, holding: content) == 4)
        #expect(cache.block(holding: content) == 4)
        #expect(cache.block(holding: Self.content([1, 3], hash: 7, salt: "a")) == nil)
        #expect(cache.block(holding: Self.content([1, 2], hash: 7, parent: 1, salt: "a")) == nil)
        #expect(cache.block(holding: Self.content([1, 2], hash: 7, salt: "b")) == nil)
        #expect(cache.block(holding: Self.content([1, 2], hash: 8, salt: "a")) == nil)
    }

    @Test func `the same content is kept once, and a collision is refused`() {
        var cache = PrefixCache()
        _ = cache.insert(4, holding: Self.content([1, 2], hash: 7))
        #expect(cache.insert(5, holding: Self.content([1, 2], hash: 7)) == 4)
        #expect(cache.insert(6, holding: Self.content([9, 9], hash: 7)) == nil)
        #expect(cache.count == 1)
    }

    @Test func `idle blocks go by age, and a block in use never goes`() {
        var cache = PrefixCache()
        for block: Int32 in 0..<4 { _ = cache.insert(block, holding: Self.content([block], hash: UInt64(block))) }
        for block: Int32 in [2, 0, 3] { cache.markIdle(block) }
        cache.markIdle(0)
        #expect(cache.idleCount == 3)
        cache.markUsed(0)
        cache.markIdle(0)
        #expect([cache.evict(), cache.evict(), cache.evict(), cache.evict()] == [2, 3, 0, nil])
        #expect(cache.count == 1)
        #expect(cache.idleCount == 0)
        #expect(cache.block(holding: Self.content([2], hash: 2)) == nil)
        #expect(cache.block(holding: Self.content([1], hash: 1)) == 1)
    }

    @Test func `hashes stand for everything before, for the salt, and for where a prompt ends`() {
        let tokens = TokenBlocks([1, 2, 3, 4, 5], size: 2, salt: "")
        #expect(tokens.hashes.count == 2)
        #expect(TokenBlocks([1, 2, 3, 4], size: 2, salt: "").hashes == tokens.hashes)
        #expect(TokenBlocks([9, 2, 3, 4], size: 2, salt: "").hashes[1] != tokens.hashes[1])
        #expect(TokenBlocks([1, 2, 3, 4], size: 2, salt: "x").hashes[1] != tokens.hashes[1])
        #expect(tokens.hash(throughBlock: 2) != TokenBlocks([1, 2, 3, 4, 6], size: 2, salt: "").hash(throughBlock: 2))
        var grown = TokenBlocks([], size: 2, salt: "")
        for token in tokens.tokens { grown.append(token) }
        #expect(grown == tokens)
    }
}
