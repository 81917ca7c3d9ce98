public import Observability
import Platform
import Serving

/// What the JSON-RPC door measures.
public final class RPCMetrics {
    private let registry: MetricsRegistry
    let connections: Gauge
    private let streamLatency: Histogram
    let generations: GenerationMetrics

    public init(registry: MetricsRegistry) {
        self.registry = registry
        connections = registry.gauge("apus_rpc_connections", "Open connections of the JSON-RPC door.")
        streamLatency = registry.histogram(
            "apus_rpc_stream_seconds", "From the arrival of tokens in the gateway to their last byte's way out.",
            edges: Self.streamEdges)
        generations = GenerationMetrics(registry: registry)
        countRequest(method: "rkllm.run", outcome: "ok", 0)
    }

    private static let streamEdges: [Double] = [
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
    ]

    func countRequest(method: String, outcome: String, _ count: UInt64 = 1) {
        let labels = [MetricLabel("method", method), MetricLabel("outcome", outcome)]
        registry.counter("apus_rpc_requests_total", "JSON-RPC requests by method and outcome.", labels).add(count)
    }

    func streamed(since start: UInt64) { streamLatency.observe(Double(MonotonicClock.now() - start) / 1e9) }
}
