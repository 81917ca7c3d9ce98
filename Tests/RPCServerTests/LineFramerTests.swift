import Testing

@testable import RPCServer

@Suite("Lines") struct LineFramerTests {
    private func lines(_ pieces: [[UInt8]], limit: Int = 100) -> [LineFramer.Line] {
        var framer = LineFramer(limit: limit)
        var lines: [LineFramer.Line] = []
        for piece in pieces {
            piece.withUnsafeBytes { framer.append($0) }
            while let line = framer.next() { lines.append(line) }
        }
        return lines
    }

    @Test("messages are the same wherever the bytes are cut")
    func cuts() {
        let bytes = Array("{\"a\":1}\r\n\n \t\n[2]\n\n\"three\"\n{\"unfinished\"".utf8)
        let whole = lines([bytes])
        #expect(
            whole == [
                .message(Array("{\"a\":1}\r".utf8)), .message(Array("[2]".utf8)), .message(Array("\"three\"".utf8)),
            ])
        for first in 0...bytes.count {
            for second in stride(from: first, through: bytes.count, by: 5) {
                let pieces = [Array(bytes[..<first]), Array(bytes[first..<second]), Array(bytes[second...])]
                #expect(lines(pieces) == whole, "cut at \(first) and \(second)")
            }
        }
        #expect(lines(bytes.map { [$0] }) == whole)
    }

    @Test("a line over the limit is told once, and nothing after it is a message")
    func tooLong() {
        let long = [UInt8](repeating: 0x61, count: 11)
        #expect(
            lines([Array("ok\n".utf8) + long + Array("\nmore\n".utf8)], limit: 10) == [
                .message(Array("ok".utf8)), .tooLong,
            ])
        #expect(lines([long, Array("b".utf8)], limit: 10) == [.tooLong], "it need not have an end")
        #expect(lines([Array(long.dropLast()) + [0x0A]], limit: 10) == [.message(Array(long.dropLast()))])
    }

    @Test("what has not been taken is counted")
    func held() {
        var framer = LineFramer(limit: 100)
        Array("abc\nde".utf8).withUnsafeBytes { framer.append($0) }
        #expect(framer.heldBytes == 6)
        #expect(framer.next() == .message(Array("abc".utf8)))
        #expect(framer.next() == nil)
        #expect(framer.heldBytes == 2)
    }
}
