import Synchronization

/// A number that only grows.
public final class Counter: Sendable {
    private let value = Atomic<UInt64>(0)

    init() {}

    public func add(_ amount: UInt64 = 1) { value.wrappingAdd(amount, ordering: .relaxed) }

    public var current: UInt64 { value.load(ordering: .relaxed) }
}

/// A number of this moment.
public final class Gauge: Sendable {
    private let bits = Atomic<UInt64>(0)

    init() {}

    public func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }

    public func add(_ amount: Double) {
        var old = bits.load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let (exchanged, original) = bits.weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
            if exchanged { return }
            old = original
        }
    }

    public var current: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// How often values fell below each of the edges.
public final class Histogram: Sendable {
    struct State {
        var counts: [UInt64]
        var sum = 0.0
    }

    let edges: [Double]
    private let state: Mutex<State>

    /// - Parameter edges: upper bounds, rising; above the last one is +Inf.
    init(edges: [Double]) {
        self.edges = edges
        state = Mutex(State(counts: Array(repeating: 0, count: edges.count + 1)))
    }

    public func observe(_ value: Double) {
        guard value.isFinite else { return }
        let bucket = edges.firstIndex { value <= $0 } ?? edges.count
        state.withLock {
            $0.counts[bucket] += 1
            $0.sum += value
        }
    }

    var snapshot: State { state.withLock { $0 } }

    public var count: UInt64 { snapshot.counts.reduce(0, +) }
}

/// Bucket edges in seconds, to ten minutes and far beyond: long answers are normal here.
public enum BucketEdges {
    public static let endToEnd: [Double] = [
        0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
    ]
    public static let firstToken: [Double] = [
        0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640,
        2560,
    ]
    public static let interToken: [Double] = [
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40,
        80,
    ]
}
