import Scheduling
import TestSupport
import Testing

/// The costs of steps are learned from steps.
@Suite struct StepCostModelTests {
    struct Machine {
        var step = 20e6
        var row = 1e6
        var depth = 150.0
        var reach = 2000.0

        func nanoseconds(_ work: StepWork) -> Double {
            step + row * Double(work.rows) + depth * work.depths + reach * work.reach
        }
    }

    static func predict(_ costs: StepCosts, _ work: StepWork) -> Double { costs.step + costs.nanoseconds(work) }

    /// So many sequences decode at a depth, beside rows of a prompt.
    static func step(decoding: Int, at depth: Int, prompt: Int = 0, from position: Int = 0) -> StepWork {
        var work = StepWork(from: position, count: prompt)
        for _ in 0..<decoding { work += StepWork(from: depth, count: 1) }
        return work
    }

    /// Feeds steps of all kinds, measured with an error of up to a tenth.
    static func feed(_ model: inout StepCostModel, _ machine: Machine, steps: Int, random: inout SeededRandom) {
        for _ in 0..<steps {
            let work = step(
                decoding: Int.random(in: 1...8, using: &random), at: Int.random(in: 10...4000, using: &random),
                prompt: [0, 1, 4, 64, 256].randomElement(using: &random) ?? 0,
                from: Int.random(in: 0...8000, using: &random))
            let time = machine.nanoseconds(work) * Double.random(in: 0.9...1.1, using: &random)
            model.add(work, nanoseconds: UInt64(time))
        }
    }

    static func expectFit(_ model: StepCostModel, _ machine: Machine) throws {
        let costs = try #require(model.costs)
        let kinds = [
            step(decoding: 1, at: 100), step(decoding: 8, at: 2000), step(decoding: 4, at: 300, prompt: 2, from: 8000),
            step(decoding: 4, at: 300, prompt: 32, from: 4000), step(decoding: 1, at: 10, prompt: 256),
        ]
        for work in kinds {
            let error = abs(predict(costs, work) / machine.nanoseconds(work) - 1)
            #expect(error < 0.2, "\(work): \(error)")
        }
    }

    @Test func `the fit predicts steps of every kind, and follows a machine that changes`() throws {
        var random = SeededRandom(seed: 1)
        var model = StepCostModel()
        #expect(model.costs == nil)
        Self.feed(&model, Machine(), steps: 500, random: &random)
        try Self.expectFit(model, Machine())
        let slower = Machine(step: 45e6, row: 2.5e6, depth: 300, reach: 5000)
        Self.feed(&model, slower, steps: 4000, random: &random)
        try Self.expectFit(model, slower)
    }

    @Test func `what long decoding does not show is not forgotten`() throws {
        var random = SeededRandom(seed: 2)
        var model = StepCostModel()
        let machine = Machine()
        Self.feed(&model, machine, steps: 500, random: &random)
        for depth in 0..<5000 {
            let noise = Double.random(in: 0.95...1.05, using: &random)
            let work = Self.step(decoding: 1, at: depth)
            model.add(work, nanoseconds: UInt64(machine.nanoseconds(work) * noise))
        }
        let costs = try #require(model.costs)
        let work = StepWork(from: 70, count: 256)
        #expect(abs(Self.predict(costs, work) / machine.nanoseconds(work) - 1) < 0.3)
    }

    @Test func `minutes beside a deep prompt, with steps that are held up, leave the step of the streams known`() throws
    {
        var random = SeededRandom(seed: 4)
        var model = StepCostModel()
        let machine = Machine()
        for _ in 0..<100 {
            let work = Self.step(decoding: 4, at: Int.random(in: 100...500, using: &random))
            model.add(work, nanoseconds: UInt64(machine.nanoseconds(work)))
        }
        for position in stride(from: 0, to: 8000, by: 2) {
            let work = Self.step(decoding: 4, at: Int.random(in: 100...500, using: &random), prompt: 2, from: position)
            let isHeldUp = random.next() % 20 == 0
            let time = machine.nanoseconds(work) * (isHeldUp ? 8 : Double.random(in: 0.9...1.2, using: &random))
            model.add(work, nanoseconds: UInt64(time))
        }
        let costs = try #require(model.costs)
        let alone = Self.step(decoding: 4, at: 300)
        #expect(abs(Self.predict(costs, alone) / machine.nanoseconds(alone) - 1) < 0.25)
        let beside = Self.step(decoding: 4, at: 300, prompt: 2, from: 7900)
        #expect(abs(Self.predict(costs, beside) / machine.nanoseconds(beside) - 1) < 0.35)
    }

    @Test func `costs are never negative, whatever was measured`() {
        var random = SeededRandom(seed: 3)
        var model = StepCostModel()
        model.add(StepWork(), nanoseconds: 5)
        model.add(StepWork(from: 0, count: 5), nanoseconds: 0)
        #expect(model.costs == nil)
        for _ in 0..<2000 {
            model.add(
                StepWork(
                    from: Int.random(in: 0...100_000, using: &random), count: Int.random(in: 1...300, using: &random)),
                nanoseconds: UInt64.random(in: 1...10_000_000_000, using: &random))
            guard let costs = model.costs else { return }
            for cost in [costs.step, costs.row, costs.depth, costs.reach] { #expect(cost >= 0 && cost.isFinite) }
        }
    }
}
