import EngineProtocol
import Testing

@testable import Scheduling

/// Blocks that are held for others than sequences.
@Suite struct PinnedBlocksTests {
    private static func scheduler(blocks: Int = 8) -> Scheduler {
        Scheduler(limits: SchedulerLimits(slots: 2, blocks: blocks, blockPositions: 4))
    }

    private static func request(_ call: UInt64, prompt: [Int32], salt: String = "", tokens: Int = 1) -> SequenceRequest
    {
        SequenceRequest(
            call: CallID(rawValue: call), cacheSalt: salt, work: .generation(prompt: prompt, maximumTokens: tokens))
    }

    @Test func `pinned blocks are found under their salt alone, and given back`() throws {
        var scheduler = Self.scheduler()
        let tokens: [Int32] = Array(0..<8)
        let pinned = try scheduler.pin(2)
        #expect(scheduler.makeKnown(pinned, tokens: tokens, salt: "a") == 2)
        #expect(scheduler.blocksUsed == 2)
        for (salt, cached) in [("", 0), ("b", 0), ("a", 8)] {
            _ = try scheduler.submit([Self.request(1, prompt: tokens + [9], salt: salt)])
            var plan = StepPlan()
            scheduler.planStep(into: &plan)
            #expect(plan.slices.first?.cachedTokens == cached, "\(salt)")
            if cached > 0 { #expect(plan.slices.first?.blocks.prefix(2).elementsEqual(pinned) == true) }
            scheduler.remove(call: CallID(rawValue: 1))
        }
        #expect(scheduler.blocksUsed == 2)
        scheduler.unpin(pinned)
        #expect(scheduler.blocksUsed == 0 && scheduler.pinnedBlocks == 0)
    }

    @Test func `at most half is pinned, and never what a sequence may need`() throws {
        var scheduler = Self.scheduler()
        #expect(throws: Scheduler.PinError.tooMany(pinned: 5, limit: 4)) { try scheduler.pin(5) }
        let first = try scheduler.pin(3)
        #expect(throws: Scheduler.PinError.tooMany(pinned: 5, limit: 4)) { try scheduler.pin(2) }
        #expect(throws: SubmissionError.neverFits(positions: 21, limit: 20, pinned: 12)) {
            try scheduler.submit([Self.request(1, prompt: Array(0..<21))])
        }
        _ = try scheduler.submit([Self.request(1, prompt: Array(0..<5), tokens: 14)])
        #expect(throws: Scheduler.PinError.neededBySequences(positions: 18)) { try scheduler.pin(1) }
        scheduler.remove(call: CallID(rawValue: 1))
        let second = try scheduler.pin(4, replacing: 3)
        scheduler.unpin(first)
        #expect(scheduler.pinnedBlocks == 4)
        scheduler.unpin(second)
        #expect(scheduler.blocksUsed == 0)
    }

    @Test func `blocks that are held outlive their sequence`() throws {
        var scheduler = Self.scheduler()
        _ = try scheduler.submit([Self.request(1, prompt: Array(0..<10))])
        var plan = StepPlan()
        scheduler.planStep(into: &plan)
        let slot = try #require(plan.slices.first).slot
        #expect(scheduler.hold(slot: slot, positions: 10).isEmpty)
        scheduler.complete(slot: slot, tokens: [3])
        let held = scheduler.hold(slot: slot, positions: 10)
        #expect(held == Array(try #require(plan.slices.first).blocks[..<2]))
        scheduler.finish(slot: slot)
        #expect(scheduler.blocksUsed == 2)
        scheduler.release(held: held)
        #expect(scheduler.blocksUsed == 0 && scheduler.blocksCached == 2)
    }
}
