/// What a step still has for prompts: rows and, beside decoding sequences, time.
struct PrefillBudget {
    private let limits: SchedulerLimits
    private let costs: StepCosts?
    private var rows: Int
    /// Of these, rows that may all have logits.
    private var scoreRows: Int
    private var nanoseconds = Double.infinity
    /// Rows that are given whatever they cost.
    private var leastRows = 0

    /// - Parameter decoding: the step as far as it is planned: its decoding sequences.
    init(limits: SchedulerLimits, drafts: Int, decoding: StepPlan, costs: StepCosts?) {
        self.limits = limits
        self.costs = costs
        rows = limits.prefillRows - drafts
        scoreRows = limits.scoreRows - drafts
        guard !decoding.isEmpty else { return }
        guard let costs else {
            rows = min(rows, limits.prefillRowsBesideDecoding)
            return
        }
        let step = costs.step + costs.nanoseconds(decoding.work)
        nanoseconds = step * Double(limits.prefillPercentBesideDecoding) / 100
        leastRows = limits.leastPrefillRows
    }

    /// Takes what a sequence needs, as far as it is there; at most one `share`-th of what is left.
    mutating func take(_ needed: Int, from position: Int, needsLogits: Bool, share: Int) -> Int {
        let left = needsLogits ? min(rows, scoreRows) : rows
        var taken = max(0, min(needed, (left + share - 1) / share))
        if let costs, nanoseconds.isFinite {
            let affordable = costs.rows(within: nanoseconds / Double(share), from: position, limit: taken)
            taken = min(taken, max(affordable, (leastRows + share - 1) / share))
            nanoseconds -= costs.nanoseconds(StepWork(from: position, count: taken))
        }
        rows -= taken
        leastRows = max(0, leastRows - taken)
        if needsLogits { scoreRows -= taken }
        return taken
    }

    // MARK: Layered prefill

    /// Rows whose layers are to be computed in several steps; nil if there is time for as many whole rows as a step computes
    /// in any case.
    ///
    /// They are so many that each step has time for two layers: one would often leave half of its time unused.
    func layeredRows(of needed: Int, from position: Int, share: Int) -> Int? {
        guard let costs, nanoseconds.isFinite, limits.layers > 1 else { return nil }
        let time = nanoseconds / Double(share)
        let least = min(needed, leastRows)
        guard costs.rows(within: time, from: position, limit: least) < least else { return nil }
        let most = min(needed, limits.layeredRows)
        let affordable = costs.rows(within: time * Double(limits.layers) / 2, from: position, limit: most)
        return max(affordable, min(least, most))
    }

    /// Takes layers of rows, as far as there is time; at most one `share`-th of it, but at least so many.
    mutating func takeLayers(_ needed: Int, of work: StepWork, atLeast least: Int, share: Int) -> Int {
        // Their sequence moves: nobody else has to.
        leastRows = 0
        if least > 0 { rows -= Int(work.rows) }
        guard let costs, nanoseconds.isFinite else { return needed }
        let layer = costs.nanoseconds(work) / Double(limits.layers)
        let affordable = layer > 0 ? max(0, nanoseconds / Double(share) / layer) : .infinity
        let taken = affordable < Double(needed) ? max(least, Int(affordable)) : needed
        nanoseconds -= layer * Double(taken)
        return taken
    }
}
