import EngineProtocol

/// Rows of a prompt whose layers are computed in several steps.
struct LayeredPrefill: Sendable {
    let count: Int
    /// Layers that are computed, and those of the step that is under way.
    var computed = 0
    var planned = 0
}

/// A sequence that has a slot.
struct RunningSequence: Sendable {
    let request: SequenceRequest
    /// Counts first admissions: lower came earlier.
    let order: UInt64
    let arrival: UInt64
    /// True for one that had a slot before.
    let isResumed: Bool
    /// The prompt of a generation, and what was generated; none of a text to score.
    var tokens: TokenBlocks
    /// Positions that are to be computed.
    var rows: Int
    var generatedTokens: Int
    /// Positions of the prompt that were found in the cache, as counted before its first token.
    var cachedTokens: Int

    /// The blocks with its positions, from the first on.
    var table: [Int32] = []
    /// Positions that are in the cache.
    var computed = 0
    /// So many blocks of the table are known to the prefix cache.
    var knownBlocks = 0
    /// False once a block could not be made known, because none can be found after it, and of sequences that share none.
    var makesBlocksKnown: Bool
    /// So many blocks are, or will soon be, computed by others.
    var sharedBlocks = 0
    /// True from its first slice on, until it starts again.
    var hasStarted = false
    /// Rows from the first on whose output was given away, or is not wanted: those are computed again after a preemption,
    /// but not given again.
    var givenRows: Int
    /// Rows of the step that is under way, and how many of them are drafts.
    var planned = 0
    var plannedDrafts = 0
    /// Rows from the first that is not computed on, of which some layers are computed.
    var layered: LayeredPrefill?
    /// Draft tokens that the owner proposes for the next step.
    var proposedDrafts = 0

    init(_ waiting: WaitingSequence, order: UInt64) {
        request = waiting.request
        self.order = waiting.past?.order ?? order
        arrival = waiting.arrival
        isResumed = waiting.past != nil
        tokens = waiting.tokens
        rows = waiting.rows
        generatedTokens = waiting.past?.generatedTokens ?? 0
        cachedTokens = waiting.past?.cachedTokens ?? 0
        givenRows = waiting.past?.givenRows ?? waiting.request.output?.firstRow ?? 0
        makesBlocksKnown = waiting.request.sharedPrompt != nil
    }

    var rowsLeft: Int { max(0, rows - computed) }
    /// One row is left, and it is of a token that the sequence chose itself.
    var isDecoding: Bool { generatedTokens > 0 && rowsLeft == 1 }
    /// Draft tokens after which there would still be room for the token that follows them.
    var draftRoom: Int { max(0, request.mostPositions - rows) }

    /// Of so many rows that come next, those whose output was given away before.
    func givenRows(ofNext count: Int) -> Int { min(count, max(0, givenRows - computed)) }

    /// Says that the layers of the step that was under way are computed; false if more of them are to come.
    mutating func endLayers(of layers: Int) -> Bool {
        guard let rows = layered else { return true }
        let computed = rows.computed + rows.planned
        layered = computed < layers ? LayeredPrefill(count: rows.count, computed: computed) : nil
        return layered == nil
    }

    /// Of two sequences, the one that keeps its blocks longer.
    func outranks(_ other: RunningSequence) -> Bool {
        request.priority != other.request.priority
            ? request.priority > other.request.priority : order < other.order
    }

    /// The sequence as it waits for another slot.
    func preempted(isUrgent: Bool) -> WaitingSequence {
        WaitingSequence(
            request, tokens: tokens, rows: rows,
            past: .init(
                order: order, arrival: arrival, generatedTokens: generatedTokens, cachedTokens: cachedTokens,
                givenRows: givenRows, isUrgent: isUrgent))
    }
}
