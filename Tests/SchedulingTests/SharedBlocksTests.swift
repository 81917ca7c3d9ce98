import EngineProtocol
import Testing

@testable import Scheduling

/// Prompts that begin alike are computed once.
@Suite struct SharedBlocksTests {
    typealias Base = SchedulerTests

    /// Rows of a plan by call.
    static func rows(_ plan: StepPlan) -> [UInt64: Int] {
        Dictionary(plan.slices.map { ($0.call.rawValue, $0.count) }, uniquingKeysWith: +)
    }

    @Test func `choices of one prompt prefill it once and copy its last block`() throws {
        var scheduler = Base.scheduler(slots: 3)
        _ = try scheduler.submit((0..<3).map { Base.request(1, choice: $0, rows: 11) })
        #expect(Base.step(&scheduler).slices.map(\.count) == [8])
        #expect(Base.step(&scheduler).slices.map(\.count) == [3])
        let third = Base.step(&scheduler)
        #expect(third.copies.map(\.source) == [2, 2])
        #expect(third.copies.map(\.target) == [3, 4])
        #expect(third.slices.map(\.firstPosition) == [11, 10, 10])
        #expect(third.slices.map(\.logits) == [.last, .last, .last])
        #expect(Set(third.slices.map(\.blocks)) == [[0, 1, 2], [0, 1, 3], [0, 1, 4]])
        #expect(third.slices.map(\.cachedTokens) == [0, 10, 10])
    }

    @Test func `a prompt of full blocks that are all known computes its last row in a copy`() throws {
        var scheduler = Base.scheduler(slots: 1)
        _ = try scheduler.submit([Base.request(1, rows: 8, common: 8)])
        Base.step(&scheduler)
        scheduler.finish(slot: 0)
        _ = try scheduler.submit([Base.request(2, rows: 8, common: 8)])
        let plan = Base.step(&scheduler)
        #expect(plan.slices.map(\.firstPosition) == [7])
        #expect(plan.slices.map(\.cachedTokens) == [7])
        #expect(plan.copies.map(\.source) == [1])
        #expect(plan.slices[0].blocks == [0, 2])
        // Full now, the copy is given up for the block that holds the same.
        #expect(Base.step(&scheduler).slices[0].blocks == [0, 1, 2])
    }

    @Test func `fifty sequences with a common beginning compute it once`() throws {
        var scheduler = Base.scheduler(slots: 64, positions: 32, waiting: 64, rows: 256, beside: 64)
        for call: UInt64 in 1...50 {
            _ = try scheduler.submit([Base.request(call, rows: 2100, common: 2080, tokens: 3)])
        }
        var computed = 0
        var finished = 0
        while finished < 50 {
            let plan = Base.step(&scheduler)
            try #require(!plan.isEmpty)
            for slice in plan.slices {
                if !slice.isDecoding { computed += slice.count }
                guard slice.logits == .last, slice.firstPosition + slice.count == 2102 else { continue }
                scheduler.finish(slot: slice.slot)
                finished += 1
            }
        }
        #expect(computed == 2080 + 50 * 20)
        #expect(scheduler.cachedPositions == 49 * 2080)
        #expect(scheduler.preemptions == 0)
    }

    @Test func `when the one that computes goes, another takes over where it was`() throws {
        var scheduler = Base.scheduler(slots: 2)
        _ = try scheduler.submit([Base.request(1, rows: 40, common: 40)])
        _ = try scheduler.submit([Base.request(2, rows: 40, common: 32)])
        #expect(Self.rows(Base.step(&scheduler)) == [1: 8])
        #expect(Self.rows(Base.step(&scheduler)) == [1: 8])
        scheduler.remove(call: CallID(rawValue: 1))
        let plan = Base.step(&scheduler)
        #expect(plan.slices.map(\.call.rawValue) == [2])
        #expect(plan.slices.map(\.firstPosition) == [16])
    }

    @Test func `nobody waits for what a lower priority computes`() throws {
        var scheduler = Base.scheduler(slots: 3)
        _ = try scheduler.submit([Base.request(1, priority: -1, rows: 40, common: 40)])
        #expect(Self.rows(Base.step(&scheduler)) == [1: 8])
        _ = try scheduler.submit([Base.request(2, rows: 40, common: 32)])
        _ = try scheduler.submit([Base.request(3, rows: 40, common: 32)])
        let plan = Base.step(&scheduler)
        #expect(Set(plan.slices.map(\.call.rawValue)) == [1, 2])
        #expect(plan.slices.map(\.firstPosition) == [8, 8])
    }

    @Test func `a step that was not completed leaves nothing to share`() throws {
        var scheduler = Base.scheduler(slots: 2)
        _ = try scheduler.submit([Base.request(1, rows: 40, common: 40)])
        var plan = StepPlan()
        scheduler.planStep(into: &plan)
        scheduler.remove(call: CallID(rawValue: 1))
        _ = try scheduler.submit([Base.request(2, rows: 40, common: 32)])
        #expect(Base.step(&scheduler).slices.map(\.firstPosition) == [0])
        #expect(scheduler.cachedPositions == 0)
    }

    @Test func `another salt shares nothing`() throws {
        var scheduler = Base.scheduler(slots: 2, rows: 64)
        _ = try scheduler.submit([Base.request(1, rows: 16, common: 16, salt: "a")])
        _ = try scheduler.submit([Base.request(2, rows: 16, common: 16, salt: "b")])
        #expect(Self.rows(Base.step(&scheduler)) == [1: 16, 2: 16])
        _ = try scheduler.submit([Base.request(3, rows: 16, common: 16, salt: "")])
        scheduler.finish(slot: 0)
        scheduler.finish(slot: 1)
        #expect(Self.rows(Base.step(&scheduler)) == [3: 16])
    }

    @Test func `what was generated is found by the next turn of a chat`() throws {
        var scheduler = Base.scheduler(slots: 1, rows: 64)
        _ = try scheduler.submit([Base.request(1, rows: 6, tokens: 7)])
        var chat = (0..<6).map { Int32(1000 + $0) }
        for _ in 0..<7 {
            let plan = Base.step(&scheduler)
            chat.append(Int32(plan.slices[0].firstPosition) + 500)
        }
        scheduler.finish(slot: 0)
        #expect(chat.count == 13)
        let turn = SequenceRequest(
            call: CallID(rawValue: 2), work: .generation(prompt: chat + [1, 2, 3], maximumTokens: 1))
        _ = try scheduler.submit([turn])
        // Twelve positions were computed: the last token was never looked at.
        let plan = Base.step(&scheduler)
        #expect(plan.slices.map(\.firstPosition) == [12])
        #expect(plan.slices.map(\.cachedTokens) == [12])
    }

    @Test func `known blocks make place for new ones, the end of a prompt before its beginning`() throws {
        var scheduler = Base.scheduler(slots: 1, blocks: 6, rows: 64)
        _ = try scheduler.submit([Base.request(1, rows: 16, common: 16, tokens: 1)])
        Base.step(&scheduler)
        scheduler.finish(slot: 0)
        #expect(scheduler.blocksCached == 4)
        #expect(scheduler.blocksUsed == 0)
        _ = try scheduler.submit([Base.request(2, rows: 16, tokens: 1)])
        Base.step(&scheduler)
        scheduler.finish(slot: 0)
        _ = try scheduler.submit([Base.request(3, rows: 16, common: 16, tokens: 1)])
        let plan = Base.step(&scheduler)
        #expect(plan.slices.map(\.cachedTokens) == [8])
        #expect(plan.rowCount == 8)
    }
}
