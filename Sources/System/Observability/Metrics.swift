import Synchronization

/// A total that only goes up.
///
/// Adding is one atomic operation; any thread may.
public final class Counter: Sendable {
    private let total = Atomic<UInt64>(0)
    /// What one is shown as: 1, or a billionth where nanoseconds are counted and seconds shown.
    let scale: Double

    init(scale: Double = 1) { self.scale = scale }

    public func add() { add(UInt64(1)) }

    public func add(_ count: some BinaryInteger) {
        total.wrappingAdd(UInt64(clamping: count), ordering: .relaxed)
    }

    public var value: UInt64 { total.load(ordering: .relaxed) }
}

/// A value that goes up and down; any thread may set it.
public final class Gauge: Sendable {
    private let bits = Atomic<UInt64>(0)

    init() {}

    public func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

    public func add(_ change: Double) {
        var old = bits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + change).bitPattern
            let (done, now) = bits.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
            if done { return }
            old = now
        }
    }

    public var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// Counts observations in buckets with fixed upper edges; any thread may observe.
public final class Histogram: Sendable {
    struct State {
        /// One per edge, and one for what is above the last.
        var counts: [UInt64]
        var sum = 0.0
    }

    /// Upper edges, inclusive, ascending.
    public let edges: [Double]
    private let state: Mutex<State>

    init(edges: [Double]) {
        self.edges = edges
        state = Mutex(State(counts: [UInt64](repeating: 0, count: edges.count + 1)))
    }

    /// NaN is ignored: it would make the sum useless for good.
    public func observe(_ value: Double) {
        guard !value.isNaN else { return }
        var (low, high) = (0, edges.count)
        while low < high {
            let middle = (low + high) / 2
            if edges[middle] < value { low = middle + 1 } else { high = middle }
        }
        state.withLock {
            $0.counts[low] += 1
            $0.sum += value
        }
    }

    public var count: UInt64 { snapshot.counts.reduce(0, +) }

    var snapshot: State { state.withLock { $0 } }
}

/// Upper bucket edges in seconds, spaced as operators know them from other inference servers.
public enum BucketEdges {
    /// From arrival to the last byte: up to more than two hours.
    public static let endToEnd: [Double] = [
        0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
    ]
    public static let firstToken: [Double] = [
        0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640,
        2560,
    ]
    public static let interToken: [Double] = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20,
        40, 80,
    ]
}
