import Synchronization

/// All metrics of a process, written in Prometheus' text format 0.0.4.
///
/// A family (name, kind, help) is registered once; each set of label values is one series of it. The number of series is
/// bounded, so that nothing a client sends can grow it without limit: past the bound, new series share one that carries
/// the label value `other`.
public final class MetricsRegistry: Sendable {
    public static let seriesPerFamilyLimit = 512

    private enum Series: Sendable {
        case counter(Counter)
        case gauge(Gauge)
        case histogram(Histogram)
    }

    private struct Family: Sendable {
        let name: String
        let kind: String
        let help: String
        var series: [(labels: [MetricLabel], series: Series)] = []
    }

    private let families = Mutex<[Family]>([])

    public init() {}

    public func counter(_ name: String, _ help: String, _ labels: [MetricLabel] = []) -> Counter {
        let made = series(name, "counter", help, labels) { .counter(Counter()) }
        guard case .counter(let counter) = made else { preconditionFailure("\(name) is no counter") }
        return counter
    }

    public func gauge(_ name: String, _ help: String, _ labels: [MetricLabel] = []) -> Gauge {
        let made = series(name, "gauge", help, labels) { .gauge(Gauge()) }
        guard case .gauge(let gauge) = made else { preconditionFailure("\(name) is no gauge") }
        return gauge
    }

    public func histogram(
        _ name: String, _ help: String, edges: [Double], _ labels: [MetricLabel] = []
    ) -> Histogram {
        let made = series(name, "histogram", help, labels) { .histogram(Histogram(edges: edges)) }
        guard case .histogram(let histogram) = made else { preconditionFailure("\(name) is no histogram") }
        return histogram
    }

    private func series(
        _ name: String, _ kind: String, _ help: String, _ labels: [MetricLabel], make: () -> Series
    ) -> Series {
        families.withLock { families in
            let place =
                families.firstIndex { $0.name == name }
                ?? {
                    families.append(Family(name: name, kind: kind, help: help))
                    return families.count - 1
                }()
            precondition(families[place].kind == kind, "\(name) is registered as a \(families[place].kind)")
            var labels = labels
            if let known = families[place].series.first(where: { $0.labels == labels }) { return known.series }
            if families[place].series.count >= Self.seriesPerFamilyLimit {
                labels = labels.map { MetricLabel($0.name, "other") }
                if let known = families[place].series.first(where: { $0.labels == labels }) { return known.series }
            }
            let made = make()
            families[place].series.append((labels, made))
            return made
        }
    }

    /// The whole page.
    public func render() -> [UInt8] {
        var page = PrometheusText()
        for family in families.withLock({ $0 }) {
            page.beginFamily(family.name, kind: family.kind, help: family.help)
            for (labels, series) in family.series {
                switch series {
                case .counter(let counter): page.sample(family.name, labels, counter.current)
                case .gauge(let gauge): page.sample(family.name, labels, gauge.current)
                case .histogram(let histogram): page.histogram(family.name, labels, histogram)
                }
            }
        }
        return page.bytes
    }
}

public struct MetricLabel: Sendable, Equatable {
    public let name: StaticString
    public let value: String

    public init(_ name: StaticString, _ value: String) {
        self.name = name
        self.value = value
    }

    public static func == (left: MetricLabel, right: MetricLabel) -> Bool {
        left.value == right.value && left.name.description == right.name.description
    }
}

/// Prometheus' text format, version 0.0.4.
struct PrometheusText {
    private(set) var bytes: [UInt8] = []

    mutating func beginFamily(_ name: String, kind: String, help: String) {
        append("# HELP \(name) ")
        append(Self.escaped(help, quotes: false))
        append("\n# TYPE \(name) \(kind)\n")
    }

    mutating func sample(_ name: String, _ labels: [MetricLabel], _ value: UInt64) {
        head(name, labels)
        append("\(value)\n")
    }

    mutating func sample(_ name: String, _ labels: [MetricLabel], _ value: Double) {
        head(name, labels)
        append(Self.number(value))
        append("\n")
    }

    mutating func histogram(_ name: String, _ labels: [MetricLabel], _ histogram: Histogram) {
        let state = histogram.snapshot
        var cumulative: UInt64 = 0
        for (index, count) in state.counts.enumerated() {
            cumulative += count
            let edge = index < histogram.edges.count ? Self.number(histogram.edges[index]) : "+Inf"
            sample(name + "_bucket", labels + [MetricLabel("le", edge)], cumulative)
        }
        sample(name + "_sum", labels, state.sum)
        sample(name + "_count", labels, cumulative)
    }

    private mutating func head(_ name: String, _ labels: [MetricLabel]) {
        append(name)
        if !labels.isEmpty {
            let pairs = labels.map { "\($0.name)=\"\(Self.escaped($0.value, quotes: true))\"" }
            append("{\(pairs.joined(separator: ","))}")
        }
        append(" ")
    }

    private mutating func append(_ text: String) { bytes += Array(text.utf8) }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(value)
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
