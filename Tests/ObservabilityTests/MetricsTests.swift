import Foundation
import Observability
import TestSupport
import Testing

@Suite("Metrics")
struct MetricsTests {
    private let registry = MetricsRegistry()

    private var text: String { String(decoding: registry.render(), as: UTF8.self) }

    @Test("the text is the format 0.0.4, byte for byte")
    func golden() {
        let requests = { (status: String) in
            registry.counter("apus_requests_total", "Requests\nby \\status\\.", [MetricLabel("status", status)])
        }
        requests("200").add(3)
        requests("4\"0\\4\n").add()
        registry.timeCounter("apus_work_seconds_total", "Work.").add(1_500_000_000)
        registry.gauge("apus_load", "Load.").set(0.25)
        let seconds = registry.histogram("apus_seconds", "Time.", [MetricLabel("route", "/")], edges: [0.5, 1])
        for value in [0.25, 0.5, 0.75, 7] { seconds.observe(value) }
        #expect(
            text == """
                # HELP apus_requests_total Requests\\nby \\\\status\\\\.
                # TYPE apus_requests_total counter
                apus_requests_total{status="200"} 3
                apus_requests_total{status="4\\"0\\\\4\\n"} 1
                # HELP apus_work_seconds_total Work.
                # TYPE apus_work_seconds_total counter
                apus_work_seconds_total 1.5
                # HELP apus_load Load.
                # TYPE apus_load gauge
                apus_load 0.25
                # HELP apus_seconds Time.
                # TYPE apus_seconds histogram
                apus_seconds_bucket{route="/",le="0.5"} 2
                apus_seconds_bucket{route="/",le="1"} 3
                apus_seconds_bucket{route="/",le="+Inf"} 4
                apus_seconds_sum{route="/"} 8.5
                apus_seconds_count{route="/"} 4

                """)
    }

    @Test("a strict reader finds what was put in")
    func readBack() throws {
        let nasty = "a\\b\"c\nd{}=,é😀"
        registry.counter("apus_a_total", nasty, [MetricLabel("x", nasty), MetricLabel("y", "")]).add(7)
        registry.gauge("apus_b", "").set(.nan)
        registry.gauge("apus_c", "").set(-.infinity)
        registry.gauge("apus_d", "").set(1e300)
        let parsed = try PrometheusParser(text)
        #expect(parsed.helps["apus_a_total"] == nasty)
        #expect(parsed.types["apus_a_total"] == "counter")
        #expect(parsed.samples[0].labels == ["x": nasty, "y": ""])
        #expect(parsed.samples[0].value == 7)
        #expect(parsed.samples[1].value.isNaN)
        #expect(parsed.samples[2].value == -.infinity)
        #expect(parsed.samples[3].value == 1e300)
    }

    @Test("the same name and labels are the same metric; many label sets end in one")
    func identity() throws {
        var limits = ObservabilityLimits()
        limits.seriesPerFamily = 3
        let registry = MetricsRegistry(limits: limits)
        for number in 0..<10 { registry.counter("c_total", "", [MetricLabel("n", String(number))]).add() }
        registry.counter("c_total", "", [MetricLabel("n", "1")]).add()
        let parsed = try PrometheusParser(String(decoding: registry.render(), as: UTF8.self))
        #expect(parsed.samples.map { $0.labels["n"] } == ["0", "1", "2", "other"])
        #expect(parsed.samples.map(\.value) == [1, 2, 1, 7])
    }

    @Test("an observation on an edge belongs to its bucket, and NaN to none")
    func edges() {
        for edges in [BucketEdges.endToEnd, BucketEdges.firstToken, BucketEdges.interToken] {
            #expect(edges == edges.sorted() && Set(edges).count == edges.count)
            let histogram = registry.histogram(
                "h\(edges.count)_\(edges[1])".replacing(".", with: "_"), "", edges: edges)
            for edge in edges { histogram.observe(edge) }
            histogram.observe(.nan)
            histogram.observe(1e9)
            #expect(histogram.count == UInt64(edges.count + 1))
        }
        #expect(BucketEdges.endToEnd.last == 7680)
        #expect(BucketEdges.firstToken.first == 0.001 && BucketEdges.interToken.first == 0.001)
    }

    @Test("threads lose no count")
    func threads() {
        let counter = registry.counter("t_total", "")
        let gauge = registry.gauge("g", "")
        let histogram = registry.histogram("h", "", edges: [1])
        DispatchQueue.concurrentPerform(iterations: 4) { _ in
            for _ in 0..<1000 {
                counter.add()
                gauge.add(1)
                histogram.observe(0.5)
            }
        }
        #expect(counter.value == 4000)
        #expect(gauge.value == 4000)
        #expect(histogram.count == 4000)
    }

    private static let corpusFolder = "conformance/prometheus-expfmt/expfmt/fuzz/corpus"

    /// Proves the reader: it takes what the reference reader takes and refuses what that refuses.
    @Test(
        "the strict reader agrees with the reference on its corpus",
        .enabled(if: Fixtures.has(corpusFolder), "fixtures folder is absent"))
    func corpus() throws {
        let files = try FileManager.default.contentsOfDirectory(
            at: Fixtures.url(Self.corpusFolder), includingPropertiesForKeys: nil)
        #expect(files.count >= 25)
        for file in files {
            let text = String(decoding: try Data(contentsOf: file), as: UTF8.self)
            let isError = file.lastPathComponent.contains("error")
            let accepted = (try? PrometheusParser(text)) != nil
            #expect(accepted != isError, "\(file.lastPathComponent): \(text)")
        }
    }
}
