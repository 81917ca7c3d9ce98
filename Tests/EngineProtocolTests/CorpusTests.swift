import EngineProtocol
import Foundation
import TestSupport
import Testing

/// What the fuzzer has found to reach different code, tried with each test run.
@Suite struct CorpusTests {
    @Test("every input of the corpus is refused, or encodes to the same bytes again")
    func corpus() throws {
        let file = Fixtures.packageRoot.appendingPathComponent("Tests/Fuzz/corpus.txt")
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
        #expect(lines.count > 100)
        var decodedCount = 0
        for line in lines {
            let input = try #require(Self.bytes(line))
            // The first byte says what the rest is taken for.
            guard input.first == 0, let message = try? decode(Array(input.dropFirst())) else { continue }
            decodedCount += 1
            let bytes = Array(input.dropFirst())
            let again = try encode(message, payloadChecksum: bytes[5] & 2 != 0)
            if bytes[5] & 8 == 0 { #expect(again == bytes) }
        }
        #expect(decodedCount > 10)
    }

    private static func bytes(_ line: Substring) -> [UInt8]? {
        let digits = Array(line.utf8)
        let bytes = stride(from: 0, to: digits.count - 1, by: 2).map {
            UInt8(String(decoding: digits[$0...$0 + 1], as: UTF8.self), radix: 16)
        }
        return bytes.contains(nil) ? nil : bytes.compactMap { $0 }
    }
}
