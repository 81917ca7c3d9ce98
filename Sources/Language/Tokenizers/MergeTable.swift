/// The merges of a byte-level vocabulary: which pairs of tokens become which token, and in which order.
struct MergeTable: Sendable {
    private struct Slot {
        var left: Int32
        var right: Int32
        var rank: UInt32
        var merged: Int32
    }

    private var slots: [Slot]
    private let mask: Int
    private let seed = UInt64.random(in: .min ... .max)

    init(capacity: Int) {
        // At most three quarters full: 21 to 43 bytes per merge.
        var size = 16
        while size * 3 < capacity * 4 { size *= 2 }
        slots = [Slot](repeating: Slot(left: -1, right: -1, rank: .max, merged: -1), count: size)
        mask = size - 1
    }

    /// Adds a merge unless the pair has one already.
    mutating func insert(left: Int32, right: Int32, rank: UInt32, merged: Int32) {
        var place = start(left, right)
        while slots[place].left >= 0 {
            if slots[place].left == left, slots[place].right == right { return }
            place = (place + 1) & mask
        }
        slots[place] = Slot(left: left, right: right, rank: rank, merged: merged)
    }

    /// The merge of a pair; without one, `Merge.none`.
    func find(left: Int32, right: Int32) -> Merge {
        guard left >= 0, right >= 0 else { return .none }
        var place = start(left, right)
        while slots[place].left >= 0 {
            if slots[place].left == left, slots[place].right == right {
                return Merge(rank: slots[place].rank, id: slots[place].merged)
            }
            place = (place + 1) & mask
        }
        return .none
    }

    private func start(_ left: Int32, _ right: Int32) -> Int {
        let pair = UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
        return Int(truncatingIfNeeded: TokenTable.mixed(pair ^ seed)) & mask
    }
}
