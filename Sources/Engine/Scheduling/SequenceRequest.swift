public import EngineProtocol

/// One sequence that wants a slot: a choice of a generation, or a text to score.
public struct SequenceRequest: Sendable, Equatable {
    public enum Work: Sendable, Equatable {
        /// Prefills its prompt, asks for the logits of the last row, then decodes one row or more in each step.
        case generation(prompt: [Int32], maximumTokens: Int)
        /// Prefills its rows and asks for the logits of all of them; it never decodes.
        case scoring(rows: Int)
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
        case .scoring(let rows): return rows
        }
    }

    var isScoring: Bool { prompt == nil }

    var prompt: [Int32]? {
        if case .generation(let prompt, _) = work { prompt } else { nil }
    }
}

/// Why a call's sequences were refused.
public enum SubmissionError: Error, Sendable, Equatable {
    /// The queue has no place for them.
    case queueFull(waiting: Int, limit: Int)
    /// One of them needs more positions than the whole cache has.
    case neverFits(positions: Int, limit: Int)
}
