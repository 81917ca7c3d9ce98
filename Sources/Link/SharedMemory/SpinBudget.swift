/// How long one connection may look for the next record without sleeping, decided anew for each wait.
///
/// Spinning saves the wake-up, some microseconds, and costs a processor. So a connection has to earn it, by records that
/// come faster than a wake-up takes, and loses it when they stop coming. Where every processor computes, nobody spins.
///
///     off       never spins
///     earning   each wait may spin for twice the usual gap; four waits in vain lead to rest
///     rest      64 waits without spinning, then earning
public struct SpinBudget: Sendable, Equatable {
    /// No wait spins longer, and gaps that are not shorter earn nothing.
    public static let mostNanoseconds: UInt64 = 8_000
    static let missesBeforeRest = 4
    static let waitsOfRest = 64

    private let isAllowed: Bool
    /// The moving average of the gaps between arrivals; nil before the first one.
    private var gap: UInt64?
    private var misses = 0
    private var rest = 0

    /// Decides from the processors that this process may use and the threads that compute on them.
    public init(processors: Int, computeThreads: Int) {
        isAllowed = processors > 2 && computeThreads < processors
    }

    /// Never spins.
    public static let off = SpinBudget(processors: 1, computeThreads: 1)

    /// How long the wait that begins now may spin; 0 to sleep at once.
    public mutating func next() -> UInt64 {
        guard isAllowed, let gap, gap < Self.mostNanoseconds else { return 0 }
        guard rest == 0 else {
            rest -= 1
            return 0
        }
        return min(2 * gap, Self.mostNanoseconds)
    }

    /// Records have come, so long after those before.
    public mutating func arrived(afterNanoseconds nanoseconds: UInt64) {
        // An idle hour must not outweigh the next thousand gaps.
        let sample = min(nanoseconds, 16 * Self.mostNanoseconds)
        gap = gap.map { ($0 * 7 + sample) / 8 } ?? sample
    }

    /// A wait that spun has found a record, or has not.
    public mutating func spun(found: Bool) {
        misses = found ? 0 : misses + 1
        guard misses == Self.missesBeforeRest else { return }
        misses = 0
        rest = Self.waitsOfRest
    }
}
