import TestSupport
import Testing

@testable import HTTPServer

@Suite struct HTTPParserTests {
    @Test(arguments: RequestCases.accepted)
    func aValidRequestIsRead(probe: AcceptedCase) {
        #expect(parse(probe.text) == probe.results)
    }

    @Test(arguments: RequestCases.refused)
    func aBadRequestIsRefused(probe: RefusedCase) throws {
        let last = parse(probe.text, limits: probe.limits).last
        guard case .refused(let refusal)? = last else {
            Issue.record("not refused: \(last?.description ?? "nothing")")
            return
        }
        #expect(refusal.code == probe.code, "\(refusal)")
        #expect(refusal.status == probe.status)
        #expect(refusal.header == probe.header)
        #expect(refusal.message.hasSuffix("."))
    }

    @Test func theResultDoesNotDependOnHowTheBytesAreCut() {
        let cases =
            RequestCases.accepted.map { ($0.text, HTTPLimits()) } + RequestCases.refused.map { ($0.text, $0.limits) }
        for (text, limits) in cases {
            let bytes = Array(text.utf8)
            let whole = parse(bytes, limits: limits)
            #expect(parse(bytes, cuts: Array(0...bytes.count), limits: limits) == whole, "byte by byte: \(text)")
            for cut in 0...bytes.count where parse(bytes, cuts: [cut], limits: limits) != whole {
                Issue.record("cut at \(cut): \(text.debugDescription)")
            }
        }
    }

    @Test func everySizeMayBeAsLargeAsItsLimit() {
        let limits = RequestCases.tight
        // The empty line at the end is no field and does not count.
        let line = "POST /\(String(repeating: "a", count: 25)) HTTP/1.1"
        #expect(line.utf8.count == limits.requestLineBytes)
        let field = "X: \(String(repeating: "a", count: 27))"
        #expect(field.utf8.count == limits.headerFieldBytes)
        let rest = "Host: a\r\nContent-Length: 10\r\nY: aaaaa\r\n\r\n"
        #expect((field + "\r\n" + rest).utf8.count <= limits.headerBytes)
        let results = parse("\(line)\r\n\(field)\r\n\(rest)0123456789", limits: limits)
        #expect(results.count == 2, "\(results)")
        let padding = limits.headerBytes - (field + "\r\n" + rest).utf8.count + 2
        let full = rest.replacing("aaaaa", with: String(repeating: "a", count: 5 + padding))
        #expect(parse("\(line)\r\n\(field)\r\n\(full)0123456789", limits: limits).count == 2)
        let over = rest.replacing("aaaaa", with: String(repeating: "a", count: 6 + padding))
        #expect(parse("\(line)\r\n\(field)\r\n\(over)0123456789", limits: limits).count == 1)
    }

    @Test func theDefaultLimitsAreTheDocumentedOnes() {
        func refusal(_ text: String) -> Int? {
            if case .refused(let refusal)? = parse(text).last { refusal.status } else { nil }
        }
        let end = " HTTP/1.1\r\nHost: a\r\n\r\n"
        #expect(refusal("GET /\(String(repeating: "a", count: 4000 - 14))\(end)") == nil)
        #expect(refusal("GET /\(String(repeating: "a", count: 4000 - 13))\(end)") == 414)
        let get = "GET / HTTP/1.1\r\nHost: a\r\n"
        #expect(refusal("\(get)X: \(String(repeating: "a", count: 7997))\r\n\r\n") == nil)
        #expect(refusal("\(get)X: \(String(repeating: "a", count: 7998))\r\n\r\n") == 431)
        #expect(refusal(get + String(repeating: "X: a\r\n", count: 99) + "\r\n") == nil)
        #expect(refusal(get + String(repeating: "X: a\r\n", count: 100) + "\r\n") == 431)
        let large = "X: \(String(repeating: "a", count: 7900))\r\n"
        #expect(refusal(get + String(repeating: large, count: 8) + "\r\n") == nil)
        #expect(refusal(get + String(repeating: large, count: 9) + "\r\n") == 431)
        #expect(refusal("\(get)Content-Length: 33554432\r\n\r\n") == nil)
        #expect(refusal("\(get)Content-Length: 33554433\r\n\r\n") == 413)
    }

    @Test func anAnnouncedBodyThatNeverComesTakesNoMemory() {
        var parser = HTTPParser()
        let head = Array("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 33554432\r\n\r\nab".utf8)
        let (used, _) = head.withUnsafeBytes { parser.consume($0) }
        #expect(used == head.count - 2)
        #expect(parser.bodyBytesHeld == 0)
        #expect(parser.phase == .body)
        _ = head[used...].withUnsafeBytes { parser.consume($0) }
        #expect(parser.bodyBytesHeld == 2)
    }

    @Test func thePhaseTellsWhatIsMissing() {
        var parser = HTTPParser()
        var phases = [parser.phase]
        for piece in ["\r\n", "G", "ET / HTTP/1.1\r\n", "Host: a\r\n", "\r\n", "POST / HTTP/2.0\r\n"] {
            _ = Array(piece.utf8).withUnsafeBytes { parser.consume($0) }
            phases.append(parser.phase)
        }
        #expect(phases == [.idle, .head, .head, .head, .head, .idle, .refused])
    }

    @Test func aRefusalNeverRepeatsTheRequest() {
        for probe in RequestCases.refused {
            let text = probe.text.replacing("a", with: "sEcReT")
            for case .refused(let refusal) in parse(text, limits: probe.limits) {
                #expect(!refusal.description.contains("sEcReT"))
            }
        }
    }

    @Test func anyBytesGiveTheSameResultWholeAndInPieces() {
        let seed: UInt64 = 0x5EED_0002
        var random = SeededRandom(seed: seed)
        var mutator = RequestMutator(seed: seed)
        for _ in 0..<3000 {
            let bytes = mutator.next()
            let cuts = (0..<3).map { _ in Int.random(in: 0...bytes.count, using: &random) }.sorted()
            #expect(
                parse(bytes, limits: RequestCases.tight) == parse(bytes, cuts: cuts, limits: RequestCases.tight),
                "seed \(seed), cuts \(cuts): \(String(decoding: bytes, as: UTF8.self).debugDescription)")
        }
    }
}

@Suite struct HTTPHeaderTests {
    @Test func aFieldIsFoundInAnyCaseAndTheFirstOneCounts() {
        let request = HTTPRequest(
            method: "GET", path: "/", headers: [HTTPHeader("X-A", "1"), HTTPHeader("x-a", "2"), HTTPHeader("B", "")])
        #expect(request.header("x-a") == "1")
        #expect(request.header("X-A") == "1")
        #expect(request.header("b") == "")
        #expect(request.header("c") == nil)
        #expect(request.headers.map(\.name) == ["x-a", "x-a", "b"])
    }
}
