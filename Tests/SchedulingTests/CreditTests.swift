import EngineProtocol
import Testing

@testable import Scheduling

/// Sequences that give their rows away, and wait when their call has no credit left.
@Suite struct CreditTests {
    static func request(
        _ call: UInt64, choice: UInt32 = 0, rows: Int = 10, bytes: Int = 8, perStep: Int = 100,
        needsLogits: Bool = false,
        tokens: Int = 50
    ) -> SequenceRequest {
        var request = SchedulerTests.request(call, choice: choice, rows: rows, tokens: tokens)
        request.output = .init(rowBytes: bytes, rowsPerStep: perStep, needsLogits: needsLogits)
        return request
    }

    static func counts(_ plan: StepPlan) -> [Int] { plan.slices.map(\.count) }

    @Test func `a chunk ends with the row that uses up the credit`() throws {
        var scheduler = SchedulerTests.scheduler()
        _ = try scheduler.submit([Self.request(1)], credit: 17)
        // Two rows are within 17 bytes, and the third one begins with one byte left.
        #expect(Self.counts(SchedulerTests.step(&scheduler)) == [3])
        #expect(SchedulerTests.step(&scheduler).isEmpty)
        scheduler.addCredit(7, call: CallID(rawValue: 1))
        #expect(SchedulerTests.step(&scheduler).isEmpty)
        scheduler.addCredit(1, call: CallID(rawValue: 1))
        #expect(Self.counts(SchedulerTests.step(&scheduler)) == [1])
        scheduler.addCredit(.max, call: CallID(rawValue: 1))
        scheduler.addCredit(.max, call: CallID(rawValue: 1))
        #expect(Self.counts(SchedulerTests.step(&scheduler)) == [6])
        #expect(Self.counts(SchedulerTests.step(&scheduler)) == [1])
        scheduler.addCredit(1, call: CallID(rawValue: 99))
        #expect(scheduler.credits.count == 1)
    }

    @Test func `others go on while one waits, and it keeps its slot`() throws {
        var scheduler = SchedulerTests.scheduler(slots: 2, rows: 8)
        _ = try scheduler.submit([Self.request(1)], credit: 8)
        _ = try scheduler.submit([SchedulerTests.request(2, rows: 8)])
        #expect(Self.counts(SchedulerTests.step(&scheduler)).sorted() == [1, 7])
        for _ in 0..<5 { #expect(SchedulerTests.step(&scheduler).slices.map(\.call.rawValue) == [2]) }
        #expect(scheduler.runningCount == 2 && !scheduler.isIdle)
        // A decoding sequence waits as one in prefill does.
        scheduler.addCredit(8 * 10, call: CallID(rawValue: 1))
        for _ in 0..<4 { SchedulerTests.step(&scheduler) }
        for _ in 0..<5 { #expect(SchedulerTests.step(&scheduler).slices.map(\.call.rawValue) == [2]) }
        scheduler.addCredit(8, call: CallID(rawValue: 1))
        #expect(SchedulerTests.step(&scheduler).slices.map(\.call.rawValue) == [1, 2])
    }

    @Test func `the sequences of a call share its credit`() throws {
        var scheduler = SchedulerTests.scheduler(slots: 3, rows: 30)
        let choices = (0..<3).map { Self.request(1, choice: $0, rows: 5) }
        _ = try scheduler.submit(choices, credit: 8 * 7)
        var rows = 0
        while case let plan = SchedulerTests.step(&scheduler), !plan.isEmpty { rows += plan.rowCount }
        #expect(rows == 7)
        for slot in 0..<3 { scheduler.finish(slot: slot) }
        #expect(scheduler.credits.isEmpty && scheduler.isIdle)
    }

    @Test func `rows of a step that was not completed are not paid for`() throws {
        var scheduler = SchedulerTests.scheduler(rows: 4)
        _ = try scheduler.submit([Self.request(1)], credit: 8 * 4)
        var plan = StepPlan()
        for _ in 0..<3 {
            scheduler.planStep(into: &plan)
            #expect(Self.counts(plan) == [4])
        }
        scheduler.complete(slot: 0)
        #expect(SchedulerTests.step(&scheduler).isEmpty)
    }

    @Test func `rows with logits and rows of one event are bounded`() throws {
        var scheduler = SchedulerTests.scheduler(rows: 8, score: 3)
        _ = try scheduler.submit([Self.request(1, needsLogits: true)], credit: 1000)
        let plan = SchedulerTests.step(&scheduler)
        #expect(Self.counts(plan) == [3] && plan.slices[0].logits == .all && !plan.slices[0].choosesToken)
        scheduler.remove(call: CallID(rawValue: 1))
        #expect(scheduler.credits.isEmpty)
        _ = try scheduler.submit([Self.request(2, perStep: 2)], credit: 1000)
        #expect(Self.counts(SchedulerTests.step(&scheduler)) == [2])
    }

    @Test func `its blocks are shared with nobody`() throws {
        var scheduler = SchedulerTests.scheduler(slots: 4, rows: 40)
        var request = Self.request(1, rows: 9)
        let prompt = try #require(request.work.prompt)
        for call: UInt64 in 1...2 {
            request.call = CallID(rawValue: call)
            _ = try scheduler.submit([request], credit: 1000)
        }
        request.output = nil
        request.isPromptKnown = false
        request.call = CallID(rawValue: 3)
        _ = try scheduler.submit([request])
        #expect(Self.counts(SchedulerTests.step(&scheduler)) == [9, 9, 9])
        _ = try scheduler.submit([
            SequenceRequest(call: CallID(rawValue: 4), work: .generation(prompt: prompt, maximumTokens: 4))
        ])
        #expect(SchedulerTests.step(&scheduler).slices.contains { $0.call.rawValue == 4 && $0.count >= 4 })
        #expect(scheduler.cachedPositions == 0)
        for slot in 0..<3 { scheduler.finish(slot: slot) }
        // One that the last call has computed so far is all that is left.
        #expect(scheduler.blocksUsed + scheduler.blocksCached == 1)
    }

    @Test func `a prompt alone chooses no token`() throws {
        var scheduler = SchedulerTests.scheduler(rows: 8)
        _ = try scheduler.submit([Self.request(1, rows: 8, tokens: 0)], credit: 1000)
        let plan = SchedulerTests.step(&scheduler)
        #expect(Self.counts(plan) == [8] && plan.slices[0].logits == .none && !plan.slices[0].choosesToken)
        #expect(SchedulerTests.step(&scheduler).isEmpty)
    }

    @Test func `inputs to embed are prefilled without logits, and give way to others`() throws {
        var scheduler = SchedulerTests.scheduler(slots: 2, rows: 8)
        let inputs = (0..<3).map {
            SequenceRequest(call: CallID(rawValue: 1), choice: $0, tenant: "a", work: .embedding(rows: 6))
        }
        _ = try scheduler.submit(inputs)
        let plan = SchedulerTests.step(&scheduler)
        #expect(plan.slices.allSatisfy { $0.logits == .none && !$0.choosesToken } && plan.rowCount == 8)
        _ = try scheduler.submit([SchedulerTests.request(2, tenant: "b", rows: 2)])
        let next = SchedulerTests.step(&scheduler)
        #expect(SchedulerTests.calls(next.changes, .preempted) == [1])
        #expect(SchedulerTests.admitted(next) == [2])
    }
}

extension SequenceRequest.Work {
    fileprivate var prompt: [Int32]? { if case .generation(let prompt, _) = self { prompt } else { nil } }
}
