import EngineProtocol
public import Observability
import Platform

/// What the HTTP door measures: arrival, first and last byte, outcomes.
///
/// The worker's own times come from the worker.
public final class HTTPMetrics {
    private let registry: MetricsRegistry
    private let firstToken: Histogram
    private let interToken: Histogram
    private let endToEnd: Histogram
    private let promptTokens: Counter
    private let answerTokens: Counter
    private let disconnects: Counter

    public init(registry: MetricsRegistry) {
        self.registry = registry
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

    func countRequest(route: String, status: Int) {
        let labels = [MetricLabel("route", route), MetricLabel("status", String(status))]
        registry.counter("apus_http_requests_total", "Requests by route and HTTP status.", labels).add(1)
    }

    func countDisconnect() { disconnects.add(1) }

    func generation() -> GenerationMetrics {
        GenerationMetrics(
            arrival: MonotonicClock.now(), firstToken: firstToken, interToken: interToken, endToEnd: endToEnd,
            promptTokens: promptTokens, answerTokens: answerTokens)
    }
}

/// The times of one generation.
final class GenerationMetrics {
    private let arrival: UInt64
    private let firstToken: Histogram
    private let interToken: Histogram
    private let endToEnd: Histogram
    private let promptTokens: Counter
    private let answerTokens: Counter
    private var lastTokens: UInt64?

    init(
        arrival: UInt64, firstToken: Histogram, interToken: Histogram, endToEnd: Histogram, promptTokens: Counter,
        answerTokens: Counter
    ) {
        self.arrival = arrival
        self.firstToken = firstToken
        self.interToken = interToken
        self.endToEnd = endToEnd
        self.promptTokens = promptTokens
        self.answerTokens = answerTokens
    }

    func receivedTokens(_ count: Int) {
        guard count > 0 else { return }
        let now = MonotonicClock.now()
        if let lastTokens {
            interToken.observe(Double(now - lastTokens) / 1e9 / Double(count))
        } else {
            firstToken.observe(Double(now - arrival) / 1e9)
        }
        lastTokens = now
    }

    func counted(_ usage: Usage) {
        promptTokens.add(UInt64(usage.promptTokens))
        answerTokens.add(UInt64(usage.completionTokens))
    }

    func finished() { endToEnd.observe(Double(MonotonicClock.now() - arrival) / 1e9) }
}
