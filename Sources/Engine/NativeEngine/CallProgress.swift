import EngineProtocol

/// When the things happened that a call's timings are made of, on the monotonic clock.
struct CallProgress: Sendable {
    let preparation: UInt64
    let acceptedAt: UInt64
    var firstPrefillAt: UInt64?
    var firstTokenAt: UInt64?
    var lastTokenAt: UInt64?

    /// What was measured; a phase that did not happen took no time.
    var timings: Timings {
        Timings(
            preparation: preparation, queue: Self.span(acceptedAt, firstPrefillAt),
            prefill: Self.span(firstPrefillAt, firstTokenAt), decode: Self.span(firstTokenAt, lastTokenAt))
    }

    private static func span(_ start: UInt64?, _ end: UInt64?) -> UInt64 {
        guard let start, let end, end > start else { return 0 }
        return end - start
    }
}
