public import EngineProtocol

/// What one step computes.
///
/// Reused from step to step, so that planning allocates nothing.
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
        public let logits: Logits
        /// True for the sequence's first slice since it got its slot (or was restarted).
        public let isFirst: Bool
        /// True for the one row of a decoding sequence.
        public let isDecoding: Bool
    }

    /// The first `positions` of one slot's cache are copied to another slot before the step.
    public struct PrefixCopy: Sendable, Equatable {
        public let source: Int
        public let target: Int
        public let positions: Int
    }

    /// Sequences that got a slot in this step.
    public internal(set) var admitted: [Admission] = []
    public internal(set) var copies: [PrefixCopy] = []
    /// Decoding sequences first, then prefill.
    public internal(set) var slices: [Slice] = []

    public struct Admission: Sendable, Equatable {
        public let slot: Int
        public let call: CallID
        public let choice: UInt32
    }

    public init() {}

    public var rowCount: Int { slices.reduce(0) { $0 + $1.count } }
    public var isEmpty: Bool { slices.isEmpty }

    mutating func clear() {
        admitted.removeAll(keepingCapacity: true)
        copies.removeAll(keepingCapacity: true)
        slices.removeAll(keepingCapacity: true)
    }
}
