import Scheduling
import TestSupport
import Testing

/// The costs of steps are learned from steps.
@Suite struct StepCostModelTests {
    struct Machine {
        var step = 20e6
        var row = 1e6
        var depth = 150.0

        func nanoseconds(rows: Int, depths: Double) -> Double { step + row * Double(rows) + depth * depths }
    }

    static func predict(_ costs: StepCosts, rows: Int, depths: Double) -> Double {
        costs.step + costs.nanoseconds(rows: rows, depths: depths)
    }

    /// Feeds steps of all kinds, measured with an error of up to a tenth.
    static func feed(_ model: inout StepCostModel, _ machine: Machine, steps: Int, random: inout SeededRandom) {
        for _ in 0..<steps {
            let rows = [1, 4, 64, 256].randomElement(using: &random) ?? 1
            let depths = Double(rows) * Double.random(in: 10...4000, using: &random)
            let time = machine.nanoseconds(rows: rows, depths: depths) * Double.random(in: 0.9...1.1, using: &random)
            model.add(rows: rows, depths: depths, nanoseconds: UInt64(time))
        }
    }

    static func expectFit(_ model: StepCostModel, _ machine: Machine) throws {
        let costs = try #require(model.costs)
        for (rows, depth) in [(1, 100.0), (8, 2000), (32, 4000), (256, 500), (256, 4000)] {
            let truth = machine.nanoseconds(rows: rows, depths: Double(rows) * depth)
            let error = abs(predict(costs, rows: rows, depths: Double(rows) * depth) / truth - 1)
            #expect(error < 0.2, "\(rows) rows at \(depth): \(error)")
        }
    }

    @Test func `the fit predicts steps of every kind, and follows a machine that changes`() throws {
        var random = SeededRandom(seed: 1)
        var model = StepCostModel()
        #expect(model.costs == nil)
        Self.feed(&model, Machine(), steps: 200, random: &random)
        try Self.expectFit(model, Machine())
        let slower = Machine(step: 45e6, row: 2.5e6, depth: 300)
        Self.feed(&model, slower, steps: 300, random: &random)
        try Self.expectFit(model, slower)
    }

    @Test func `what long decoding does not show is not forgotten`() throws {
        var random = SeededRandom(seed: 2)
        var model = StepCostModel()
        let machine = Machine()
        Self.feed(&model, machine, steps: 200, random: &random)
        for depth in 0..<5000 {
            let noise = Double.random(in: 0.95...1.05, using: &random)
            let time = machine.nanoseconds(rows: 1, depths: Double(depth)) * noise
            model.add(rows: 1, depths: Double(depth), nanoseconds: UInt64(time))
        }
        let costs = try #require(model.costs)
        let truth = machine.nanoseconds(rows: 256, depths: 50_000)
        #expect(abs(Self.predict(costs, rows: 256, depths: 50_000) / truth - 1) < 0.3)
    }

    @Test func `costs are never negative, whatever was measured`() {
        var random = SeededRandom(seed: 3)
        var model = StepCostModel()
        model.add(rows: 0, depths: 0, nanoseconds: 5)
        model.add(rows: 5, depths: 0, nanoseconds: 0)
        #expect(model.costs == nil)
        for _ in 0..<2000 {
            model.add(
                rows: Int.random(in: 1...300, using: &random), depths: Double.random(in: 0...1e6, using: &random),
                nanoseconds: UInt64.random(in: 1...10_000_000_000, using: &random))
            guard let costs = model.costs else { return }
            #expect(costs.step >= 0 && costs.row >= 0 && costs.depth >= 0)
            #expect(costs.step.isFinite && costs.row.isFinite && costs.depth.isFinite)
        }
    }
}
