import Synchronization

/// Tells the series of a metric family apart.
public struct MetricLabel: Sendable, Equatable {
    public let name: String
    public let value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// All metrics of a process, and their text for Prometheus.
///
/// Asking twice for the same name and labels gives the same metric. The number of label sets is bounded: beyond it, a
/// family counts further ones together under the label value `other`.
public final class MetricsRegistry: Sendable {
    private struct Family {
        enum Series {
            case counter(Counter)
            case gauge(Gauge)
            case histogram(Histogram)
        }

        let name: String
        let help: String
        let type: StaticString
        var series: [(labels: [UInt8], metric: Series)] = []
        var places: [[UInt8]: Int] = [:]
    }

    private struct State {
        var families: [Family] = []
        var places: [String: Int] = [:]

        mutating func place(of name: String, help: String, type: StaticString, limit: Int) -> Int {
            if let place = places[name] { return place }
            precondition(families.count < limit, "more than \(limit) metric families")
            families.append(Family(name: name, help: help, type: type))
            places[name] = families.count - 1
            return families.count - 1
        }
    }

    private let limits: ObservabilityLimits
    private let state = Mutex(State())

    public init(limits: ObservabilityLimits = ObservabilityLimits()) { self.limits = limits }

    /// - Parameter name: ends in `_total`.
    public func counter(_ name: String, _ help: String, _ labels: [MetricLabel] = []) -> Counter {
        let series = series(name, help, "counter", labels) { .counter(Counter()) }
        guard case .counter(let counter) = series else { preconditionFailure("\(name) is no counter") }
        return counter
    }

    /// A counter to which nanoseconds are added, and which is shown in seconds.
    public func timeCounter(_ name: String, _ help: String, _ labels: [MetricLabel] = []) -> Counter {
        let series = series(name, help, "counter", labels) { .counter(Counter(scale: 1e-9)) }
        guard case .counter(let counter) = series else { preconditionFailure("\(name) is no counter") }
        return counter
    }

    public func gauge(_ name: String, _ help: String, _ labels: [MetricLabel] = []) -> Gauge {
        let series = series(name, help, "gauge", labels) { .gauge(Gauge()) }
        guard case .gauge(let gauge) = series else { preconditionFailure("\(name) is no gauge") }
        return gauge
    }

    /// - Parameter edges: upper edges, ascending; the same for the whole family.
    public func histogram(
        _ name: String, _ help: String, _ labels: [MetricLabel] = [], edges: [Double]
    ) -> Histogram {
        let series = series(name, help, "histogram", labels) { .histogram(Histogram(edges: edges)) }
        guard case .histogram(let histogram) = series else { preconditionFailure("\(name) is no histogram") }
        return histogram
    }

    private func series(
        _ name: String, _ help: String, _ type: StaticString, _ labels: [MetricLabel], make: () -> Family.Series
    ) -> Family.Series {
        precondition(PrometheusText.isMetricName(name), "\(name) is no metric name")
        precondition(labels.allSatisfy { PrometheusText.isLabelName($0.name) }, "\(name) has a bad label name")
        return state.withLock { state in
            let place = state.place(of: name, help: help, type: type, limit: limits.families)
            var key = PrometheusText.labels(labels)
            if let known = state.families[place].places[key] { return state.families[place].series[known].metric }
            if state.families[place].series.count >= limits.seriesPerFamily {
                key = PrometheusText.labels(labels.map { MetricLabel($0.name, "other") })
                if let known = state.families[place].places[key] { return state.families[place].series[known].metric }
            }
            let metric = make()
            state.families[place].places[key] = state.families[place].series.count
            state.families[place].series.append((key, metric))
            return metric
        }
    }

    /// The text format 0.0.4 of all metrics.
    public func render() -> [UInt8] {
        var bytes: [UInt8] = []
        render(into: &bytes)
        return bytes
    }

    /// Appends the text format 0.0.4 of all metrics, families in the order of their making.
    public func render(into bytes: inout [UInt8]) {
        let families = state.withLock { $0.families }
        for family in families {
            PrometheusText.header(family.name, help: family.help, type: family.type, to: &bytes)
            for (labels, metric) in family.series {
                switch metric {
                case .counter(let counter):
                    PrometheusText.counter(family.name, labels: labels, counter, to: &bytes)
                case .gauge(let gauge):
                    PrometheusText.sample(family.name, labels: labels, gauge.value, to: &bytes)
                case .histogram(let histogram):
                    PrometheusText.histogram(family.name, labels, histogram.edges, histogram.snapshot, to: &bytes)
                }
            }
        }
    }
}
