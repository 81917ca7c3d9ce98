/// Finds where the last tokens of a sequence occurred before, and so what may follow them.
///
/// For every pair and triple of tokens a table has the place after its latest occurrence, found by a hash and confirmed by
/// the tokens. The table has a fixed size: where two meet, the later one stays. Both operations take constant time for
/// each token and allocate nothing.
struct NGramIndex: Sendable {
    /// A single token says too little about the next one.
    private static let lengths = (shortest: 2, longest: 3)
    /// Tokens for which a table has room without crowding; longer sequences lose what is far back.
    private static let mostTokens = 1 << 14

    /// By hash, the position of the token that followed; -1 where nothing is known.
    private var followers: [Int32]
    private let shift: UInt64
    /// So many tokens are indexed as followers.
    private var count = 0

    /// - Parameter tokens: the most that the sequence can have.
    init(tokens: Int) {
        let entries = 2 * UInt64(max(32, min(tokens, Self.mostTokens)))
        let bits = UInt64(64 - (entries - 1).leadingZeroBitCount)
        followers = Array(repeating: -1, count: 1 << Int(bits))
        shift = 64 - bits
    }

    /// Indexes the tokens that are new since the last call; those before them must be the same.
    mutating func extend(to tokens: [Int32]) {
        while count < tokens.count {
            for length in Self.lengths.shortest...Self.lengths.longest where count >= length {
                followers[entry(of: tokens, endingBefore: count, length: length)] = Int32(truncatingIfNeeded: count)
            }
            count += 1
        }
    }

    /// Replaces `drafts` with the tokens that followed the latest earlier occurrence of the last three tokens, or else of
    /// the last two; with none if there is no such place.
    ///
    /// Where they reach the end of the sequence they go on with themselves, as a period does.
    func predict(_ most: Int, after tokens: [Int32], into drafts: inout [Int32]) {
        drafts.removeAll(keepingCapacity: true)
        guard let start = follower(of: tokens) else { return }
        for position in start..<start + max(0, most) {
            drafts.append(position < tokens.count ? tokens[position] : drafts[position - tokens.count])
        }
    }

    /// The place after the latest earlier occurrence of the longest n-gram at the end that has one.
    private func follower(of tokens: [Int32]) -> Int? {
        for length in (Self.lengths.shortest...Self.lengths.longest).reversed() where tokens.count > length {
            let place = Int(followers[entry(of: tokens, endingBefore: tokens.count, length: length)])
            if place >= length, tokens[place - length..<place] == tokens[(tokens.count - length)...] { return place }
        }
        return nil
    }

    private func entry(of tokens: [Int32], endingBefore end: Int, length: Int) -> Int {
        var hash = UInt64(length) &* 0xD6E8_FEB8_6659_FD93
        for token in tokens[end - length..<end] {
            hash = (hash ^ UInt64(UInt32(bitPattern: token))) &* 0x9E37_79B9_7F4A_7C15
            hash ^= hash >> 32
        }
        return Int((hash &* 0x9E37_79B9_7F4A_7C15) >> shift)
    }
}
