import Foundation

/// Blocking work on threads of its own, all at the same time.
///
/// Tasks would not do: their pool has one thread for each processor, so 64 clients would come two by two.
public final class Parallel<Result: Sendable>: @unchecked Sendable {
    private let finished = NSCondition()
    private var results: [Int: Swift.Result<Result, any Error>] = [:]
    private let count: Int

    /// Starts `count` threads, which get the numbers from 0.
    public init(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Result) {
        self.count = count
        for index in 0..<count {
            let thread = Thread { [self] in
                let result = Swift.Result { try body(index) }
                finished.withLock {
                    results[index] = result
                    finished.broadcast()
                }
            }
            thread.stackSize = 512 << 10
            thread.start()
        }
    }

    /// Waits for all, and throws the first error.
    public func wait() throws -> [Result] {
        let all = finished.withLock {
            while results.count < count { finished.wait() }
            return results
        }
        return try (0..<count).compactMap { try all[$0]?.get() }
    }

    /// How many have finished so far.
    public var finishedCount: Int { finished.withLock { results.count } }
}
