import Foundation
import JSON
import Testing

@testable import Observability

@Suite("The log")
struct LoggerTests {
    private let sink = MemorySink()

    private func logger(_ format: LogFormat = .json, level: LogLevel = .info) -> Logger {
        Logger(component: "gateway", level: level, sink: sink, format: format) { 1_795_250_769_123_456_789 }
    }

    @Test("an event is one JSON object on one line, with typed fields and the request's id")
    func json() {
        logger().info(
            "model.ready", .string("model", "a \"b\"\n"), .int("context", 4096), .int("big", UInt64.max),
            .double("seconds", 0.5), .bool("demo", true), requestID: "req-1")
        let head = #"{"time":"2026-11-21T08:46:09.123Z","level":"info","component":"gateway","event":"model.ready","#
        let rest =
            #""request_id":"req-1","model":"a \"b\"\n","context":4096,"big":18446744073709551615,"#
            + #""seconds":0.5,"demo":true}"#
        #expect(sink.lines == [head + rest])
    }

    @Test("the text form is for people, and nothing in a field can steer a terminal")
    func text() {
        logger(.text(coloured: false)).warning(
            "worker.ended", .string("reason", "killed by signal 9"), .string("model", "m"),
            .string("odd", "\u{1B}[31m\n\"\u{202E}"), requestID: "r")
        #expect(
            sink.lines == [
                "08:46:09.123 WARN  gateway worker.ended reason=\"killed by signal 9\" model=m "
                    + "odd=\"\\u{1b}[31m\\n\\\"\\u{202e}\" request_id=r"
            ])
        logger(.text(coloured: true)).error("x")
        #expect(sink.lines[1] == "08:46:09.123 \u{1B}[31mERROR\u{1B}[0m gateway x")
    }

    @Test("levels below the least are not written", arguments: LogLevel.allCases)
    func levels(least: LogLevel) {
        let logger = logger(level: least)
        logger.trace("e")
        logger.debug("e")
        logger.info("e")
        logger.warning("e")
        logger.error("e")
        #expect(sink.lines.count == LogLevel.allCases.filter { $0 >= least }.count)
        #expect(LogLevel(name: least.name) == least)
    }

    @Test("a reader that stops costs lines and no time, and learns how many")
    func stoppedReader() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        let logger = Logger(component: "gateway", sink: DescriptorSink(ends[1]))
        let text = String(repeating: "x", count: 1000)
        for _ in 0..<1000 { logger.info("e", .string("text", text)) }
        var lines: [JSONValue] = []
        var rest: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        func receive() throws {
            rest += buffer[..<max(0, read(ends[0], &buffer, buffer.count))]
            while let end = rest.firstIndex(of: 0x0A) {
                // What was cut off is a line too, but no JSON.
                if let line = try? JSONValue.parse(Array(rest[..<end])) { lines.append(line) }
                rest.removeSubrange(...end)
            }
        }
        try receive()
        let whole = lines.count
        #expect((10..<1000).contains(whole))
        logger.info("last")
        try receive()
        #expect(lines.dropFirst(whole).compactMap { $0["event"]?.stringValue } == ["log.lines_dropped", "last"])
        #expect(lines[whole]["lines"]?.serializedText == String(1000 - whole))
    }

    @Test("a level that is changed holds for every copy of the log")
    func changedLevel() {
        let logger = logger(level: .error)
        let copy = logger.named("http")
        copy.info("unheard")
        logger.setLevel(.info)
        copy.info("heard")
        #expect(copy.level == .info)
        #expect(sink.lines.count == 1)
    }

    @Test("a long field is cut between characters, with its loss marked")
    func longField() throws {
        logger().info("e", .string("text", String(repeating: "é", count: 20_000)))
        let value = try JSONValue.parse(sink.lines[0])["text"]?.stringValue
        #expect(value == String(repeating: "é", count: 8192) + "…")
    }

    @Test("a worker's line keeps its own time, level and component, and takes this log's form")
    func relayLine() {
        let line =
            #"{"time":"2026-11-21T08:00:00.001Z","level":"warning","component":"worker","event":"e","n":1,"x":[1]}"#
        logger().relay(line: Array(line.utf8), .string("model", "m"))
        #expect(
            sink.lines == [
                #"{"time":"2026-11-21T08:00:00.001Z","level":"warning","component":"worker","event":"e","n":1,"model":"m"}"#
            ])
        logger(level: .error).relay(line: Array(line.utf8))
        #expect(sink.lines.count == 1)
    }

    @Test(
        "whatever else a worker writes becomes the text of a warning", arguments: ["Fatal error: x", "{", "{}", "[1]"])
    func relayOther(text: String) throws {
        logger().relay(line: Array(text.utf8))
        let value = try JSONValue.parse(sink.lines[0])
        #expect(value["event"]?.stringValue == "worker.stderr")
        #expect(value["level"]?.stringValue == "warning")
        #expect(value["text"]?.stringValue == text)
    }

    @Test("dates agree with Foundation's")
    func dates() throws {
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        for seconds in [0, 951_782_400, 951_868_800, 1_709_164_799, 4_102_444_800, 13_569_465_600, 1_795_250_769] {
            let sink = MemorySink()
            let logger = Logger(component: "c", level: .info, sink: sink) { UInt64(seconds) * 1_000_000_000 }
            logger.info("e")
            let time = try JSONValue.parse(sink.lines[0])["time"]?.stringValue
            #expect(time == Date(timeIntervalSince1970: Double(seconds)).formatted(style))
            logger.relay(line: Array(sink.lines[0].utf8))
            #expect(sink.lines[1] == sink.lines[0], "reading a time back gives the same time")
        }
    }
}
