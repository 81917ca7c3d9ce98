import EngineProtocol
import Scheduling
import Testing

/// What the scheduler plans, step by step, for small hand-made loads.
@Suite struct SchedulerTests {
    static func request(
        _ call: UInt64, choice: UInt32 = 0, input: UInt32? = nil, tenant: String = "", priority: Int8 = 0,
        deadline: UInt64 = 0, rows: Int = 4, kind: SequenceRequest.Kind = .generation
    ) -> SequenceRequest {
        SequenceRequest(
            call: CallID(rawValue: call), choice: choice, input: input ?? choice, tenant: tenant, priority: priority,
            deadline: deadline, promptRows: rows, kind: kind)
    }

    static func scheduler(
        slots: Int = 2, waiting: Int = 8, rows: Int = 8, beside: Int = 4, score: Int = 4, aging: Int = 32
    ) -> Scheduler {
        Scheduler(
            limits: SchedulerLimits(
                slots: slots, waitingSequences: waiting, prefillRows: rows, prefillRowsBesideDecoding: beside,
                scoreRows: score, admissionsPerPriority: aging))
    }

    static func step(_ scheduler: inout Scheduler) -> StepPlan {
        var plan = StepPlan()
        scheduler.planStep(into: &plan)
        return plan
    }

    /// The calls in the order in which a single slot serves them.
    static func order(_ scheduler: inout Scheduler) -> [UInt64] {
        var served: [UInt64] = []
        while case let plan = step(&scheduler), !plan.isEmpty {
            served += plan.admitted.map(\.call.rawValue)
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
        #expect(Self.step(&scheduler).admitted.map(\.call.rawValue) == [1])
        #expect(Self.step(&scheduler).admitted.isEmpty)
        scheduler.finish(slot: 0)
        #expect(Self.step(&scheduler).admitted.map(\.call.rawValue) == [2])
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
            order += plan.admitted.map(\.call.rawValue)
            for slice in plan.slices { scheduler.finish(slot: slice.slot) }
        }
        let place = try #require(order.firstIndex(of: 1))
        #expect((4...8).contains(place))
    }

    @Test func `a full queue refuses a whole call`() throws {
        var scheduler = Self.scheduler(slots: 1, waiting: 3)
        _ = try scheduler.submit([Self.request(1), Self.request(1, choice: 1)])
        #expect(throws: QueueFull(waiting: 2, limit: 3)) {
            _ = try scheduler.submit([Self.request(2), Self.request(2, choice: 1)])
        }
        #expect(scheduler.waitingCount == 2)
        #expect(try scheduler.submit([Self.request(3)]) == 2)
    }

    @Test func `choices of one input prefill their prompt once`() throws {
        var scheduler = Self.scheduler(slots: 3, rows: 8)
        _ = try scheduler.submit((0..<3).map { Self.request(1, choice: $0, input: 0, rows: 10) })
        #expect(Self.step(&scheduler).slices.map(\.count) == [8])
        #expect(Self.step(&scheduler).slices.map(\.count) == [2])
        let third = Self.step(&scheduler)
        #expect(third.copies.map(\.positions) == [9, 9])
        #expect(third.copies.map(\.source) == [0, 0])
        #expect(third.copies.map(\.target) == [1, 2])
        #expect(third.slices.map(\.firstPosition) == [10, 9, 9])
        #expect(third.slices.map(\.logits) == [.last, .last, .last])
    }

    @Test func `choices prefill by themselves when the first has ended`() throws {
        var scheduler = Self.scheduler(slots: 2, rows: 8)
        _ = try scheduler.submit((0..<2).map { Self.request(1, choice: $0, input: 0, rows: 5) })
        let first = Self.step(&scheduler)
        #expect(first.slices.map(\.slot) == [0])
        scheduler.finish(slot: 0)
        let second = Self.step(&scheduler)
        #expect(second.copies.isEmpty)
        #expect(second.slices.map(\.slot) == [1])
        #expect(second.slices.map(\.firstPosition) == [0])
    }

    @Test func `a text to score wants all logits, in small chunks, and starts again for its next window`() throws {
        var scheduler = Self.scheduler(slots: 1, rows: 8, score: 4)
        _ = try scheduler.submit([Self.request(1, rows: 6, kind: .scoring)])
        #expect(Self.step(&scheduler).slices.map(\.count) == [4])
        let last = Self.step(&scheduler)
        #expect(last.slices.map(\.logits) == [.all])
        #expect(last.slices.map(\.count) == [2])
        #expect(Self.step(&scheduler).isEmpty)
        scheduler.restart(slot: 0, promptRows: 3)
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
        #expect(Self.step(&scheduler).admitted.map(\.call.rawValue) == [2])
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
        #expect(Self.step(&scheduler).admitted.map(\.call.rawValue) == [3])
    }
}
