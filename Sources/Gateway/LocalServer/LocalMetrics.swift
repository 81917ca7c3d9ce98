import EngineLink
import EngineProtocol
import Observability
import Serving
import SharedMemory

/// What the door for local clients counts.
final class LocalMetrics {
    private let registry: MetricsRegistry
    let generations: GenerationMetrics
    private let connections: Gauge
    private let recordsSent: Counter
    private let bytesSent: Counter
    private let recordsReceived: Counter
    private let bytesReceived: Counter
    private let wakes: Counter
    private let full: Counter
    private let spun: Counter

    init(registry: MetricsRegistry) {
        self.registry = registry
        generations = GenerationMetrics(registry: registry)
        connections = registry.gauge("apus_local_connections", "Local clients that are connected.")
        let (sent, received) = (MetricLabel("direction", "sent"), MetricLabel("direction", "received"))
        let records = ("apus_local_ring_records_total", "Messages in rings of shared memory, by direction.")
        recordsSent = registry.counter(records.0, records.1, [sent])
        recordsReceived = registry.counter(records.0, records.1, [received])
        let bytes = ("apus_local_ring_bytes_total", "Bytes of the messages in rings, by direction.")
        bytesSent = registry.counter(bytes.0, bytes.1, [sent])
        bytesReceived = registry.counter(bytes.0, bytes.1, [received])
        wakes = registry.counter("apus_local_ring_wakes_total", "How often a client had to be woken.")
        full = registry.counter("apus_local_ring_full_total", "How often a client's ring had no room for a message.")
        spun = registry.timeCounter(
            "apus_local_spin_seconds_total", "Time in which the server looked for messages without sleeping.")
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

    func countCall(_ request: String, outcome: String) {
        registry.counter(
            "apus_local_calls_total", "Calls of local clients that have ended, by request and outcome.",
            [MetricLabel("request", request), MetricLabel("outcome", outcome)]
        ).add(1)
    }

    func countEnd(_ reason: LinkCloseReason) {
        registry.counter(
            "apus_local_link_ends_total", "Links that local clients ended, by how.",
            [MetricLabel("reason", reason.name)]
        ).add(1)
    }

    /// Adds what one connection's rings have counted since they were last asked.
    func add(_ now: RingCounters, since before: RingCounters) {
        recordsSent.add(now.recordsSent - before.recordsSent)
        bytesSent.add(now.bytesSent - before.bytesSent)
        recordsReceived.add(now.recordsReceived - before.recordsReceived)
        bytesReceived.add(now.bytesReceived - before.bytesReceived)
        wakes.add(now.dataWakes - before.dataWakes + now.spaceWakes - before.spaceWakes)
        full.add(now.ringFullEvents - before.ringFullEvents)
        spun.add(now.spunNanoseconds - before.spunNanoseconds)
    }
}

extension EngineRequest {
    /// As a label.
    var name: String {
        switch self {
        case .load: "load"
        case .inspect: "inspect"
        case .generate: "generate"
        case .score: "score"
        case .tokenize: "tokenize"
        case .detokenize: "detokenize"
        case .renderTemplate: "render_template"
        case .cancel: "cancel"
        case .credit: "credit"
        case .embed: "embed"
        case .pause: "pause"
        case .openSession: "open_session"
        case .changeSession: "change_session"
        case .closeSession: "close_session"
        case .loadAdapter: "load_adapter"
        case .unloadAdapter: "unload_adapter"
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
