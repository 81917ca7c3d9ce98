import EngineProtocol
import Testing

@testable import Scheduling

/// How much of a step prompts and drafts may take.
@Suite struct StepBudgetTests {
    typealias Base = SchedulerTests

    static func decodingScheduler(rows: Int = 256, score: Int = 4) throws -> Scheduler {
        var scheduler = Base.scheduler(slots: 4, positions: 32, rows: rows, score: score)
        _ = try scheduler.submit([Base.request(1, rows: 2)])
        Base.step(&scheduler)
        return scheduler
    }

    @Test func `beside a stream a prompt takes less time than the stream itself`() throws {
        var scheduler = try Self.decodingScheduler()
        _ = try scheduler.submit([Base.request(2, rows: 8000)])
        let costs = StepCosts(step: 20e6, row: 1e6, depth: 500, reach: 300)
        var steps = 0
        var rows: [Int] = []
        while scheduler.running[1]?.generatedTokens != 1 {
            let plan = Base.step(&scheduler, costs: costs)
            let (decoding, prefill) = (plan.slices[0], try #require(plan.slices.last))
            let alone = costs.step + costs.nanoseconds(StepWork(from: decoding.firstPosition, count: 1))
            let added = costs.nanoseconds(StepWork(from: prefill.firstPosition, count: prefill.count))
            if steps > 0 { #expect(alone + added <= 2 * alone) }
            if prefill.logits == .none { rows.append(prefill.count) }
            steps += 1
            try #require(steps < 8000)
        }
        // Deep rows cost more, so there are fewer of them, but always some.
        #expect(try #require(rows.dropFirst().first) > 2 * (try #require(rows.last)))
        #expect(try #require(rows.min()) >= 1)
    }

    @Test func `a prompt moves even where a row costs more than the streams`() throws {
        var scheduler = try Self.decodingScheduler()
        _ = try scheduler.submit([Base.request(2, rows: 10)])
        let plan = Base.step(&scheduler, costs: StepCosts(step: 0, row: 1, depth: 1e9))
        #expect(plan.slices.map(\.count) == [1, 1])
    }

    @Test func `drafts are computed with logits, and the wrong ones are overwritten`() throws {
        var scheduler = try Self.decodingScheduler(score: 8)
        scheduler.propose(slot: 0, draftTokens: 4)
        var plan = StepPlan()
        scheduler.planStep(into: &plan)
        let slice = plan.slices[0]
        #expect((slice.firstPosition, slice.count, slice.draftTokens) == (2, 5, 4))
        #expect(slice.logits == .all)
        #expect(slice.isDecoding)
        // Two drafts were right, and the third row chose a token of its own.
        scheduler.complete(slot: 0, tokens: [71, 72, 73])
        let next = Base.step(&scheduler).slices[0]
        #expect((next.firstPosition, next.count, next.draftTokens) == (5, 1, 0))
    }

    @Test func `drafts count as rows and as logits, and stop before the last token`() throws {
        var scheduler = try Self.decodingScheduler(rows: 20, score: 3)
        scheduler.propose(slot: 0, draftTokens: 10)
        _ = try scheduler.submit([Base.scoring(2, rows: 30)])
        let plan = Base.step(&scheduler)
        #expect(plan.slices.map(\.draftTokens) == [3])
        #expect(plan.slices.map(\.count) == [4])
        var ending = Base.scheduler(slots: 1, score: 8)
        _ = try ending.submit([Base.request(1, rows: 2, tokens: 4)])
        Base.step(&ending)
        ending.propose(slot: 0, draftTokens: 8)
        // Of four tokens one is there, and one comes after the drafts.
        #expect(Base.step(&ending).slices.map(\.draftTokens) == [2])
    }
}
