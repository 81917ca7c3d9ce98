import EngineProtocol
import Testing

@testable import Scheduling

/// Who gives way when blocks or slots run out, and how it goes on.
@Suite struct PreemptionTests {
    typealias Base = SchedulerTests

    @Test func `what can never fit is refused with the numbers`() throws {
        var scheduler = Base.scheduler(blocks: 5)
        #expect(throws: SubmissionError.neverFits(positions: 21, limit: 20, pinned: 0)) {
            _ = try scheduler.submit([Base.request(1, rows: 12, tokens: 10)])
        }
        #expect(throws: SubmissionError.neverFits(positions: 21, limit: 20, pinned: 0)) {
            _ = try scheduler.submit([Base.scoring(1, rows: 21)])
        }
        #expect(try scheduler.submit([Base.request(1, rows: 12, tokens: 9)]) == 0)
        #expect(scheduler.waitingCount == 1)
    }

    @Test func `the newest gives way and goes on where it was`() throws {
        var scheduler = Base.scheduler(slots: 2, blocks: 8, rows: 64, beside: 64)
        _ = try scheduler.submit([Base.request(1, rows: 4, tokens: 20)])
        _ = try scheduler.submit([Base.request(2, rows: 4, tokens: 20)])
        var plans: [StepPlan] = []
        while plans.count < 40, !plans.contains(where: { !Base.calls($0.changes, .preempted).isEmpty }) {
            plans.append(Base.step(&scheduler))
        }
        let preempting = try #require(plans.last)
        #expect(Base.calls(preempting.changes, .preempted) == [2])
        #expect(scheduler.preemptions == 1)
        // 1 ends; 2 finds what of its blocks is left, computes the rest at once and decodes on.
        let tokens = try #require(plans.dropLast().last?.slices.last).firstPosition
        while scheduler.running.first(where: { $0?.request.call.rawValue == 1 }) != nil {
            let plan = Base.step(&scheduler)
            for slice in plan.slices where slice.firstPosition == 22 { scheduler.finish(slot: slice.slot) }
        }
        let resuming = Base.step(&scheduler)
        #expect(Base.calls(resuming.changes, .resumed) == [2])
        let slice = try #require(resuming.slices.first)
        #expect(slice.firstPosition + slice.count == tokens + 2)
        #expect(slice.logits == .last)
        #expect(Base.step(&scheduler).slices.map(\.isDecoding) == [true])
    }

    @Test func `the lowest priority gives way, however old it is`() throws {
        var scheduler = Base.scheduler(slots: 2, blocks: 8, rows: 64, beside: 64)
        _ = try scheduler.submit([Base.request(1, priority: -1, rows: 4, tokens: 20)])
        Base.step(&scheduler)
        _ = try scheduler.submit([Base.request(2, rows: 4, tokens: 20)])
        for _ in 0..<40 {
            let gone = Base.calls(Base.step(&scheduler).changes, .preempted)
            if !gone.isEmpty {
                #expect(gone == [1])
                return
            }
        }
        Issue.record("nobody gave way")
    }

    @Test func `a prompt waits until there are blocks for all of it`() throws {
        var scheduler = Base.scheduler(slots: 2, blocks: 10, rows: 64, beside: 64)
        _ = try scheduler.submit([Base.request(1, rows: 20, tokens: 2)])
        _ = try scheduler.submit([Base.request(2, rows: 20, tokens: 2)])
        #expect(Base.admitted(Base.step(&scheduler)) == [1])
        #expect(Base.admitted(Base.step(&scheduler)) == [])
        scheduler.finish(slot: 0)
        #expect(Base.admitted(Base.step(&scheduler)) == [2])
    }

    @Test func `many choices of one call delay no other call`() throws {
        var scheduler = Base.scheduler(slots: 4, waiting: 200, rows: 64, beside: 64)
        _ = try scheduler.submit((0..<128).map { Base.request(1, choice: $0) })
        Base.step(&scheduler)
        #expect(scheduler.runningCount == 4)
        for call: UInt64 in 2...3 { _ = try scheduler.submit([Base.request(call)]) }
        let plan = Base.step(&scheduler)
        #expect(Base.calls(plan.changes, .preempted) == [1, 1])
        #expect(Base.admitted(plan) == [2, 3])
        // The choices that gave way are the first of their call to come back, and nobody is moved again.
        #expect(Base.step(&scheduler).changes.isEmpty)
        for slot in scheduler.running.indices where scheduler.running[slot]?.request.call.rawValue != 1 {
            scheduler.finish(slot: slot)
        }
        let back = Base.step(&scheduler)
        #expect(back.changes.map(\.kind) == [.resumed, .resumed])
        #expect(back.changes.map(\.choice) == [2, 3])
    }

    @Test func `a tenant with nothing to show takes a slot from one that has several`() throws {
        var scheduler = Base.scheduler(slots: 3, waiting: 50, rows: 64, beside: 64)
        for call: UInt64 in 1...20 { _ = try scheduler.submit([Base.request(call, tenant: "a")]) }
        Base.step(&scheduler)
        for call: UInt64 in 21...24 { _ = try scheduler.submit([Base.request(call, tenant: "b")]) }
        let plan = Base.step(&scheduler)
        #expect(Base.calls(plan.changes, .preempted) == [3])
        #expect(Base.admitted(plan) == [21])
        // A call of higher priority is left alone.
        _ = try scheduler.submit([Base.request(30, tenant: "c", priority: -1)])
        #expect(Base.step(&scheduler).changes.isEmpty)
    }

    @Test func `tenants are served by the rows that they were given`() throws {
        var scheduler = Base.scheduler(slots: 1, waiting: 50, rows: 64)
        for call: UInt64 in 1...4 { _ = try scheduler.submit([Base.request(call, tenant: "long", rows: 30)]) }
        for call: UInt64 in 11...18 { _ = try scheduler.submit([Base.request(call, tenant: "short", rows: 10)]) }
        #expect(Base.order(&scheduler) == [1, 11, 12, 13, 2, 14, 15, 16, 3, 17, 18, 4])
    }
}
