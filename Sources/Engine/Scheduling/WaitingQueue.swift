import EngineProtocol

/// The sequences that wait for a slot, bounded by its owner.
///
/// The next one is of the highest priority; among equals the tenants take turns; among the sequences of one tenant
/// the oldest goes first. Every so many admissions that pass a sequence over raise its priority by one, so that none
/// waits for ever.
struct WaitingQueue: Sendable {
    private struct Entry: Sendable {
        let request: SequenceRequest
        /// Admissions that had been made when it came.
        let admissionsBefore: UInt64
    }

    /// In order of arrival.
    private var entries: [Entry] = []
    /// For each tenant that waits, the number of its turn: the lowest goes first.
    private var turns: [String: UInt64] = [:]
    private var lastTurn: UInt64 = 0
    private var admissions: UInt64 = 0
    private let admissionsPerPriority: UInt64

    init(admissionsPerPriority: Int) { self.admissionsPerPriority = UInt64(admissionsPerPriority) }

    var count: Int { entries.count }
    var isEmpty: Bool { entries.isEmpty }

    /// Waiting sequences that a new one of this priority would not overtake.
    func count(atOrAbove priority: Int8) -> Int {
        entries.count { self.priority(of: $0) >= Int(priority) }
    }

    mutating func append(_ request: SequenceRequest) {
        entries.append(Entry(request: request, admissionsBefore: admissions))
        if turns[request.tenant] == nil { turns[request.tenant] = nextTurn() }
    }

    /// Removes the sequence whose turn it is, in O(waiting).
    mutating func popNext() -> SequenceRequest? {
        guard var best = entries.indices.first else { return nil }
        for index in entries.indices.dropFirst() where goesBefore(entries[index], entries[best]) { best = index }
        let request = entries.remove(at: best).request
        admissions += 1
        turns[request.tenant] = nextTurn()
        forgetTenants(of: [request.tenant])
        return request
    }

    /// Removes every sequence for which `condition` holds, and returns how many there were.
    mutating func removeAll(where condition: (SequenceRequest) -> Bool) -> Int {
        var tenants: Set<String> = []
        let before = entries.count
        entries.removeAll {
            guard condition($0.request) else { return false }
            tenants.insert($0.request.tenant)
            return true
        }
        forgetTenants(of: tenants)
        return before - entries.count
    }

    /// Calls with a waiting sequence whose deadline has come.
    func expired(at now: UInt64) -> [CallID] {
        entries.compactMap { entry in
            let deadline = entry.request.deadline
            return deadline != 0 && deadline <= now ? entry.request.call : nil
        }
    }

    private func goesBefore(_ left: Entry, _ right: Entry) -> Bool {
        let (leftPriority, rightPriority) = (priority(of: left), priority(of: right))
        if leftPriority != rightPriority { return leftPriority > rightPriority }
        // Equal turns mean the same tenant, and then the earlier entry stays ahead.
        return turns[left.request.tenant, default: 0] < turns[right.request.tenant, default: 0]
    }

    private func priority(of entry: Entry) -> Int {
        Int(entry.request.priority) + Int((admissions - entry.admissionsBefore) / admissionsPerPriority)
    }

    private mutating func nextTurn() -> UInt64 {
        lastTurn += 1
        return lastTurn
    }

    /// Tenants that no longer wait lose their turn, so that the table holds at most one entry per waiting sequence.
    private mutating func forgetTenants(of tenants: Set<String>) {
        for tenant in tenants where !entries.contains(where: { $0.request.tenant == tenant }) { turns[tenant] = nil }
    }
}
