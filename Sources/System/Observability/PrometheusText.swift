/// The text exposition format, version 0.0.4.
enum PrometheusText {
    static func isMetricName(_ name: String) -> Bool { isName(name, colonAllowed: true) }

    /// Names that begin with two underscores are reserved.
    static func isLabelName(_ name: String) -> Bool { isName(name, colonAllowed: false) && !name.hasPrefix("__") }

    private static func isName(_ name: String, colonAllowed: Bool) -> Bool {
        guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
            return false
        }
        return name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            case UInt8(ascii: ":"): colonAllowed
            default: false
            }
        }
    }

    /// `name="value",…` without braces; empty without labels.
    static func labels(_ labels: [MetricLabel]) -> [UInt8] {
        var bytes: [UInt8] = []
        for label in labels {
            if !bytes.isEmpty { bytes.append(UInt8(ascii: ",")) }
            bytes += Array(label.name.utf8)
            bytes += Array("=\"".utf8)
            appendEscaped(label.value, quotes: true, to: &bytes)
            bytes.append(UInt8(ascii: "\""))
        }
        return bytes
    }

    static func header(_ name: String, help: String, type: StaticString, to bytes: inout [UInt8]) {
        bytes += Array("# HELP \(name) ".utf8)
        appendEscaped(help, quotes: false, to: &bytes)
        bytes += Array("\n# TYPE \(name) \(type)\n".utf8)
    }

    static func counter(_ name: String, labels: [UInt8], _ counter: Counter, to bytes: inout [UInt8]) {
        if counter.scale == 1 { return sample(name, labels: labels, counter.value, to: &bytes) }
        sample(name, labels: labels, Double(counter.value) * counter.scale, to: &bytes)
    }

    static func sample(_ name: String, labels: [UInt8], _ value: UInt64, to bytes: inout [UInt8]) {
        sample(name, labels: labels, text: String(value), to: &bytes)
    }

    static func sample(_ name: String, labels: [UInt8], _ value: Double, to bytes: inout [UInt8]) {
        sample(name, labels: labels, text: text(value), to: &bytes)
    }

    /// Buckets are cumulative, and the last one holds everything.
    static func histogram(
        _ name: String, _ labels: [UInt8], _ edges: [Double], _ state: Histogram.State, to bytes: inout [UInt8]
    ) {
        var total: UInt64 = 0
        for (edge, count) in zip(edges + [.infinity], state.counts) {
            total += count
            let separator = labels.isEmpty ? "" : ","
            let bucket = labels + Array("\(separator)le=\"\(text(edge))\"".utf8)
            sample(name + "_bucket", labels: bucket, total, to: &bytes)
        }
        sample(name + "_sum", labels: labels, state.sum, to: &bytes)
        sample(name + "_count", labels: labels, total, to: &bytes)
    }

    private static func sample(_ name: String, labels: [UInt8], text: String, to bytes: inout [UInt8]) {
        bytes += Array(name.utf8)
        if !labels.isEmpty {
            bytes.append(UInt8(ascii: "{"))
            bytes += labels
            bytes.append(UInt8(ascii: "}"))
        }
        bytes += Array(" \(text)\n".utf8)
    }

    private static func text(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        if value == value.rounded(), abs(value) < 1e15 { return String(Int64(value)) }
        return value.description
    }

    private static func appendEscaped(_ text: String, quotes: Bool, to bytes: inout [UInt8]) {
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), UInt8(ascii: "\\")]
            case 0x0A: bytes += [UInt8(ascii: "\\"), UInt8(ascii: "n")]
            case UInt8(ascii: "\"") where quotes: bytes += [UInt8(ascii: "\\"), UInt8(ascii: "\"")]
            default: bytes.append(byte)
            }
        }
    }
}
