/// Guesses which known word a mistyped one stands for.
enum Suggestion {
    /// The nearest word that is at most two edits (or a third of its length) away; nil if there is none.
    static func nearest(to word: String, among known: [String]) -> String? {
        let word = Array(word.utf8.prefix(64))
        let scored = known.map { (distance(word, Array($0.utf8)), $0) }
        guard let best = scored.min(by: { $0.0 < $1.0 }), best.0 <= max(2, best.1.utf8.count / 3) else { return nil }
        return best.1
    }

    /// Levenshtein distance, one row at a time.
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var row = Array(0...right.count)
        for (index, byte) in left.enumerated() {
            var diagonal = row[0]
            row[0] = index + 1
            for column in 1..<max(1, row.count) {
                let substituted = diagonal + (byte == right[column - 1] ? 0 : 1)
                diagonal = row[column]
                row[column] = min(substituted, row[column] + 1, row[column - 1] + 1)
            }
        }
        return row[right.count]
    }
}
