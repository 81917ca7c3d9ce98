import JSON
import TestSupport
import Testing

@Suite("Reading JSON")
struct JSONReaderTests {
    @Test("members keep their order and numbers their text")
    func order() throws {
        let value = try JSONValue.parse(#" {"b": 1.50, "a": [true, null, "x"], "é": -0} "#)
        let object = try #require(value.objectValue)
        #expect(object.members.map(\.key) == ["b", "a", "é"])
        #expect(value["b"]?.numberValue?.text == "1.50")
        #expect(value["a"] == .array([.bool(true), .null, .string("x")]))
        #expect(value["é"]?.doubleValue == 0)
        #expect(value["missing"] == nil)
    }

    @Test(
        "errors name the byte position",
        arguments: [
            ("", 0, JSONError.Reason.unexpectedEnd),
            ("[1,]", 3, .unexpectedByte(UInt8(ascii: "]"), expected: "a value")),
            ("[1 2]", 3, .unexpectedByte(UInt8(ascii: "2"), expected: "',' or ']'")),
            ("{\"a\" 1}", 5, .unexpectedByte(UInt8(ascii: "1"), expected: "':'")),
            ("{\"a\":1,}", 7, .unexpectedByte(UInt8(ascii: "}"), expected: "a key in quotes")),
            ("{\"a\":1,\"a\":2}", 7, .duplicateKey("a")),
            ("nul", 3, .unexpectedEnd),
            ("nulk", 3, .unexpectedByte(UInt8(ascii: "k"), expected: "null")),
            ("1 1", 2, .trailingBytes),
            ("01", 1, .invalidNumber),
            ("[-]", 2, .invalidNumber),
            ("1.", 2, .unexpectedEnd),
            ("\"abc", 4, .unexpectedEnd),
            ("\"abc\\", 5, .unexpectedEnd),
            ("\"a\\x\"", 2, .invalidEscape),
            ("\"a\\u12G4\"", 2, .invalidEscape),
            ("\"ab\\uD800\"", 3, .loneSurrogate),
            ("\"\\uDC00\\uD800\"", 1, .loneSurrogate),
            ("\"\\uD800\\u0041\"", 1, .loneSurrogate),
            ("\"12345678\u{1}\"", 9, .controlCharacter(1)),
            ("\u{FEFF}{}", 0, .unexpectedByte(0xEF, expected: "a value")),
        ])
    func errors(text: String, offset: Int, reason: JSONError.Reason) {
        #expect(throws: JSONError(offset: offset, reason: reason)) { try JSONValue.parse(text) }
    }

    @Test("the description of an error says where and what")
    func description() {
        let error = JSONError(offset: 7, reason: .duplicateKey("model"))
        #expect(error.description == #"invalid JSON at byte 7: the key "model" appears twice in one object"#)
    }

    @Test(
        "escapes become characters",
        arguments: [
            (#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{C}\n\r\t"), (#""\u0041\u00e9\u20AC""#, "Aé€"),
            (#""\uD83D\uDE00!""#, "😀!"), (#""a\u0000b""#, "a\u{0}b"),
            (#""long enough to scan by words \n é""#, "long enough to scan by words \n é"),
        ])
    func escapes(text: String, expected: String) throws {
        #expect(try JSONValue.parse(text).stringValue.map { Array($0.utf8) } == Array(expected.utf8))
    }

    @Test(
        "bytes that are no UTF-8 are refused at their place",
        arguments: [
            [0xFF], [0xC0, 0x80], [0xC3], [0xE0, 0x9F, 0xBF], [0xED, 0xA0, 0x80], [0xF0, 0x8F, 0xBF, 0xBF],
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82], [0x80], [0xE2, 0x28, 0xA1],
        ] as [[UInt8]])
    func invalidUTF8(bytes: [UInt8]) {
        for padding in [0, 3, 8, 21] {
            let document = [0x22] + [UInt8](repeating: 0x61, count: padding) + bytes + [0x22]
            #expect(throws: JSONError(offset: 1 + padding, reason: .invalidUTF8)) { try JSONValue.parse(document) }
        }
    }

    @Test("keys that Swift calls equal but differ in bytes are two keys")
    func exactKeys() throws {
        let value = try JSONValue.parse("{\"\u{E9}\": 1, \"e\u{301}\": 2, \"\u{212A}\": 3}")
        #expect(value["\u{E9}"]?.int64Value == 1)
        #expect(value["e\u{301}"]?.int64Value == 2)
        #expect(value["K"] == nil)
    }

    @Test("a duplicate key is found among few and many members, or the last wins")
    func duplicateKeys() throws {
        for count in [1, 15, 16, 17, 200] {
            let members = (0..<count).map { "\"k\($0)\": \($0)" } + ["\"k0\": -1"]
            let text = "{" + members.joined(separator: ",") + "}"
            #expect(throws: JSONError.self) { try JSONValue.parse(text) }
            let value = try JSONValue.parse(text, duplicateKeys: .lastWins)
            #expect(value.objectValue?.members.count == count)
            #expect(value.objectValue?.members.first?.value.int64Value == -1)
        }
    }

    @Test("limits hold: depth, length, count")
    func limits() throws {
        let nested = { (depth: Int) in String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
        _ = try JSONValue.parse(nested(128))
        #expect(throws: JSONError(offset: 128, reason: .tooDeep(limit: 128))) { try JSONValue.parse(nested(129)) }
        #expect(throws: JSONError(offset: 512, reason: .tooDeep(limit: 512))) {
            try JSONValue.parse(nested(100_000), limits: JSONLimits(depth: 1_000_000))
        }
        #expect(throws: JSONError(offset: 4, reason: .tooLong(bytes: 5, limit: 4))) {
            try JSONValue.parse("[1,2]", limits: JSONLimits(bytes: 4))
        }
        #expect(throws: JSONError(offset: 5, reason: .tooManyValues(limit: 3))) {
            try JSONValue.parse("[1,2,3]", limits: JSONLimits(values: 3))
        }
    }

    @Test("mutated documents never trap, and what is accepted reads back the same")
    func mutations() throws {
        let seed: UInt64 = 20_261_121
        var random = SeededRandom(seed: seed)
        let base = Array(
            #"{"messages":[{"role":"user","content":"h\u00e9 \uD83D\uDE00 ok"}],"n":1.5e2,"t":[true,null]}"#.utf8)
        for _ in 0..<5_000 {
            var bytes = base
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                default: bytes.insert(bytes[Int.random(in: 0..<bytes.count, using: &random)], at: place)
                }
            }
            guard let value = try? JSONValue.parse(bytes) else { continue }
            #expect(try JSONValue.parse(value.serialized) == value)
        }
    }
}
