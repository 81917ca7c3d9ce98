import EngineProtocol

/// A sequence without a slot: a new one, or one that was preempted.
struct WaitingSequence: Sendable {
    let request: SequenceRequest
    var tokens: TokenBlocks
    /// Rows to compute before it decodes or, of a text, before its window is scored.
    var rows: Int
    /// What it had when it was preempted.
    struct Past: Sendable {
        /// Of its first admission and of its arrival: it keeps its rank and its turn.
        let order: UInt64
        let arrival: UInt64
        let generatedTokens: Int
        let cachedTokens: Int
        let givenRows: Int
        /// It had to go because there were no blocks, and goes before all others of its priority.
        let isUrgent: Bool
    }
    var past: Past?
    fileprivate(set) var arrival: UInt64 = 0
    fileprivate(set) var admissionsBefore: UInt64 = 0

    init(_ request: SequenceRequest, tokens: TokenBlocks, rows: Int, past: Past? = nil) {
        self.request = request
        self.tokens = tokens
        self.rows = rows
        self.past = past
    }
}

/// The sequences that wait for a slot, bounded by its owner.
///
/// The next one is of the highest priority. Among equals those go first that had to give up their blocks; then a tenant
/// that runs nothing, then the one that was given the fewest rows; of one tenant the call that runs the fewest
/// sequences; and of one call the oldest. Every so many admissions that pass a sequence over raise its priority by one,
/// so that none waits for ever.
struct WaitingQueue: Sendable {
    /// In no order.
    private var entries: [WaitingSequence] = []
    private var arrivals: UInt64 = 0
    private var admissions: UInt64 = 0
    private let admissionsPerPriority: UInt64

    init(admissionsPerPriority: Int) { self.admissionsPerPriority = UInt64(admissionsPerPriority) }

    var count: Int { entries.count }
    var isEmpty: Bool { entries.isEmpty }

    /// Positions that the largest sequence may fill; nil if none waits.
    var mostPositions: Int? { entries.lazy.map(\.request.mostPositions).max() }

    func contains(call: CallID) -> Bool { entries.contains { $0.request.call == call } }

    /// Waiting sequences that a new one of this priority would not overtake.
    func count(atOrAbove priority: Int8) -> Int {
        entries.count { self.priority(of: $0) >= Int(priority) }
    }

    mutating func append(_ sequence: WaitingSequence) {
        var sequence = sequence
        sequence.arrival = sequence.past?.arrival ?? arrivals
        sequence.admissionsBefore = admissions
        arrivals += 1
        entries.append(sequence)
    }

    /// Takes the sequence whose turn it is, in O(waiting).
    mutating func popNext(_ shares: Shares) -> WaitingSequence? {
        guard var best = entries.indices.first else { return nil }
        for index in entries.indices.dropFirst() where goesBefore(entries[index], entries[best], shares) {
            best = index
        }
        entries.swapAt(best, entries.count - 1)
        return entries.popLast()
    }

    /// Notes that a popped sequence got a slot, and so passed all others over.
    mutating func noteAdmission() { admissions += 1 }

    /// Puts back what was popped and found no place; it keeps its turn.
    mutating func putBack(_ sequence: WaitingSequence) { entries.append(sequence) }

    /// Removes every sequence for which `condition` holds, and returns their requests.
    mutating func removeAll(where condition: (SequenceRequest) -> Bool) -> [SequenceRequest] {
        let removed = entries.filter { condition($0.request) }.map(\.request)
        if !removed.isEmpty { entries.removeAll { condition($0.request) } }
        return removed
    }

    /// Calls with a waiting sequence whose deadline has come, in the order in which they came.
    func expired(at now: UInt64) -> [CallID] {
        entries.filter { $0.request.deadline != 0 && $0.request.deadline <= now }
            .sorted { $0.arrival < $1.arrival }.map(\.request.call)
    }

    private func goesBefore(_ left: WaitingSequence, _ right: WaitingSequence, _ shares: Shares) -> Bool {
        let (leftPriority, rightPriority) = (priority(of: left), priority(of: right))
        if leftPriority != rightPriority { return leftPriority > rightPriority }
        switch (left.urgency, right.urgency) {
        case (let left?, let right?): return left < right
        case (_?, nil): return true
        case (nil, _?): return false
        case (nil, nil): break
        }
        if left.request.tenant != right.request.tenant {
            return shares.tenantGoesBefore(left.request.tenant, right.request.tenant)
        }
        let (leftRunning, rightRunning) = (
            shares.running(call: left.request.call), shares.running(call: right.request.call)
        )
        return leftRunning != rightRunning ? leftRunning < rightRunning : left.arrival < right.arrival
    }

    private func priority(of sequence: WaitingSequence) -> Int {
        Int(sequence.request.priority) + Int((admissions - sequence.admissionsBefore) / admissionsPerPriority)
    }
}

extension WaitingSequence {
    /// Its rank among those that gave up their blocks; nil if it did not.
    fileprivate var urgency: UInt64? { past.flatMap { $0.isUrgent ? $0.order : nil } }
}

extension Shares {
    /// Whose turn it is, of two tenants.
    fileprivate func tenantGoesBefore(_ left: String, _ right: String) -> Bool {
        guard let left = tenant(left), let right = tenant(right) else { return false }
        return (left.running == 0 ? 0 : 1, left.rows, left.number)
            < (right.running == 0 ? 0 : 1, right.rows, right.number)
    }
}
