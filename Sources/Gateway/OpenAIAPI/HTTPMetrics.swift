public import Observability
import Serving

/// What the HTTP door counts.
public final class HTTPMetrics {
    private let registry: MetricsRegistry
    let generations: GenerationMetrics

    public init(registry: MetricsRegistry) {
        self.registry = registry
        generations = GenerationMetrics(registry: registry)
    }

    func countRequest(route: String, status: Int) {
        let labels = [MetricLabel("route", route), MetricLabel("status", String(status))]
        registry.counter("apus_http_requests_total", "Requests by route and HTTP status.", labels).add(1)
    }
}
