import Foundation
import TestSupport
import Testing

@testable import HTTPServer

/// The request cases of llhttp: where its strict parser and ours differ, the list below says so and why.
@Suite struct LLHTTPCasesTests {
    private static let folder = "conformance/llhttp-md/test/request"

    /// Cases that llhttp reads and we refuse.
    private static let refusedHere: [String: String] = [
        "uri.md/Quotes in URI": "RFC 3986 has no quotes in a path",
        "uri.md/Query URL with vertical bar character": "nor a vertical bar",
        "uri.md/Fragment in URI": "a fragment is never sent",
        "uri.md/Host terminated by a query string": "only paths are served",
        "uri.md/`host:port` terminated by a query string": "only paths are served",
        "uri.md/`host:port` terminated by a space": "only paths are served",
        "uri.md/`host:port` and basic auth": "only paths are served",
        "uri.md/Underscore in hostname": "no CONNECT",
        "method.md/CONNECT request": "no CONNECT",
        "method.md/CONNECT request with CAPS": "no CONNECT",
        "method.md/CONNECT with body": "no CONNECT",
        "method.md/M-SEARCH request": "an asterisk only with OPTIONS",
        "method.md/PRI request HTTP2": "no HTTP/2",
        "method.md/SOURCE request with ICE": "no other protocol",
        "method.md/OPTIONS request with RTSP": "no other protocol",
        "method.md/ANNOUNCE request with RTSP": "no other protocol",
        "sample.md/No HTTP version": "no HTTP/0.9",
        "sample.md/Firefox GET": "its Host has an equals sign",
        "sample.md/curl GET": "its Host has an equals sign",
        "transfer-encoding.md/Trailing headers": "a type comes too late in a trailer",
        "transfer-encoding.md/POST with `chunked` as last transfer-encoding": "no coding but chunked",
        "transfer-encoding.md/POST with `chunked` as last transfer-encoding (multiple headers)":
            "no coding but chunked",
    ]

    /// Cases that llhttp refuses and we read.
    private static let readHere: [String: String] = [
        "invalid.md/HTTP protocol and ANNOUNCE method": "methods are for the handler to judge",
        "invalid.md/Invalid method": "methods are for the handler to judge",
        "connection.md/No restart when keep-alive is off (1.0)": "the connection, not the parser, ends it",
    ]

    private struct Case {
        let name: String
        let isReadThere: Bool
        let bytes: [UInt8]
    }

    @Test(.enabled(if: Fixtures.has(Self.folder), "fixtures folder is absent"))
    func requestsAreReadAndRefusedAsListed() throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: Fixtures.url(Self.folder).path).sorted()
        let cases = try files.flatMap { file in
            try Self.cases(file, String(contentsOf: Fixtures.url("\(Self.folder)/\(file)"), encoding: .utf8))
        }
        #expect(cases.count > 100)
        var unused = Set(Self.refusedHere.keys).union(Self.readHere.keys)
        for probe in cases {
            let expected: Bool
            if Self.refusedHere[probe.name] != nil || Self.readHere[probe.name] != nil {
                expected = Self.readHere[probe.name] != nil
                unused.remove(probe.name)
            } else {
                expected = probe.isReadThere
            }
            // llhttp refuses within a line, we when it is complete.
            let bytes = expected ? probe.bytes : probe.bytes + Array("\r\n\r\n".utf8)
            var isRead = true
            if case .refused? = parse(bytes).last { isRead = false }
            #expect(
                isRead == expected, "\(probe.name): \(String(decoding: probe.bytes, as: UTF8.self).debugDescription)")
        }
        #expect(unused.isEmpty)
    }

    /// Each case is a heading, a line with its kind, the bytes and the expected log.
    private static func cases(_ file: String, _ text: String) throws -> [Case] {
        let pattern = try Regex(
            #"(?ms)^#+ ([^\n]*)\n(?:(?!^#)[^\n]*\n)*?<!--\s*meta=([^\n]*?)-->\n+```http\n(.*?)```\n(?:(?!```)[^\n]*\n)*```log\n(.*?)```"#
        )
        return text.matches(of: pattern).compactMap { match in
            func part(_ index: Int) -> String { match.output[index].substring.map(String.init) ?? "" }
            // What a special mode lets through is nothing that we have to take.
            if part(2).contains("lenient") { return nil }
            // Codes 21 to 23 are pauses, not errors.
            let isRead = part(4).matches(of: #/error code=(\d+)/#).allSatisfy { ["21", "22", "23"].contains($0.1) }
            return Case(
                name: "\(file)/\(part(1))", isReadThere: isRead, bytes: withHosts(bytes(part(3))))
        }
    }

    /// The files write CRLF as a line end, other bytes as escapes, and one line end too many.
    private static func bytes(_ text: String) -> [UInt8] {
        var lines = text.replacing("\\\n", with: "")
        if lines.hasSuffix("\n") { lines.removeLast() }
        lines = lines.replacing("\n", with: "\r\n")
        for (escape, byte) in [("\\r", "\r"), ("\\n", "\n"), ("\\t", "\t"), ("\\f", "\u{C}")] {
            lines = lines.replacing(escape, with: byte)
        }
        var bytes: [UInt8] = []
        var rest = Substring(lines)
        while let escape = rest.firstMatch(of: #/\\x([0-9a-fA-F]{2})/#) {
            bytes += rest[..<escape.range.lowerBound].utf8
            bytes.append(UInt8(escape.1, radix: 16) ?? 0)
            rest = rest[escape.range.upperBound...]
        }
        return bytes + rest.utf8
    }

    /// Most cases have no Host, which we ask for: the first line of each head without one gets it.
    private static func withHosts(_ bytes: [UInt8]) -> [UInt8] {
        // One scalar per byte, because not all of it is UTF-8.
        let text = String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
        guard text.firstMatch(of: #/(?i)\r\nhost:/#) == nil else { return bytes }
        let completed = text.replacing(#/(?m)(^[A-Z-]+ [^\r\n]* HTTP\/1\.[01]\r\n)/#) { "\($0.1)Host: a\r\n" }
        return completed.unicodeScalars.map { UInt8($0.value) }
    }
}
