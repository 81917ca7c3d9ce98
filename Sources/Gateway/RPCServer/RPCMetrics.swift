import EngineProtocol
public import Observability
import Platform

/// What the JSON-RPC door measures; what it has in common with the HTTP door is counted together with it.
public final class RPCMetrics {
    private let registry: MetricsRegistry
    let connections: Gauge
    private let streamLatency: Histogram
    private let firstToken: Histogram
    private let interToken: Histogram
    private let endToEnd: Histogram
    private let promptTokens: Counter
    private let answerTokens: Counter
    private let disconnects: Counter

    public init(registry: MetricsRegistry) {
        self.registry = registry
        connections = registry.gauge("apus_rpc_connections", "Open connections of the JSON-RPC door.")
        streamLatency = registry.histogram(
            "apus_rpc_stream_seconds", "From the arrival of tokens in the gateway to their last byte's way out.",
            edges: Self.streamEdges)
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
        countRequest(method: "rkllm.run", outcome: "ok", 0)
    }

    private static let streamEdges: [Double] = [
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
    ]

    func countRequest(method: String, outcome: String, _ count: UInt64 = 1) {
        let labels = [MetricLabel("method", method), MetricLabel("outcome", outcome)]
        registry.counter("apus_rpc_requests_total", "JSON-RPC requests by method and outcome.", labels).add(count)
    }

    func countDisconnect() { disconnects.add() }

    func streamed(since start: UInt64) { streamLatency.observe(Double(MonotonicClock.now() - start) / 1e9) }

    func run() -> RPCRunMetrics {
        RPCRunMetrics(
            firstToken: firstToken, interToken: interToken, endToEnd: endToEnd, promptTokens: promptTokens,
            answerTokens: answerTokens)
    }
}

/// The times of one run.
final class RPCRunMetrics {
    private let arrival = MonotonicClock.now()
    private let firstToken: Histogram
    private let interToken: Histogram
    private let endToEnd: Histogram
    private let promptTokens: Counter
    private let answerTokens: Counter
    private var lastTokens: UInt64?

    init(
        firstToken: Histogram, interToken: Histogram, endToEnd: Histogram, promptTokens: Counter, answerTokens: Counter
    ) {
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
