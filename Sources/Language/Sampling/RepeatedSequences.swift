/// The DRY penalty ("don't repeat yourself", by p-e-w): against repeating whole sequences, however long.
///
/// If the last n tokens stand somewhere earlier too, the token that followed there would make the repetition longer.
/// From n = `allowedLength` on its logit loses multiplier * base^(n - allowedLength). A sequence breaker ends what counts
/// as one sequence, and a token that holds a whole one is never penalised.
///
/// A token costs time in proportion to the window, whatever the text is: the lengths of all repetitions come from one
/// pass of the Z algorithm over the reversed window.
struct RepeatedSequences: Sendable {
    private struct Entry: Sendable {
        let token: Int32
        let isBreaker: Bool
    }

    /// No logit lives below this, and it is no infinity.
    private static let greatestPenalty = 1e30

    private let parameters: SamplerParameters.DRY
    private let window: Int
    private let tokenBytes: Sampler.TokenBytes
    private var breakers: SequenceBreakers
    /// Up to twice the window, so that dropping what fell out of it costs little.
    private var history: [Entry] = []
    private var tokensSinceBreaker = 0
    // Reused from token to token.
    private var lengths: [Int32] = []
    private var longest: [Int32: Int] = [:]

    /// Nil if it is off.
    init?(_ parameters: SamplerParameters.DRY, limits: SamplingLimits, tokenBytes: @escaping Sampler.TokenBytes) {
        guard parameters.multiplier > 0, parameters.window != 0 else { return nil }
        self.parameters = parameters
        window = min(parameters.window ?? limits.repetitionWindow, limits.repetitionWindow)
        breakers = SequenceBreakers(parameters.breakers)
        self.tokenBytes = tokenBytes
    }

    mutating func record(_ ids: some Collection<Int32>) {
        for id in ids.suffix(window) { record(id) }
    }

    mutating func record(_ id: Int32) {
        let finding = breakers.advance(tokenBytes(id))
        tokensSinceBreaker = finding.ends ? 0 : tokensSinceBreaker + 1
        if history.count == 2 * window { history.removeFirst(window) }
        history.append(Entry(token: id, isBreaker: finding.isInside))
    }

    /// Lowers the logits of the tokens that would continue a repetition.
    mutating func apply(to row: UnsafeMutableBufferPointer<Float>) {
        let count = min(history.count, window)
        // A repetition cannot reach back over a breaker.
        let reach = min(tokensSinceBreaker, count)
        guard count > parameters.allowedLength, reach >= parameters.allowedLength else { return }
        measure(count)
        longest.removeAll(keepingCapacity: true)
        for back in 1..<count {
            let length = min(Int(lengths[back]), reach)
            let follower = history[history.count - back]
            guard length >= parameters.allowedLength, !follower.isBreaker else { continue }
            longest[follower.token] = max(longest[follower.token] ?? 0, length)
        }
        for (token, length) in longest where row.indices.contains(Int(token)) {
            row[Int(token)] -= penalty(length)
        }
    }

    /// `lengths[back]` becomes how many tokens at the end also stand `back` tokens earlier (the Z algorithm).
    private mutating func measure(_ count: Int) {
        if lengths.count < count { lengths += repeatElement(0, count: max(count, 2 * lengths.count) - lengths.count) }
        let last = history.count - 1
        history.withUnsafeBufferPointer { history in
            lengths.withUnsafeMutableBufferPointer { lengths in
                // The stretch that is known to equal the end reaches from `start` to before `end`, counted backwards.
                var (start, end) = (0, 0)
                for back in 1..<count {
                    var length = back < end ? min(end - back, Int(lengths[back - start])) : 0
                    while back + length < count, history[last - length].token == history[last - back - length].token {
                        length += 1
                    }
                    lengths[back] = Int32(truncatingIfNeeded: length)
                    if back + length > end { (start, end) = (back, back + length) }
                }
            }
        }
    }

    private func penalty(_ length: Int) -> Float {
        var power = 1.0
        var factor = Double(parameters.base)
        var rest = length - parameters.allowedLength
        while rest > 0 {
            if rest & 1 == 1 { power *= factor }
            factor *= factor
            rest >>= 1
        }
        return Float(min(Double(parameters.multiplier) * power, Self.greatestPenalty))
    }
}
