/// What the scheduler never exceeds.
public struct SchedulerLimits: Sendable, Equatable {
    /// Sequences that run together; each owns one slot of the KV cache.
    public let slots: Int
    /// Sequences that wait for a slot.
    public let waitingSequences: Int
    /// Prefill rows of one step while nothing decodes.
    public let prefillRows: Int
    /// Prefill rows of one step beside decoding sequences, so that a long prompt does not stall their streams.
    public let prefillRowsBesideDecoding: Int
    /// Rows of scored text in one step: each of them needs a whole row of logits.
    public let scoreRows: Int
    /// After so many admissions that passed it over, a waiting sequence counts one priority higher.
    public let admissionsPerPriority: Int

    /// Row budgets below the number of slots are raised to it, so that every sequence moves in every step.
    public init(
        slots: Int, waitingSequences: Int = 512, prefillRows: Int = 256, prefillRowsBesideDecoding: Int = 64,
        scoreRows: Int = 64, admissionsPerPriority: Int = 32
    ) {
        self.slots = max(1, slots)
        self.waitingSequences = max(1, waitingSequences)
        self.prefillRows = max(self.slots, prefillRows)
        self.prefillRowsBesideDecoding = min(self.prefillRows, max(self.slots, prefillRowsBesideDecoding))
        self.scoreRows = max(self.slots, scoreRows)
        self.admissionsPerPriority = max(1, admissionsPerPriority)
    }

    /// The most rows that one step can have.
    public var rowsPerStep: Int { slots + prefillRows }
    /// The most rows of logits that one step can ask for.
    public var logitsRowsPerStep: Int { min(rowsPerStep, slots + scoreRows) }
}
