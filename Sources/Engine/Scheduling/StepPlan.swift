public import EngineProtocol

/// What one step computes.
///
/// Reused from step to step. The owner first follows `changes`, then copies blocks, both in their order, and then
/// computes the rows.
public struct StepPlan: Sendable, Equatable {
    /// Which rows of a slice need logits.
    public enum Logits: Sendable, Equatable {
        case none
        case last
        case all
    }

    /// Consecutive rows of one sequence.
    public struct Slice: Sendable, Equatable {
        public let slot: Int
        public let call: CallID
        public let choice: UInt32
        /// Position of the first row in the sequence.
        public let firstPosition: Int
        public let count: Int
        /// Layers that the step computes of its rows: all of them, but for layered prefill.
        public let layers: Range<Int>
        /// True if the rows are in the cache after the step; else its next layers come in the next one.
        public let isComplete: Bool
        /// What the slice adds to the step.
        public let work: StepWork
        public let logits: Logits
        /// True for the sequence's first slice since it got its slot (or was restarted).
        public let isFirst: Bool
        /// True for a sequence that continues with the token that it chose last.
        public let isDecoding: Bool
        /// So many rows at the end are of tokens that are only proposed.
        public let draftTokens: Int
        /// True if a token is chosen from the logits of its last row, or of its drafts.
        public let choosesToken: Bool
        /// So many rows at the beginning were computed before, and their output was given away.
        public let givenRows: Int
        /// Positions of the prompt that were found in the cache and not computed.
        public let cachedTokens: Int
        /// The blocks with the positions of the sequence, from the first on.
        public let blocks: [Int32]

        /// True if this step computes some of the layers only; the slice is the last of the step then.
        public var isLayered: Bool { layers.lowerBound > 0 || !isComplete }
    }

    /// A block whose content another one gets before the step.
    public struct BlockCopy: Sendable, Equatable {
        public let source: Int32
        public let target: Int32
    }

    /// A sequence that gets a slot or loses it.
    public struct SlotChange: Sendable, Equatable {
        public enum Kind: Sendable, Equatable {
            /// It begins.
            case admitted
            /// It had a slot before, and goes on where it was.
            case resumed
            /// It waits for a slot again, and keeps its tokens.
            case preempted
        }

        public let kind: Kind
        public let slot: Int
        public let call: CallID
        public let choice: UInt32
    }

    /// In the order in which they happened: a slot may change hands in one step.
    public internal(set) var changes: [SlotChange] = []
    public internal(set) var copies: [BlockCopy] = []
    /// Decoding sequences first, then prefill.
    public internal(set) var slices: [Slice] = []

    public init() {}

    public var rowCount: Int { slices.reduce(0) { $0 + $1.count } }
    public var isEmpty: Bool { slices.isEmpty }
    public var work: StepWork { slices.reduce(into: StepWork()) { $0 += $1.work } }

    mutating func clear() {
        changes.removeAll(keepingCapacity: true)
        copies.removeAll(keepingCapacity: true)
        slices.removeAll(keepingCapacity: true)
    }
}
