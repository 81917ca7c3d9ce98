/// Remembers where a word stood before in the text, and where its tokens stand in the result.
///
/// A word is found again by its bytes, so no word or token is stored twice. Newer words overwrite older ones.
struct WordCache {
    private struct Entry {
        var start: Int32 = 0
        var length: Int32 = 0
        var firstToken: Int32 = 0
        var tokenCount: Int32 = 0
    }

    private var entries: [Entry] = []
    private let size: Int
    /// Longer words are rare and not worth the comparison.
    private let longestWord = 64

    /// For a text of so many bytes; short texts do without a cache.
    init(textBytes: Int) {
        size = textBytes < 2048 ? 0 : textBytes < 65_536 ? 1024 : 8192
        entries = [Entry](repeating: Entry(), count: size)
    }

    /// Appends the tokens of the word `text[range]` if it is known.
    func recall(_ text: borrowing Span<UInt8>, _ range: Range<Int>, into ids: inout [Int32]) -> Bool {
        guard size > 0, range.count <= longestWord else { return false }
        let entry = entries[place(text, range)]
        guard Int(entry.length) == range.count else { return false }
        for offset in 0..<range.count where text[Int(entry.start) + offset] != text[range.lowerBound + offset] {
            return false
        }
        for index in Int(entry.firstToken)..<Int(entry.firstToken + entry.tokenCount) { ids.append(ids[index]) }
        return true
    }

    /// Notes that the tokens of `text[range]` are `ids[firstToken...]`.
    mutating func remember(_ text: borrowing Span<UInt8>, _ range: Range<Int>, _ ids: [Int32], from firstToken: Int) {
        guard size > 0, range.count <= longestWord else { return }
        entries[place(text, range)] = Entry(
            start: Int32(range.lowerBound), length: Int32(range.count), firstToken: Int32(firstToken),
            tokenCount: Int32(ids.count - firstToken))
    }

    private func place(_ text: borrowing Span<UInt8>, _ range: Range<Int>) -> Int {
        Int(truncatingIfNeeded: TokenTable.hash(text, range, seed: 0)) & (size - 1)
    }
}
