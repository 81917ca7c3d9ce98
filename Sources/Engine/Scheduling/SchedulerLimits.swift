/// What the scheduler never exceeds.
public struct SchedulerLimits: Sendable, Equatable {
    /// Sequences that run together.
    public let slots: Int
    /// Blocks of the KV cache, shared by all sequences.
    public let blocks: Int
    /// Positions of a block.
    public let blockPositions: Int
    /// Sequences that wait for a slot.
    public let waitingSequences: Int
    /// Prefill rows of one step while nothing decodes.
    public let prefillRows: Int
    /// The same beside decoding sequences, as long as no step was measured.
    public let prefillRowsBesideDecoding: Int
    /// Rows of a prompt that a step computes whatever they cost, so that it always moves; if they cost too much, some of
    /// their layers.
    public let leastPrefillRows: Int
    /// What prefill may add to the time of a step beside decoding sequences: so many hundredths of their own part.
    public let prefillPercentBesideDecoding: Int
    /// Rows of scored text and of drafts in one step: each of them needs a whole row of logits.
    public let scoreRows: Int
    /// Layers of the model: rows of a prompt that take too long beside decoding sequences are computed some layers at a time.
    public let layers: Int
    /// After so many admissions that passed it over, a waiting sequence counts one priority higher.
    public let admissionsPerPriority: Int

    public init(
        slots: Int, blocks: Int, blockPositions: Int = 32, waitingSequences: Int = 512, prefillRows: Int = 256,
        prefillRowsBesideDecoding: Int = 64, leastPrefillRows: Int = 1, prefillPercentBesideDecoding: Int = 75,
        scoreRows: Int = 64, layers: Int = 1, admissionsPerPriority: Int = 32
    ) {
        self.slots = max(1, slots)
        self.blocks = max(1, blocks)
        self.blockPositions = max(1, blockPositions)
        self.waitingSequences = max(1, waitingSequences)
        self.prefillRows = max(1, prefillRows)
        self.prefillRowsBesideDecoding = min(self.prefillRows, max(1, prefillRowsBesideDecoding))
        self.leastPrefillRows = min(self.prefillRows, max(1, leastPrefillRows))
        self.prefillPercentBesideDecoding = max(0, prefillPercentBesideDecoding)
        self.scoreRows = max(1, scoreRows)
        self.layers = max(1, layers)
        self.admissionsPerPriority = max(1, admissionsPerPriority)
    }

    /// The most rows that one step can have.
    public var rowsPerStep: Int { slots + prefillRows }
    /// The most rows of logits that one step can ask for.
    public var logitsRowsPerStep: Int { min(rowsPerStep, slots + scoreRows) }

    /// The most rows of layered prefill: beside them there is room for every draft.
    var layeredRows: Int { max(1, prefillRows - scoreRows) }

    /// Blocks that so many positions need.
    func blocks(for positions: Int) -> Int { (positions + blockPositions - 1) / blockPositions }
}
