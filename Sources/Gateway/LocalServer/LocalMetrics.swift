import EngineLink
import EngineProtocol
import Observability
import SharedMemory

/// What the door for local clients counts.
final class LocalMetrics {
    private let registry: MetricsRegistry
    private let connections: Gauge
    private let records: Counter
    private let bytes: Counter
    private let wakes: Counter
    private let full: Counter

    init(registry: MetricsRegistry) {
        self.registry = registry
        connections = registry.gauge("apus_local_connections", "Local clients that are connected.")
        records = registry.counter("apus_local_ring_records_total", "Messages that were written to clients' rings.")
        bytes = registry.counter("apus_local_ring_bytes_total", "Bytes of these messages.")
        wakes = registry.counter("apus_local_ring_wakes_total", "How often a client had to be woken for them.")
        full = registry.counter("apus_local_ring_full_total", "How often a client's ring had no room.")
    }

    func setConnections(_ count: Int) { connections.set(Double(count)) }

    func countConnection(usesSharedMemory: Bool) {
        registry.counter(
            "apus_local_connections_total", "Local clients that have connected, by what carries their messages.",
            [MetricLabel("carrier", usesSharedMemory ? "shared_memory" : "socket")]
        ).add(1)
    }

    func countRefusal(_ error: HandshakeError) {
        let reason =
            switch error {
            case .refusedPeer(let refusal): refusal.reason.name
            case .timedOut: "too_slow"
            case .closed: "left"
            default: "failed"
            }
        registry.counter(
            "apus_local_refusals_total", "Local clients that were not let in, by reason.",
            [MetricLabel("reason", reason)]
        ).add(1)
    }

    func countCall(_ request: EngineRequest, outcome: String) {
        registry.counter(
            "apus_local_calls_total", "Calls of local clients that have ended, by request and outcome.",
            [MetricLabel("request", request.name), MetricLabel("outcome", outcome)]
        ).add(1)
    }

    func countEnd(_ reason: LinkCloseReason) {
        registry.counter(
            "apus_local_link_ends_total", "Links that local clients ended, by how.", [MetricLabel("reason", reason.name)]
        ).add(1)
    }

    /// Adds what one ring has counted since it was last asked.
    func add(_ counted: RingCounters) {
        records.add(counted.records)
        bytes.add(counted.bytes)
        wakes.add(counted.wakes)
        full.add(counted.fullEvents)
    }
}

extension EngineRequest {
    fileprivate var name: String {
        switch self {
        case .load: "load"
        case .inspect: "inspect"
        case .generate: "generate"
        case .score: "score"
        case .tokenize: "tokenize"
        case .detokenize: "detokenize"
        case .renderTemplate: "render_template"
        case .cancel: "cancel"
        }
    }
}

extension LinkCloseReason {
    fileprivate var name: String {
        switch self {
        case .endOfStream: "left"
        case .protocolViolation: "protocol_violation"
        case .ringViolation: "ring_violation"
        case .systemError: "system_error"
        case .peerDoesNotRead: "does_not_read"
        }
    }
}
