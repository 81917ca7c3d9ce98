import EngineProtocol
import Testing

@testable import Scheduling

/// What the scheduler plans, step by step, for small hand-made loads.
@Suite struct SchedulerTests {
    /// A generation whose prompt is like no other call's, but for the first `common` tokens.
    static func request(
        _ call: UInt64, choice: UInt32 = 0, tenant: String = "", priority: Int8 = 0, deadline: UInt64 = 0,
        rows: Int = 4, common: Int = 0, salt: String = "", tokens: Int = 50
    ) -> SequenceRequest {
        let prompt = (0..<rows).map { $0 < common ? Int32($0) : Int32(call) * 1000 + Int32($0) }
        return SequenceRequest(
            call: CallID(rawValue: call), choice: choice, tenant: tenant, priority: priority, deadline: deadline,
            cacheSalt: salt, work: .generation(prompt: prompt, maximumTokens: tokens))
    }

    static func scoring(_ call: UInt64, rows: Int) -> SequenceRequest {
        SequenceRequest(call: CallID(rawValue: call), work: .scoring(rows: rows))
    }

    static func scheduler(
        slots: Int = 2, blocks: Int = 1000, positions: Int = 4, waiting: Int = 8, rows: Int = 8, beside: Int = 4,
        score: Int = 4, aging: Int = 32
    ) -> Scheduler {
        Scheduler(
            limits: SchedulerLimits(
                slots: slots, blocks: blocks, blockPositions: positions, waitingSequences: waiting, prefillRows: rows,
                prefillRowsBesideDecoding: beside, leastPrefillRows: 1, scoreRows: score, admissionsPerPriority: aging))
    }

    /// Plans a step and completes it; every row with logits makes a token of its own.
    @discardableResult
    static func step(_ scheduler: inout Scheduler, costs: StepCosts? = nil) -> StepPlan {
        var plan = StepPlan()
        scheduler.planStep(into: &plan, costs: costs)
        for slice in plan.slices {
            scheduler.complete(
                slot: slice.slot, tokens: slice.logits == .last ? [Int32(slice.firstPosition) + 500] : [])
        }
        return plan
    }

    static func calls(_ changes: [StepPlan.SlotChange], _ kind: StepPlan.SlotChange.Kind) -> [UInt64] {
        changes.filter { $0.kind == kind }.map(\.call.rawValue)
    }

    static func admitted(_ plan: StepPlan) -> [UInt64] { calls(plan.changes, .admitted) }

    /// The calls in the order in which a single slot serves them.
    static func order(_ scheduler: inout Scheduler) -> [UInt64] {
        var served: [UInt64] = []
        while case let plan = step(&scheduler), !plan.isEmpty {
            served += admitted(plan)
            for slice in plan.slices where slice.logits != .none { scheduler.finish(slot: slice.slot) }
        }
        return served
    }

    @Test func `a prompt is prefilled in chunks and then decodes one row a step`() throws {
        var scheduler = Self.scheduler()
        #expect(try scheduler.submit([Self.request(1, rows: 10)]) == 0)
        let slices = (0..<4).map { _ in Self.step(&scheduler).slices }
        #expect(slices.map { $0.map(\.firstPosition) } == [[0], [8], [10], [11]])
        #expect(slices.map { $0.map(\.count) } == [[8], [2], [1], [1]])
        #expect(slices.map { $0.map(\.logits) } == [[.none], [.last], [.last], [.last]])
        #expect(slices.map { $0.map(\.isFirst) } == [[true], [false], [false], [false]])
        #expect(slices.map { $0.map(\.isDecoding) } == [[false], [false], [true], [true]])
    }

    @Test func `a long prompt beside a stream takes the small share of rows`() throws {
        var scheduler = Self.scheduler()
        _ = try scheduler.submit([Self.request(1, rows: 2)])
        _ = Self.step(&scheduler)
        _ = try scheduler.submit([Self.request(2, rows: 100)])
        let plan = Self.step(&scheduler)
        #expect(plan.slices.map(\.call.rawValue) == [1, 2])
        #expect(plan.slices.map(\.count) == [1, 4])
    }

    @Test func `rows that a short prompt does not need go to the long one`() throws {
        var scheduler = Self.scheduler(rows: 8)
        _ = try scheduler.submit([Self.request(1, rows: 100)])
        _ = try scheduler.submit([Self.request(2, rows: 3)])
        let plan = Self.step(&scheduler)
        #expect(plan.slices.map(\.call.rawValue) == [2, 1])
        #expect(plan.slices.map(\.count) == [3, 5])
    }

    @Test func `equal prompts come to their first token one after the other`() throws {
        var scheduler = Self.scheduler(slots: 3, rows: 8)
        for call: UInt64 in 1...3 { _ = try scheduler.submit([Self.request(call, rows: 8)]) }
        let first = Self.step(&scheduler)
        #expect(first.slices.map(\.call.rawValue) == [2, 1])
        #expect(first.slices.map(\.count) == [4, 4])
        let second = Self.step(&scheduler)
        #expect(second.slices.map(\.call.rawValue) == [2, 1])
        #expect(second.slices.map(\.logits) == [.last, .last])
        #expect(Self.step(&scheduler).slices.map(\.count) == [1, 1, 4])
    }

    @Test func `a stream of short prompts leaves half of the rows to a long one`() throws {
        var scheduler = Self.scheduler(slots: 3, waiting: 16, rows: 8)
        _ = try scheduler.submit([Self.request(1, rows: 1000)])
        for call: UInt64 in 2...6 {
            _ = try scheduler.submit([Self.request(call, rows: 6)])
            let plan = Self.step(&scheduler)
            #expect(plan.slices.first { $0.call.rawValue == 1 }.map { $0.count >= 2 } == true)
            for slice in plan.slices where slice.logits == .last { scheduler.finish(slot: slice.slot) }
        }
    }

    @Test func `a freed slot is given away in the next step`() throws {
        var scheduler = Self.scheduler(slots: 1)
        _ = try scheduler.submit([Self.request(1)])
        #expect(try scheduler.submit([Self.request(2)]) == 1)
        #expect(Self.admitted(Self.step(&scheduler)) == [1])
        #expect(Self.admitted(Self.step(&scheduler)).isEmpty)
        scheduler.finish(slot: 0)
        #expect(Self.admitted(Self.step(&scheduler)) == [2])
    }

    @Test func `higher priority goes first and tenants take turns`() throws {
        var scheduler = Self.scheduler(slots: 1, waiting: 16)
        for call: UInt64 in 1...3 { _ = try scheduler.submit([Self.request(call, tenant: "a")]) }
        for call: UInt64 in 4...5 { _ = try scheduler.submit([Self.request(call, tenant: "b")]) }
        _ = try scheduler.submit([Self.request(6, tenant: "a", priority: 3)])
        _ = try scheduler.submit([Self.request(7, tenant: "c", priority: -1)])
        #expect(Self.order(&scheduler) == [6, 4, 1, 5, 2, 3, 7])
    }

    @Test func `a sequence that is passed over often enough is served among its betters`() throws {
        var scheduler = Self.scheduler(slots: 1, waiting: 32, aging: 2)
        _ = try scheduler.submit([Self.request(1, tenant: "low", priority: -1)])
        var order: [UInt64] = []
        // One of high priority comes for each that is served: without ageing the first would wait for ever.
        for call: UInt64 in 2...40 {
            _ = try scheduler.submit([Self.request(call, tenant: "high", priority: 1)])
            let plan = Self.step(&scheduler)
            order += Self.admitted(plan)
            for slice in plan.slices { scheduler.finish(slot: slice.slot) }
        }
        let place = try #require(order.firstIndex(of: 1))
        #expect((4...8).contains(place))
    }

    @Test func `a full queue refuses a whole call`() throws {
        var scheduler = Self.scheduler(slots: 1, waiting: 3)
        _ = try scheduler.submit([Self.request(1), Self.request(1, choice: 1)])
        #expect(throws: SubmissionError.queueFull(waiting: 2, limit: 3)) {
            _ = try scheduler.submit([Self.request(2), Self.request(2, choice: 1)])
        }
        #expect(scheduler.waitingCount == 2)
        #expect(try scheduler.submit([Self.request(3)]) == 2)
    }

    @Test func `a text to score wants all logits, in small chunks, and starts again for its next window`() throws {
        var scheduler = Self.scheduler(slots: 1, rows: 8, score: 4)
        _ = try scheduler.submit([Self.scoring(1, rows: 6)])
        #expect(Self.step(&scheduler).slices.map(\.count) == [4])
        let last = Self.step(&scheduler)
        #expect(last.slices.map(\.logits) == [.all])
        #expect(last.slices.map(\.count) == [2])
        #expect(Self.step(&scheduler).isEmpty)
        scheduler.restart(slot: 0, rows: 3)
        let again = Self.step(&scheduler)
        #expect(again.slices.map(\.firstPosition) == [0])
        #expect(again.slices.map(\.count) == [3])
    }

    @Test func `removing a call empties its slots and its places in the queue`() throws {
        var scheduler = Self.scheduler(slots: 1)
        _ = try scheduler.submit([Self.request(1), Self.request(1, choice: 1)])
        _ = try scheduler.submit([Self.request(2)])
        _ = Self.step(&scheduler)
        #expect(scheduler.remove(call: CallID(rawValue: 1)) == 2)
        #expect(scheduler.remove(call: CallID(rawValue: 1)) == 0)
        #expect(Self.admitted(Self.step(&scheduler)) == [2])
    }

    @Test func `a deadline ends a call that waits and one that runs`() throws {
        var scheduler = Self.scheduler(slots: 1)
        _ = try scheduler.submit([Self.request(1, deadline: 50)])
        _ = try scheduler.submit([Self.request(2, deadline: 60)])
        _ = try scheduler.submit([Self.request(3)])
        _ = Self.step(&scheduler)
        #expect(scheduler.expire(now: 49).isEmpty)
        #expect(scheduler.expire(now: 50).map(\.rawValue) == [1])
        #expect(scheduler.expire(now: 60).map(\.rawValue) == [2])
        #expect(Self.admitted(Self.step(&scheduler)) == [3])
    }
}
