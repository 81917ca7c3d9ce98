import EngineProtocol

/// What each tenant and each call holds and was given: the basis of fair turns.
///
/// A tenant is known as long as it waits or runs. One that comes begins with the least that a present one was given, so
/// that it has neither credit nor debt from earlier times.
struct Shares: Sendable {
    struct Tenant: Sendable {
        /// Sequences that wait or run, and those that run.
        var present = 0
        var running = 0
        /// Rows that it was given.
        var rows: UInt64
        /// Counts tenants by their coming.
        let number: UInt64
    }

    private var tenants: [String: Tenant] = [:]
    /// Running sequences of the calls that have any.
    private var calls: [CallID: Int] = [:]
    private var lastNumber: UInt64 = 0

    func tenant(_ name: String) -> Tenant? { tenants[name] }
    func running(tenant: String) -> Int { tenants[tenant]?.running ?? 0 }
    func running(call: CallID) -> Int { calls[call] ?? 0 }

    /// A sequence comes.
    mutating func enter(_ request: SequenceRequest) {
        if tenants[request.tenant] == nil {
            lastNumber += 1
            let least = tenants.values.map(\.rows).min() ?? 0
            tenants[request.tenant] = Tenant(rows: least, number: lastNumber)
        }
        tenants[request.tenant]?.present += 1
    }

    /// A sequence that does not run goes for good.
    mutating func leave(_ request: SequenceRequest) {
        tenants[request.tenant]?.present -= 1
        if tenants[request.tenant]?.present == 0 { tenants[request.tenant] = nil }
    }

    mutating func start(_ request: SequenceRequest) {
        tenants[request.tenant]?.running += 1
        calls[request.call, default: 0] += 1
    }

    mutating func stop(_ request: SequenceRequest) {
        tenants[request.tenant]?.running -= 1
        let left = running(call: request.call) - 1
        calls[request.call] = left > 0 ? left : nil
    }

    mutating func charge(_ tenant: String, rows: Int) { tenants[tenant]?.rows += UInt64(rows) }
}
