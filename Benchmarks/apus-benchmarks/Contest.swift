import Foundation

/// Several ways to do the same work, measured in turns, so that a change of the machine's speed hits all of them.
struct Contest {
    struct Entry {
        let name: String
        /// Does the work once and returns something that depends on all of it.
        let work: () throws -> Int
    }

    let name: String
    /// Bytes that one turn reads or writes.
    let bytes: Int
    let entries: [Entry]
    /// Repetitions inside one sample, so that the clock's own time does not count.
    let repetitions: Int
    private let samples = 101

    init(_ name: String, bytes: Int, repetitions: Int, entries: [Entry]) {
        self.name = name
        self.bytes = bytes
        self.repetitions = repetitions
        self.entries = entries
    }

    func run() -> [Measurement] {
        var times = [[Double]](repeating: [], count: entries.count)
        for round in 0..<samples + 10 {
            for (index, entry) in entries.enumerated() {
                let time = sample(entry)
                // The first rounds warm caches and the allocator.
                if round >= 10 { times[index].append(time) }
            }
        }
        return zip(entries, times).map { Measurement(contest: name, entry: $0.name, bytes: bytes, times: $1.sorted()) }
    }

    private func sample(_ entry: Entry) -> Double {
        let clock = ContinuousClock()
        var checksum = 0
        let elapsed = clock.measure {
            for _ in 0..<repetitions { checksum &+= (try? entry.work()) ?? -1 }
        }
        precondition(checksum > 0, "\(name) by \(entry.name) failed")
        return Double(elapsed.components.attoseconds) / 1e18 / Double(repetitions) + Double(elapsed.components.seconds)
    }
}

struct Measurement {
    let contest: String
    let entry: String
    let bytes: Int
    /// Seconds for one turn, ascending.
    let times: [Double]

    private var median: Double { times[times.count / 2] }
    private var p95: Double { times[times.count * 95 / 100] }

    var text: String {
        String(
            format: "%@: %@: median %.2f µs, 95th percentile %.2f µs, %.0f MB/s", contest, entry, median * 1e6,
            p95 * 1e6,
            Double(bytes) / median / 1e6)
    }

    var json: String {
        String(
            format: #"{"benchmark":"%@","entry":"%@","bytes":%d,"median_us":%.3f,"p95_us":%.3f}"#, contest, entry,
            bytes,
            median * 1e6, p95 * 1e6)
    }
}
