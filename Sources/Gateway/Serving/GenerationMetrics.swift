public import EngineProtocol
public import Observability
import Platform

/// What all doors measure of generations, counted together: arrival, first and last byte.
///
/// The worker's own times come from the worker.
public final class GenerationMetrics {
    fileprivate let firstToken: Histogram
    fileprivate let interToken: Histogram
    fileprivate let endToEnd: Histogram
    fileprivate let promptTokens: Counter
    fileprivate let answerTokens: Counter
    private let disconnects: Counter

    public init(registry: MetricsRegistry) {
        firstToken = registry.histogram(
            "apus_time_to_first_token_seconds", "From the arrival of a request to its first token.",
            edges: BucketEdges.firstToken)
        interToken = registry.histogram(
            "apus_inter_token_seconds", "Between two messages with tokens of the same request, for each token.",
            edges: BucketEdges.interToken)
        endToEnd = registry.histogram(
            "apus_request_seconds", "From the arrival of a generation to its end.", edges: BucketEdges.endToEnd)
        promptTokens = registry.counter("apus_request_prompt_tokens_total", "Prompt tokens of finished requests.")
        answerTokens = registry.counter("apus_request_completion_tokens_total", "Tokens that finished requests got.")
        disconnects = registry.counter("apus_client_disconnects_total", "Clients that left before their answer ended.")
    }

    public func countDisconnect() { disconnects.add(1) }

    /// A generation arrives.
    public func begin() -> GenerationTimes { GenerationTimes(self) }
}

/// The times of one generation.
public final class GenerationTimes {
    private let metrics: GenerationMetrics
    private let arrival = MonotonicClock.now()
    private var lastTokens: UInt64?

    fileprivate init(_ metrics: GenerationMetrics) { self.metrics = metrics }

    public func receivedTokens(_ count: Int) {
        guard count > 0 else { return }
        let now = MonotonicClock.now()
        if let lastTokens {
            metrics.interToken.observe(Double(now - lastTokens) / 1e9 / Double(count))
        } else {
            metrics.firstToken.observe(Double(now - arrival) / 1e9)
        }
        lastTokens = now
    }

    public func counted(_ usage: Usage) {
        metrics.promptTokens.add(UInt64(usage.promptTokens))
        metrics.answerTokens.add(UInt64(usage.completionTokens))
    }

    public func finished() { metrics.endToEnd.observe(Double(MonotonicClock.now() - arrival) / 1e9) }
}
