import EngineProtocol
import Testing

@testable import Scheduling

/// Prompts whose rows take too long beside streams, and so go through the model some layers at a time.
@Suite struct LayeredPrefillTests {
    typealias Base = SchedulerTests

    static let layers = 8
    /// Rows that look back at many positions are expensive: two at 1,000 take twice as long as the stream's step.
    static let costs = StepCosts(step: 1000, row: 10, depth: 0.5, reach: 1)

    static func scheduler(slots: Int = 4, blocks: Int = 1000, rows: Int = 64) -> Scheduler {
        Scheduler(
            limits: SchedulerLimits(
                slots: slots, blocks: blocks, blockPositions: 32, prefillRows: rows, prefillRowsBesideDecoding: 4,
                leastPrefillRows: 2, scoreRows: 4, layers: layers))
    }

    /// A stream in slot 0, and in slot 1 a prompt of 1,000 tokens of which the first ones are computed.
    static func besideStream(blocks: Int = 1000, priority: Int8 = 0) throws -> Scheduler {
        var scheduler = scheduler(blocks: blocks)
        _ = try scheduler.submit([Base.request(2, priority: priority, rows: 1000)])
        for _ in 0..<12 { Base.step(&scheduler) }
        _ = try scheduler.submit([Base.request(1, rows: 2, tokens: 1000)])
        while scheduler.running.compactMap({ $0 }).allSatisfy({ !$0.isDecoding }) { Base.step(&scheduler) }
        return scheduler
    }

    static func layered(_ plan: StepPlan) -> StepPlan.Slice? { plan.slices.first(where: \.isLayered) }

    @Test func `rows that are too expensive pass some layers in each step, and none takes too long`() throws {
        var scheduler = try Self.besideStream()
        let start = try #require(scheduler.running[0]?.computed)
        var computed = start
        var nextLayer = 0
        var blocks: [Int32] = []
        while computed < 999 {
            let plan = Base.step(&scheduler, costs: Self.costs)
            let (decoding, prompt) = (plan.slices[0], try #require(Self.layered(plan)))
            #expect(plan.slices.last == prompt && decoding.isDecoding)
            let alone = Self.costs.step + Self.costs.nanoseconds(decoding.work)
            let whole = StepWork(from: prompt.firstPosition, count: prompt.count)
            let added = Self.costs.nanoseconds(whole) * Double(prompt.layers.count) / Double(Self.layers)
            #expect(abs(Self.costs.nanoseconds(prompt.work) - added) < 1e-6)
            #expect(added <= 0.75 * alone)
            // Without stopping, in order, in the same blocks, and known only when all layers are there.
            #expect(prompt.firstPosition == computed && prompt.layers.lowerBound == nextLayer)
            if nextLayer > 0 { #expect(prompt.blocks == blocks) }
            blocks = prompt.blocks
            #expect(prompt.isComplete == (prompt.layers.upperBound == Self.layers))
            nextLayer = prompt.isComplete ? 0 : prompt.layers.upperBound
            if prompt.isComplete { computed += prompt.count }
            #expect(scheduler.running[0]?.computed == computed)
            if computed < 1000 { #expect(prompt.logits == .none && !prompt.choosesToken) }
            try #require(prompt.firstPosition + prompt.count <= 1000)
            if prompt.firstPosition + prompt.count == 1000 { break }
        }
        #expect(computed > start)
    }

    @Test func `its last layers have the logits`() throws {
        var scheduler = try Self.besideStream()
        var last: StepPlan.Slice?
        for _ in 0..<2000 where scheduler.running[0]?.generatedTokens == 0 {
            last = Self.layered(Base.step(&scheduler, costs: Self.costs))
        }
        let slice = try #require(last)
        #expect(slice.firstPosition + slice.count == 1000)
        #expect(slice.isComplete && slice.choosesToken && slice.logits == .last)
        #expect(scheduler.running[0]?.isDecoding == true)
    }

    @Test func `without streams the other layers come at once`() throws {
        var scheduler = try Self.besideStream()
        let first = try #require(Self.layered(Base.step(&scheduler, costs: Self.costs)))
        #expect(!first.isComplete)
        scheduler.finish(slot: 1)
        let plan = Base.step(&scheduler, costs: Self.costs)
        #expect(plan.slices.map(\.layers) == [first.layers.upperBound..<Self.layers])
        let next = Base.step(&scheduler, costs: Self.costs)
        #expect(next.slices.map(\.layers) == [0..<Self.layers] && next.slices[0].count > first.count)
    }

    @Test func `layers that were not completed begin again`() throws {
        var scheduler = try Self.besideStream()
        let first = try #require(Self.layered(Base.step(&scheduler, costs: Self.costs)))
        var plan = StepPlan()
        scheduler.planStep(into: &plan, costs: Self.costs)
        #expect(Self.layered(plan)?.layers.lowerBound == first.layers.upperBound)
        for slice in plan.slices where !slice.isLayered { scheduler.complete(slot: slice.slot, tokens: [7]) }
        let again = try #require(Self.layered(Base.step(&scheduler, costs: Self.costs)))
        #expect(again.layers.lowerBound == 0 && again.firstPosition == first.firstPosition)
    }

    @Test func `whoever loses its slot begins its rows again`() throws {
        // 1,000 positions are 32 blocks; the stream takes the others, and then some of the prompt's.
        var scheduler = try Self.besideStream(blocks: 34, priority: -1)
        var preempted = false
        for _ in 0..<200 where !preempted {
            let plan = Base.step(&scheduler, costs: Self.costs)
            preempted = Base.calls(plan.changes, .preempted) == [2]
        }
        #expect(preempted)
        scheduler.remove(call: CallID(rawValue: 1))
        let plan = Base.step(&scheduler, costs: Self.costs)
        #expect(plan.slices.map(\.layers) == [0..<Self.layers])
    }

    @Test func `a short prompt does not wait for the layers of a long one`() throws {
        var scheduler = try Self.besideStream()
        Base.step(&scheduler, costs: Self.costs)
        _ = try scheduler.submit([Base.request(3, rows: 3)])
        let plan = Base.step(&scheduler, costs: Self.costs)
        let short = try #require(plan.slices.first { $0.call.rawValue == 3 })
        #expect(!short.isLayered && short.count > 0)
        #expect(try #require(Self.layered(plan)).layers.lowerBound > 0)
    }

    @Test func `scored texts keep whole rows, for each of them has logits`() throws {
        var scheduler = Self.scheduler()
        _ = try scheduler.submit([Base.request(1, rows: 2)])
        Base.step(&scheduler)
        _ = try scheduler.submit([Base.scoring(2, rows: 1000)])
        let plan = Base.step(&scheduler, costs: StepCosts(step: 1, row: 100, depth: 0))
        #expect(plan.slices.map(\.layers) == [0..<Self.layers, 0..<Self.layers])
    }
}
