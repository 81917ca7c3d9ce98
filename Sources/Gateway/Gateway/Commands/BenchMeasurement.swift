import EngineProtocol

/// Tokens per second over all sequences of a measurement.
struct BenchSpeed: Equatable {
    let prefill: Double
    let decode: Double

    /// The middle of each figure, each for itself.
    static func median(of speeds: [BenchSpeed]) -> BenchSpeed {
        BenchSpeed(prefill: median(of: speeds.map(\.prefill)), decode: median(of: speeds.map(\.decode)))
    }

    private static func median(of values: [Double]) -> Double {
        guard !values.isEmpty else { return 0 }
        let sorted = values.sorted()
        let upper = sorted.count / 2
        let lower = (sorted.count - 1) / 2
        return (sorted[lower] + sorted[upper]) / 2
    }
}

/// Turns the events of several generations that run together into a decode speed.
///
/// The sequences may come to their first tokens at different times. Only a window in which all of them decode counts: it
/// opens when the last one has its first token, and closes when all have decoded as much as was asked for, or when the
/// first of them ends. One sequence alone is measured by the worker, from its first token to its last.
struct DecodeWindow {
    private let tokensPerSequence: Int
    private var firstTokenSeen: [Bool]
    private var openedAt: UInt64?
    private var closedAt: UInt64?
    /// Tokens of each sequence since the window opened.
    private var tokens: [Int]
    private var workersOwn: Double?

    init(sequences: Int, tokensPerSequence: Int) {
        firstTokenSeen = Array(repeating: false, count: sequences)
        tokens = Array(repeating: 0, count: sequences)
        self.tokensPerSequence = tokensPerSequence
    }

    /// True when nothing that comes can change the figure.
    var isClosed: Bool { closedAt != nil && tokens.count > 1 }

    /// - Parameter now: monotonic clock, nanoseconds.
    mutating func receive(_ event: EngineEvent, sequence: Int, now: UInt64) {
        switch event {
        case .tokens(let chunk):
            if openedAt != nil, closedAt == nil { tokens[sequence] += chunk.ids.count }
            firstTokenSeen[sequence] = true
            if openedAt == nil, firstTokenSeen.allSatisfy({ $0 }) { openedAt = now }
            if tokens.allSatisfy({ $0 >= tokensPerSequence }) { close(now) }
        case .finished(let usage, let timings):
            if tokens.count == 1, timings.decode > 0, usage.completionTokens > 1 {
                workersOwn = Double(usage.completionTokens - 1) / (Double(timings.decode) / 1e9)
            }
            close(now)
        case .choiceFinished, .failed:
            close(now)
        case .accepted, .started, .tensor, .result, .statistics:
            break
        }
    }

    private mutating func close(_ now: UInt64) {
        if closedAt == nil, openedAt != nil { closedAt = now }
    }

    /// Over all sequences; nil when they never decoded together.
    var tokensPerSecond: Double? {
        if let workersOwn { return workersOwn }
        // The step in which the window opened may still bring tokens of other sequences: they do not count.
        let counted = tokens.reduce(0) { $0 + min($1, tokensPerSequence) }
        guard let openedAt, let closedAt, closedAt > openedAt, counted > 0 else { return nil }
        return Double(counted) / (Double(closedAt - openedAt) / 1e9)
    }
}

/// Turns the events of prompts that are prefilled together into a prefill speed.
///
/// The worker measures how long each prompt's prefill took, and its first token comes at the end of that: so the first
/// prefill began the longest such time before its token.
struct PrefillTimes {
    private var firstTokenAt: [UInt64?]
    private var startedAt: UInt64?
    private var endedAt: UInt64?
    private var cachedTokens = 0

    init(sequences: Int) {
        firstTokenAt = Array(repeating: nil, count: sequences)
    }

    /// - Parameter now: monotonic clock, nanoseconds.
    mutating func receive(_ event: EngineEvent, sequence: Int, now: UInt64) {
        switch event {
        case .tokens:
            if firstTokenAt[sequence] == nil { firstTokenAt[sequence] = now }
        case .finished(let usage, let timings):
            guard let end = firstTokenAt[sequence], end > timings.prefill, timings.prefill > 0 else { return }
            startedAt = min(startedAt ?? .max, end - timings.prefill)
            endedAt = max(endedAt ?? 0, end)
            cachedTokens += Int(usage.cachedTokens)
        case .accepted, .started, .tensor, .choiceFinished, .failed, .result, .statistics:
            break
        }
    }

    /// Of the tokens that were computed: those that the worker still had do not count.
    func tokensPerSecond(promptTokens: Int) -> Double? {
        guard let startedAt, let endedAt, endedAt > startedAt, promptTokens > cachedTokens else { return nil }
        return Double(promptTokens - cachedTokens) / (Double(endedAt - startedAt) / 1e9)
    }
}
