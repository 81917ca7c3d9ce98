import Synchronization

/// The lowest row that several threads complained about.
final class FirstFailure: Sendable {
    private let lowest = Mutex<Int?>(nil)

    func note(_ row: Int) { lowest.withLock { $0 = min($0 ?? row, row) } }

    var row: Int? { lowest.withLock { $0 } }
}
