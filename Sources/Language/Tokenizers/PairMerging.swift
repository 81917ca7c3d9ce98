/// What two neighbours can become.
struct Merge {
    /// Lower is merged first; `UInt32.max` if the pair does not merge.
    var rank: UInt32
    var id: Int32

    static let none = Merge(rank: .max, id: -1)
}

/// A piece of a text: at first a byte or a character, then whatever it was merged to.
struct Symbol {
    /// The token, or -1 if the vocabulary has none for this piece.
    var id: Int32
    var start: Int32
    var length: Int32
}

/// Says what two neighbours become: by a list of pairs (byte-level BPE) or by the joined text (SentencePiece).
protocol MergeRule {
    func merge(_ left: Symbol, _ right: Symbol) -> Merge
}

/// Merges the best pair of neighbours, the first of equals, until no pair merges.
///
/// Short words search all pairs for the best each time; long ones keep the pairs in a heap, so that a text of n symbols
/// without a border takes n log n steps. Both give the same result. The memory is kept for the next word.
struct PairMerging {
    /// Filled by the caller, one entry per symbol; after `merge`, what is left.
    var symbols: [Symbol] = []
    private var candidates: [Merge] = []
    private var links: [Link] = []
    private var heap = CandidateHeap()
    /// Words with more symbols use the heap.
    var shortLimit = 40

    mutating func merge(by rule: some MergeRule) {
        guard symbols.count > 1 else { return }
        if symbols.count <= shortLimit { mergeShort(by: rule) } else { mergeLong(by: rule) }
    }

    // MARK: short words

    private mutating func mergeShort(by rule: some MergeRule) {
        candidates.removeAll(keepingCapacity: true)
        for index in 1..<symbols.count { candidates.append(rule.merge(symbols[index - 1], symbols[index])) }
        while let place = bestCandidate() {
            symbols[place].id = candidates[place].id
            symbols[place].length += symbols[place + 1].length
            removeSymbol(place + 1)
            if place > 0 { candidates[place - 1] = rule.merge(symbols[place - 1], symbols[place]) }
            if place < candidates.count { candidates[place] = rule.merge(symbols[place], symbols[place + 1]) }
        }
    }

    /// The first of the candidates with the lowest rank.
    private func bestCandidate() -> Int? {
        var best = UInt32.max
        var place = -1
        for index in 0..<candidates.count where candidates[index].rank < best {
            best = candidates[index].rank
            place = index
        }
        return place < 0 ? nil : place
    }

    /// Removes a symbol, and the pair that it began (if it is the last one: the pair that it ended).
    private mutating func removeSymbol(_ place: Int) {
        for index in place..<symbols.count - 1 { symbols[index] = symbols[index + 1] }
        symbols.removeLast()
        for index in place..<max(place, candidates.count - 1) { candidates[index] = candidates[index + 1] }
        candidates.removeLast()
    }

    // MARK: long words

    private struct Link {
        var previous: Int32
        var next: Int32
    }

    private mutating func mergeLong(by rule: some MergeRule) {
        let count = symbols.count
        links.removeAll(keepingCapacity: true)
        for index in 0..<count { links.append(Link(previous: Int32(index - 1), next: Int32(index + 1))) }
        links[count - 1].next = -1
        for index in 0..<count - 1 { consider(index, index + 1, rule) }
        while let candidate = heap.popFirst() {
            let left = candidate.left
            let right = Int(links[left].next)
            // A pair is out of date when either part was merged since: then the joined length has changed.
            guard symbols[left].length > 0, right >= 0,
                symbols[left].length + symbols[right].length == candidate.length
            else { continue }
            symbols[left].id = candidate.id
            symbols[left].length = candidate.length
            symbols[right].length = 0
            let next = links[right].next
            links[left].next = next
            if next >= 0 {
                links[Int(next)].previous = Int32(left)
                consider(left, Int(next), rule)
            }
            if links[left].previous >= 0 { consider(Int(links[left].previous), left, rule) }
        }
        symbols.removeAll { $0.length == 0 }
    }

    private mutating func consider(_ left: Int, _ right: Int, _ rule: some MergeRule) {
        let merge = rule.merge(symbols[left], symbols[right])
        guard merge.rank != .max else { return }
        heap.insert(
            CandidateHeap.Candidate(
                rank: merge.rank, left: left, id: merge.id, length: symbols[left].length + symbols[right].length))
    }
}

/// A binary heap of pairs, the one with the lowest rank first, of equal ranks the leftmost.
private struct CandidateHeap {
    struct Candidate {
        /// Rank and place in one number, in the order in which pairs are merged.
        var order: UInt64
        var id: Int32
        var length: Int32

        init(rank: UInt32, left: Int, id: Int32, length: Int32) {
            order = UInt64(rank) << 32 | UInt64(left)
            self.id = id
            self.length = length
        }

        var left: Int { Int(order & 0xFFFF_FFFF) }
    }

    private var entries: [Candidate] = []

    mutating func insert(_ candidate: Candidate) {
        var place = entries.count
        entries.append(candidate)
        while place > 0 {
            let parent = (place - 1) / 2
            guard candidate.order < entries[parent].order else { break }
            entries[place] = entries[parent]
            place = parent
        }
        entries[place] = candidate
    }

    mutating func popFirst() -> Candidate? {
        guard let first = entries.first, let last = entries.popLast() else { return nil }
        guard !entries.isEmpty else { return first }
        var place = 0
        while true {
            var child = 2 * place + 1
            guard child < entries.count else { break }
            if child + 1 < entries.count, entries[child + 1].order < entries[child].order { child += 1 }
            guard entries[child].order < last.order else { break }
            entries[place] = entries[child]
            place = child
        }
        entries[place] = last
        return first
    }
}
