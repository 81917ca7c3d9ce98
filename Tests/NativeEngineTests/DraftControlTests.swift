import Scheduling
import Testing

@testable import NativeEngine

/// When drafts are worth what they cost.
@Suite struct DraftControlTests {
    private func control(after guesses: [Bool]) -> DraftControl {
        var control = DraftControl(expected: 0.5)
        for isRight in guesses { control.observe(isRight: isRight) }
        return control
    }

    @Test func `the more guesses are right and the cheaper rows are, the more drafts`() {
        let good = control(after: Array(repeating: true, count: 30))
        let poor = control(after: Array(repeating: false, count: 30))
        #expect(DraftControl(expected: 0.5).plan(cost: 0.1, most: 7).count == 3)
        #expect(DraftControl(expected: 0.5).plan(cost: 0.4, most: 7).count == 1)
        #expect(DraftControl(expected: 0.5).plan(cost: 0.5, most: 7).count == 0)
        #expect(good.plan(cost: 0.1, most: 7).count == 7)
        #expect(good.plan(cost: 0.9, most: 7).count >= 1)
        #expect(good.plan(cost: 0.1, most: 0).count == 0)
        #expect(poor.plan(cost: 0.1, most: 7).count == 0)
    }

    @Test func `one that stopped begins again when guesses are right again`() {
        let again = control(after: Array(repeating: false, count: 100) + Array(repeating: true, count: 8))
        #expect(again.plan(cost: 0.2, most: 7).count >= 2)
    }

    @Test func `a draft is cheap for one sequence alone and dear in a full batch`() {
        let costs = StepCosts(step: 1000, row: 100, depth: 0.5)
        func cost(_ position: Int, _ sequences: Int) -> Double {
            DraftCosts(
                position: position, sequences: sequences, step: costs, draftStep: nil, modelShare: 0
            ).row
        }
        #expect(cost(199, 1) == 200.0 / 1200)
        #expect(cost(199, 5) == 0.5)
        #expect(cost(199, 1000) == 0.9)
        #expect(cost(0, 1) == 0.1)
        let free = StepCosts(step: 0, row: 0, depth: 0)
        #expect(DraftCosts(position: 9, sequences: 1, step: free, draftStep: free, modelShare: 0).row == 0.1)
    }

    @Test func `drafts are made as long as they are likelier than they are expensive`() {
        let control = DraftControl(expected: 0.8)
        #expect(control.plan(cost: 0.9, most: 7) == (0, 0))
        #expect(control.plan(cost: 0.5, most: 7).count == 3)
        #expect(control.plan(cost: 0.1, most: 7).count == 7)
        #expect(abs(control.plan(cost: 0.5, most: 2).gain - (0.3 + 0.14)) < 1e-12)
    }

    @Test func `a source that is wrong is left alone, and tried again much later`() {
        var control = DraftControl(expected: 0.8)
        for _ in 0..<12 { control.observe(isRight: false) }
        #expect(control.plan(cost: 0.4, most: 7).count == 0)
        var pause = 0
        while control.plan(cost: 0.4, most: 7).count == 0, pause < 10_000 {
            control.recover()
            pause += 1
        }
        #expect((50..<500).contains(pause))
        for _ in 0..<30 { control.observe(isRight: true) }
        let acceptance = control.acceptance
        control.recover()
        #expect(control.acceptance == acceptance)
    }

    @Test func `a draft costs its row and its share of the draft model's step`() {
        let step = StepCosts(step: 800, row: 100, depth: 0)
        let draftStep = StepCosts(step: 80, row: 10, depth: 0)
        let one = DraftCosts(position: 9, sequences: 1, step: step, draftStep: draftStep, modelShare: 0.5)
        #expect(abs(one.row - 100.0 / 900) < 1e-12 && abs(one.fromModel - 190.0 / 900) < 1e-12)
        #expect(abs(one.catchUpRow - 10.0 / 900) < 1e-12)
        // In a large batch a row costs nearly a token.
        let many = DraftCosts(position: 9, sequences: 32, step: step, draftStep: draftStep, modelShare: 0.5)
        #expect(many.row > 0.75 && many.fromModel > 0.85)
        let unknown = DraftCosts(position: 9, sequences: 1, step: nil, draftStep: nil, modelShare: 0.5)
        #expect(unknown.row == 0.1 && unknown.fromModel == 0.6)
    }
}
