/// A tokenized text, cut into windows that are scored alone.
///
/// Each window is fed as BOS (where the model adds one) and all its tokens but the last; each row but BOS's predicts
/// the token that follows it, so every token after the window's first counts.
struct ScoreWindows: Sendable, Equatable {
    let tokens: [Int32]
    let window: Int
    let bos: Int32?

    private var prefix: Int { bos == nil ? 0 : 1 }

    /// Windows of a single token predict nothing and are left out.
    var count: Int { tokens.count / window + (tokens.count % window >= 2 ? 1 : 0) }

    /// Tokens that count, over all windows.
    var countedTokens: Int { (0..<count).reduce(0) { $0 + size(of: $1) - 1 } }

    /// Rows to compute for a window.
    func rows(of index: Int) -> Int { prefix + size(of: index) - 1 }

    /// The token of a row.
    func token(window index: Int, row: Int) -> Int32 {
        if row == 0, let bos { return bos }
        return tokens[index * window + row - prefix]
    }

    /// The token that a row predicts, or nil for BOS's row, whose prediction does not count.
    func target(window index: Int, row: Int) -> Int32? {
        row < prefix ? nil : tokens[index * window + row - prefix + 1]
    }

    private func size(of index: Int) -> Int { min(window, tokens.count - index * window) }
}
