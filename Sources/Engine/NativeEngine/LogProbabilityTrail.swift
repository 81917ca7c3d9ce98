import EngineProtocol

/// The log-probabilities of one choice whose tokens the text does not show yet.
///
/// Text lags the tokens, and a stop string cuts some off for good. An entry goes out with the text that shows its token,
/// so that a client's list of tokens and its text say the same; one whose token is never shown goes nowhere.
struct LogProbabilityTrail {
    let options: LogProbabilityOptions
    /// What the last row gave; taken when its token is added to the text.
    var latest: TokenLogProbabilities?
    private var waiting: [(start: Int, end: Int, entry: TokenLogProbabilities)] = []
    /// Bytes of all tokens so far.
    private var taken = 0

    init(_ options: LogProbabilityOptions) { self.options = options }

    /// Adds the latest token, which wrote that many bytes.
    mutating func add(byteCount: Int) {
        guard let entry = latest else { return }
        latest = nil
        waiting.append((taken, taken + byteCount, entry))
        taken += byteCount
    }

    /// The entries of the tokens that are shown, wholly or in part, now that all but `withheld` bytes are given out.
    mutating func release(withheld: Int) -> [TokenLogProbabilities] {
        let shown = taken - withheld
        let count = waiting.prefix { $0.start < shown || $0.end <= shown }.count
        defer { waiting.removeFirst(count) }
        return waiting.prefix(count).map(\.entry)
    }
}
