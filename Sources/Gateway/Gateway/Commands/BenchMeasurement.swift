import EngineProtocol

/// Turns the events of several generations that run together into a decode speed.
///
/// Sequences are prefilled one after another, so they start and end at different times. Only the window in which all of
/// them decode counts: from the moment when the last one has its first token to the moment when the first one ends.
struct DecodeWindow {
    private var firstTokenSeen: [Bool]
    private var openedAt: UInt64?
    private var closedAt: UInt64?
    private var tokens = 0

    init(sequences: Int) {
        firstTokenSeen = Array(repeating: false, count: sequences)
    }

    /// - Parameter now: monotonic clock, nanoseconds.
    mutating func receive(_ event: EngineEvent, sequence: Int, now: UInt64) {
        switch event {
        case .tokens(let chunk):
            if openedAt != nil, closedAt == nil { tokens += chunk.ids.count }
            firstTokenSeen[sequence] = true
            if openedAt == nil, firstTokenSeen.allSatisfy({ $0 }) { openedAt = now }
        case .choiceFinished, .finished, .failed:
            if closedAt == nil, openedAt != nil { closedAt = now }
        case .accepted, .started, .result, .statistics:
            break
        }
    }

    /// Over all sequences; nil when they never decoded together.
    var tokensPerSecond: Double? {
        guard let openedAt, let closedAt, closedAt > openedAt, tokens > 0 else { return nil }
        return Double(tokens) / (Double(closedAt - openedAt) / 1e9)
    }
}

/// Turns the events of prompts that are prefilled together into a prefill speed.
struct PrefillWindow {
    private var startedAt: UInt64?
    private var endedAt: UInt64?

    mutating func receive(_ event: EngineEvent, now: UInt64) {
        switch event {
        case .started: startedAt = startedAt ?? now
        case .tokens, .choiceFinished: endedAt = now
        case .accepted, .finished, .failed, .result, .statistics: break
        }
    }

    func tokensPerSecond(promptTokens: Int) -> Double? {
        guard let startedAt, let endedAt, endedAt > startedAt else { return nil }
        return Double(promptTokens) / (Double(endedAt - startedAt) / 1e9)
    }
}
