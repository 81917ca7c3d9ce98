/// Finds where a prefix of a row's descending order ends, without sorting the row.
///
/// Top-k, top-p and typical-p are the same question: the order is "greater score first, ties by lower id", and the prefix
/// is the shortest one whose measure (a count, or a sum of weights) reaches a target. Scores become integers of the same
/// order, and three passes over a histogram of 2048 entries narrow the last score down from its upper bits to its lower
/// ones: time is linear in the row, memory is fixed.
struct PrefixSelector: Sendable {
    /// The last member of the prefix.
    struct Cut: Equatable {
        var key: UInt32
        var index: Int

        @inline(__always)
        func keeps(key other: UInt32, index otherIndex: Int) -> Bool {
            other > key || (other == key && otherIndex <= index)
        }
    }

    private static let levels: [(shift: UInt32, bits: UInt32)] = [(21, 11), (10, 11), (0, 10)]
    private var histogram = [Double](repeating: 0, count: 2048)

    /// An integer that orders as the value does.
    ///
    /// The value must not be NaN.
    @inline(__always)
    static func key(_ value: Float) -> UInt32 {
        let bits = (value + 0).bitPattern
        return bits & 0x8000_0000 == 0 ? bits | 0x8000_0000 : ~bits
    }

    /// The cut of the shortest prefix whose measure reaches `target`; the whole row where none does.
    ///
    /// `row` must not be empty, and no score may be NaN; without `score` a value is its own. Complexity: O(row.count).
    mutating func cut(
        _ row: UnsafeMutableBufferPointer<Float>, reaching target: Double, score: (Float) -> Float = { $0 },
        measure: (Float) -> Double
    ) -> Cut {
        var known: UInt32 = 0
        var before = 0.0
        for level in Self.levels {
            let bucket = narrow(
                row, level, known: known, before: &before, reaching: target, score: score, measure: measure)
            known = known << level.bits | bucket
        }
        var last = 0
        for index in row.indices where Self.key(score(row[index])) == known {
            last = index
            before += measure(row[index])
            if before >= target { break }
        }
        return Cut(key: known, index: last)
    }

    /// The bucket in which the target is reached among the values whose upper bits are `known`.
    private mutating func narrow(
        _ row: UnsafeMutableBufferPointer<Float>, _ level: (shift: UInt32, bits: UInt32), known: UInt32,
        before: inout Double, reaching target: Double, score: (Float) -> Float, measure: (Float) -> Double
    ) -> UInt32 {
        let count = 1 << Int(level.bits)
        let mask = UInt32(count - 1)
        return histogram.withUnsafeMutableBufferPointer { histogram in
            for bucket in 0..<count { histogram[bucket] = 0 }
            for value in row {
                let key = Self.key(score(value))
                if key >> (level.shift + level.bits) == known {
                    histogram[Int(key >> level.shift & mask)] += measure(value)
                }
            }
            var lowest = 0
            for bucket in stride(from: count - 1, through: 0, by: -1) where histogram[bucket] > 0 {
                if before + histogram[bucket] >= target { return UInt32(bucket) }
                before += histogram[bucket]
                lowest = bucket
            }
            // Rounding can leave the sum a little under the target: the prefix is then the whole row.
            before -= histogram[lowest]
            return UInt32(lowest)
        }
    }
}
