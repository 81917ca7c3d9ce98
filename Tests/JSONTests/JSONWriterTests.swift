import Foundation
import JSON
import TestSupport
import Testing

@Suite("Writing JSON")
struct JSONWriterTests {
    private func text(_ write: (inout JSONWriter) -> Void) -> String {
        var writer = JSONWriter()
        write(&writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    @Test("commas come by themselves")
    func structure() {
        let document = text { writer in
            writer.beginObject()
            writer.key("a")
            writer.beginArray()
            writer.integer(1)
            writer.beginObject()
            writer.endObject()
            writer.beginArray()
            writer.endArray()
            writer.null()
            writer.bool(false)
            writer.endArray()
            writer.key("b" + "\n")
            writer.raw(Array("[0]".utf8))
            writer.key("c")
            writer.string("x")
            writer.endObject()
        }
        #expect(document == #"{"a":[1,{},[],null,false],"b\n":[0],"c":"x"}"#)
    }

    @Test("strings are escaped where they must be, and nowhere else")
    func escapes() {
        #expect(
            text { $0.string("a\"b\\c/d\n\r\t\u{8}\u{C}\u{1}\u{1F}\u{7F}é😀") }
                == "\"a\\\"b\\\\c/d\\n\\r\\t\\b\\f\\u0001\\u001f\u{7F}é😀\"")
        #expect(text { $0.string("") } == "\"\"")
    }

    @Test("integers of every width", arguments: [0, 7, 10, -1, 99, 100, 1234567890, .max, .min] as [Int])
    func integers(value: Int) {
        #expect(text { $0.integer(value) } == String(value))
        #expect(text { $0.integer(Int64(value)) } == String(value))
    }

    @Test("the largest unsigned integers")
    func unsigned() {
        #expect(text { $0.integer(UInt64.max) } == "18446744073709551615")
        #expect(text { $0.integer(UInt8(200)) } == "200")
        #expect(text { $0.integer(UInt128.max) } == String(UInt128.max))
    }

    @Test("doubles read back as the same number; what JSON cannot write is null")
    func doubles() throws {
        for value in [0.1, 1, -2.5, 1e300, .leastNonzeroMagnitude, 1e21, 1.0 / 3] {
            let written = text { $0.double(value) }
            #expect(try JSONValue.parse(written).doubleValue == value)
        }
        #expect(text { $0.float(0.1) } == "0.1")
        for value in [Double.nan, .infinity, -.infinity] { #expect(text { $0.double(value) } == "null") }
    }

    @Test("a buffer that is handed in is appended to")
    func reuse() {
        var writer = JSONWriter(reusing: Array("data: ".utf8))
        writer.beginArray()
        writer.endArray()
        #expect(String(decoding: writer.bytes, as: UTF8.self) == "data: []")
    }

    @Test("another reader reads what is written")
    func foundation() throws {
        let seed: UInt64 = 7
        var random = SeededRandom(seed: seed)
        for _ in 0..<200 {
            let string = String(
                String.UnicodeScalarView(
                    (0..<20).compactMap { _ in
                        Unicode.Scalar(UInt32.random(in: 0...0x2FFF, using: &random))
                    }))
            let bytes = JSONValue.array([.string(string)]).serialized
            let read = try JSONSerialization.jsonObject(with: Data(bytes)) as? [String]
            #expect(read?.first.map { Array($0.utf8) } == Array(string.utf8), "seed \(seed)")
        }
    }
}
