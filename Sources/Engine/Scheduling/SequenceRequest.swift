public import EngineProtocol

/// One sequence that wants a slot: a choice of a generation, or a text to score.
public struct SequenceRequest: Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        /// Prefills its prompt, asks for the logits of the last row, then decodes one row in each step.
        case generation
        /// Prefills its rows and asks for the logits of all of them; it never decodes.
        case scoring
    }

    public var call: CallID
    /// Index of the choice in the call's events.
    public var choice: UInt32
    /// Sequences of one call with the same input have the same prompt, and prefill it once.
    public var input: UInt32
    public var tenant: String
    /// Higher goes first.
    public var priority: Int8
    /// On the clock whose readings are handed to `Scheduler.expire`; 0 is none.
    public var deadline: UInt64
    /// Rows to prefill, at least 1.
    public var promptRows: Int
    public var kind: Kind

    public init(
        call: CallID, choice: UInt32 = 0, input: UInt32 = 0, tenant: String = "", priority: Int8 = 0,
        deadline: UInt64 = 0, promptRows: Int, kind: Kind = .generation
    ) {
        self.call = call
        self.choice = choice
        self.input = input
        self.tenant = tenant
        self.priority = priority
        self.deadline = deadline
        self.promptRows = max(1, promptRows)
        self.kind = kind
    }
}
