import Scheduling
import TestSupport
import Testing

/// Blocks are handed out once, counted exactly, and never lost.
@Suite struct BlockPoolTests {
    @Test func `each block is handed out once and comes back when its last user goes`() throws {
        var pool = BlockPool(count: 3)
        let blocks = [pool.take(), pool.take(), pool.take()].compactMap(\.self)
        #expect(Set(blocks) == [0, 1, 2])
        #expect(pool.take() == nil)
        pool.share(blocks[1])
        #expect(pool.release(blocks[1]) == 1)
        #expect(pool.freeCount == 0)
        #expect(pool.release(blocks[1]) == 0)
        #expect(pool.freeCount == 1)
        #expect(pool.take() == blocks[1])
    }

    @Test func `blocks that came back are reported once, and not while they are used again`() throws {
        var pool = BlockPool(count: 4)
        for _ in 0..<3 { _ = pool.take() }
        pool.release(0)
        pool.release(1)
        #expect(Array(pool.takeReturned()) == [0, 1])
        #expect(pool.takeReturned().isEmpty)
        #expect(pool.take() == 1)
        pool.release(2)
        #expect(Array(pool.takeReturned()) == [2])
        pool.release(1)
        #expect(Array(pool.takeReturned()) == [1])
    }

    @Test func `random use agrees with a plain count`() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed: seed)
        var pool = BlockPool(count: 20)
        var users: [Int32: Int] = [:]
        for _ in 0..<5000 {
            switch Int.random(in: 0..<3, using: &random) {
            case 0:
                guard let block = pool.take() else {
                    #expect(users.count == 20, "seed \(seed)")
                    continue
                }
                #expect(users[block] == nil, "seed \(seed): a block with two first users")
                users[block] = 1
            case 1:
                guard let block = users.keys.sorted().randomElement(using: &random) else { continue }
                pool.share(block)
                users[block, default: 0] += 1
            default:
                guard let block = users.keys.sorted().randomElement(using: &random), let count = users[block] else {
                    continue
                }
                #expect(pool.release(block) == count - 1, "seed \(seed)")
                users[block] = count > 1 ? count - 1 : nil
            }
            #expect(pool.freeCount == 20 - users.count, "seed \(seed)")
        }
    }
}
