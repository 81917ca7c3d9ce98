public import EngineProtocol

/// One sequence that wants a slot: a choice of a generation, or a text to score or to embed.
public struct SequenceRequest: Sendable, Equatable {
    public enum Work: Sendable, Equatable {
        /// Prefills its prompt, asks for the logits of the last row, then decodes one row or more in each step.
        case generation(prompt: [Int32], maximumTokens: Int)
        /// Prefills its rows and asks for the logits of all of them; it never decodes.
        case scoring(rows: Int)
        /// Prefills its rows without logits; it never decodes.
        case embedding(rows: Int)
    }

    /// Rows that the owner gives away as they are computed, within the credit of their call.
    public struct Output: Sendable, Equatable {
        /// Of one row.
        public let rowBytes: Int
        /// Rows of one step, at most.
        public let rowsPerStep: Int
        public let needsLogits: Bool
        /// Rows before this position are computed and not given.
        public let firstRow: Int

        public init(rowBytes: Int, rowsPerStep: Int, needsLogits: Bool, firstRow: Int = 0) {
            self.rowBytes = max(1, rowBytes)
            self.rowsPerStep = max(1, rowsPerStep)
            self.needsLogits = needsLogits
            self.firstRow = max(0, firstRow)
        }
    }

    public var call: CallID
    /// Index of the choice in the call's events.
    public var choice: UInt32
    public var tenant: String
    /// Higher goes first.
    public var priority: Int8
    /// On the clock whose readings are handed to `Scheduler.expire`; 0 is none.
    public var deadline: UInt64
    /// Sequences find the computed prompts of others with the same salt only.
    public var cacheSalt: String
    public var work: Work
    /// False where the tokens of the prompt do not say what its positions hold.
    public var isPromptKnown = true
    /// Nil: what is computed stays here.
    public var output: Output?

    /// - Precondition: a prompt has at least one token.
    public init(
        call: CallID, choice: UInt32 = 0, tenant: String = "", priority: Int8 = 0, deadline: UInt64 = 0,
        cacheSalt: String = "", work: Work
    ) {
        self.call = call
        self.choice = choice
        self.tenant = tenant
        self.priority = priority
        self.deadline = deadline
        self.cacheSalt = cacheSalt
        self.work = work
    }

    /// The positions that it fills at most: a last token that is generated is never computed.
    var mostPositions: Int {
        switch work {
        case .generation(let prompt, let maximumTokens):
            let (sum, overflow) = prompt.count.addingReportingOverflow(max(1, maximumTokens) - 1)
            return overflow ? .max : sum
        case .scoring(let rows), .embedding(let rows): return rows
        }
    }

    /// Rows to compute before it decodes or is done.
    var firstRows: Int {
        switch work {
        case .generation(let prompt, _): max(1, prompt.count)
        case .scoring(let rows), .embedding(let rows): max(1, rows)
        }
    }

    var isScoring: Bool { if case .scoring = work { true } else { false } }

    /// Every row that it prefills needs a whole row of logits.
    var needsAllLogits: Bool { isScoring || output?.needsLogits == true }

    /// Its last row is followed by a token that it chooses.
    var choosesTokens: Bool { if case .generation(_, let maximumTokens) = work { maximumTokens > 0 } else { false } }

    /// The prompt of a sequence that finds its blocks in the prefix cache and leaves them there; nil for all others.
    ///
    /// One that gives its rows away computes them all.
    var sharedPrompt: [Int32]? {
        guard case .generation(let prompt, _) = work, isPromptKnown, output == nil else { return nil }
        return prompt
    }
}

/// Why a call's sequences were refused.
public enum SubmissionError: Error, Sendable, Equatable {
    /// The queue has no place for them.
    case queueFull(waiting: Int, limit: Int)
    /// One of them needs more positions than the whole cache has beside those that are pinned.
    case neverFits(positions: Int, limit: Int, pinned: Int)
}
