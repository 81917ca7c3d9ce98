import Tensors
import TestSupport
import Testing

@testable import ModelFiles

@Suite struct GGUFFileTests {
    @Test(arguments: [UInt32(2), 3]) func `Every metadata type comes back`(version: UInt32) throws {
        var writer = sampleWriter()
        writer.version = version
        let metadata = try read(writer).metadata
        #expect(metadata.entries.map(\.key) == writer.metadata.map(\.key))
        #expect(metadata.uint("u8") == 200 && metadata.int("i8") == -100)
        #expect(metadata.uint("u16") == 60_000 && metadata.int("i16") == -30_000)
        #expect(metadata.uint("u32") == 4_000_000_000 && metadata.int("i32") == -2_000_000_000)
        #expect(metadata.uint("u64") == .max && metadata.int("u64") == nil)
        #expect(metadata.int("i64") == .min && metadata.uint("i64") == nil)
        #expect(metadata.float("f32") == 1.5 && metadata.float("f64") == 0.1)
        #expect(metadata.bool("yes") == true && metadata.bool("no") == false)
        #expect(metadata.string("text") == "grüße" && metadata.string("broken") == "a\u{FFFD}b")
        #expect(metadata.text("broken")?.byteCount == 3)
        #expect(metadata["absent"] == nil && metadata.string("u8") == nil && metadata["u8"]?.type == .uint8)
    }

    @Test func `Arrays are views with random access`() throws {
        let metadata = try read(sampleWriter()).metadata
        let words = try #require(metadata.array("words"))
        #expect(words.count == 100 && words.elementType == .string)
        for index in [99, 0, 15, 16, 17, 31, 32, 64] {
            #expect(words.string(index) == word(index))
            #expect(words.stringBytes(index) == Array(word(index).utf8))
            words.withBytes(ofString: index) { bytes in #expect(bytes.elementsEqual(word(index).utf8)) }
        }
        var visited: [String] = []
        words.forEachString { index, bytes in visited.append(String(decoding: bytes, as: UTF8.self)) }
        #expect(visited == (0..<100).map(word))
        let numbers = try #require(metadata.array("numbers"))
        #expect((0..<3).map { numbers.integer($0) } == [-1, 0, 7] && numbers.double(2) == 7 && numbers.bool(0) == nil)
        let nested = try #require(metadata.array("nested"))
        #expect(nested.array(1)?.integer(0) == 3 && nested.count == 2 && nested.integer(0) == nil)
        #expect(metadata.array("empty")?.count == 0)
    }

    @Test func `A vocabulary of 150,000 strings is a view with a small index`() throws {
        var writer = GGUFWriter()
        writer.set("tokens", .strings((0..<150_000).map { "token \($0)" }))
        let tokens = try #require(try read(writer).metadata.array("tokens"))
        #expect(tokens.stringIndex.count == 150_000 / GGUFArray.stride)
        #expect(tokens.string(149_999) == "token 149999" && tokens.string(77_777) == "token 77777")
        var visited = 0
        tokens.forEachString { index, bytes in if bytes.elementsEqual("token \(index)".utf8) { visited += 1 } }
        #expect(visited == 150_000)
    }

    @Test func `Tensors are placed behind the aligned header`() throws {
        let file = try read(sampleWriter())
        #expect(file.tensors.map(\.name) == ["a", "b"])
        let a = try #require(file.tensor(named: "a"))
        let b = try #require(file.tensor(named: "b"))
        #expect(a.dimensions == [3, 2] && a.type == .f32 && a.byteCount == 24 && a.elementCount == 6)
        #expect(b.type == .q8_0 && b.byteCount == 34 && a.offset % 32 == 0 && b.offset == a.offset + 32)
        #expect(file.bytes(of: b).elementsEqual((0..<34).map { UInt8($0) }))
        #expect(file.tensor(named: "c") == nil)
    }

    @Test func `The alignment of the file is used`() throws {
        var writer = sampleWriter()
        writer.alignment = 4096
        writer.set("general.alignment", .uint32(4096))
        let file = try read(writer)
        #expect(file.tensors.map(\.offset) == [4096, 8192])
    }

    @Test func `Every prefix of a file is refused`() {
        let bytes = sampleWriter().bytes()
        let end = sampleWriter().header().count
        for length in 0..<end + 8 {
            #expect(throws: ModelFileError.self, "\(length) bytes") {
                try GGUFFile(parts: [GGUFBytes(copying: Array(bytes[..<length]))])
            }
        }
    }

    @Test(arguments: Damage.all) func `A nonsense file gives an error that names the place`(damage: Damage) throws {
        var writer = sampleWriter()
        damage.change(&writer)
        let error = #expect(throws: ModelFileError.self) { try read(writer) }
        let description = error.map(\.description) ?? ""
        #expect(description.contains(damage.reason) && description.contains("offset"), "\(description)")
    }

    @Test func `Counts larger than the file are refused before anything is allocated`() {
        for place in [8, 16] {
            for count in [UInt64.max, 1 << 62, 1 << 40, 60_000] {
                var bytes = sampleWriter().bytes()
                bytes.replaceSubrange(place..<place + 8, with: littleEndian(count))
                #expect(throws: ModelFileError.self) { try GGUFFile(parts: [GGUFBytes(copying: bytes)]) }
            }
        }
    }

    @Test func `Limits are named with their value`() {
        var limits = GGUFLimits()
        limits.metadataEntries = 2
        let error = #expect(throws: ModelFileError.self) {
            try GGUFFile(parts: [GGUFBytes(copying: sampleWriter().bytes())], limits: limits)
        }
        #expect(error?.description.contains("metadata entry count") == true)
        #expect(error?.description.contains("the limit is 2") == true)
    }
}

/// A way to spoil the sample file, and what the error must say.
struct Damage: Sendable, CustomTestStringConvertible {
    let reason: String
    let change: @Sendable (inout GGUFWriter) -> Void
    var testDescription: String { reason }

    static let all: [Damage] = [
        Damage(reason: "a metadata key occurs twice: \"u8\"") { $0.metadata.append(("u8", .bool(true))) },
        Damage(reason: "tensor \"a\" occurs twice") { $0.tensors[1].name = "a" },
        Damage(reason: "overlap") { $0.tensors[1].offset = 0 },
        Damage(reason: "is not aligned to 32 bytes") { $0.tensors[1].offset = 40 },
        Damage(reason: "but the data has only") { $0.tensors[1].offset = 1 << 40 },
        Damage(reason: "but the data has only") { $0.tensors[0].dimensions = [3, 200] },
        Damage(reason: "overflows") { $0.tensors[0].dimensions = [1 << 62, 8] },
        Damage(reason: "overflows") { $0.tensors[0].dimensions = [1 << 40, 1 << 40, 1 << 40] },
        Damage(reason: "has a dimension of 0") { $0.tensors[0].dimensions = [0, 2] },
        Damage(reason: "has a dimension of 18446744073709551615") { $0.tensors[0].dimensions = [.max] },
        Damage(reason: "has 5 dimensions") { $0.tensors[0].dimensions = [1, 1, 1, 1, 1] },
        Damage(reason: "has 0 dimensions") { $0.tensors[0].dimensions = [] },
        Damage(reason: "unknown type 99") { $0.tensors[0].type = 99 },
        Damage(reason: "unknown type 4") { $0.tensors[0].type = 4 },
        Damage(reason: "no multiple of the 32 of Q8_0") { $0.tensors[1].dimensions = [31] },
        Damage(reason: "tensor name is empty") { $0.tensors[0].name = "" },
        Damage(reason: "key is empty") { $0.metadata[0].key = "" },
        Damage(reason: "general.alignment must be") { $0.set("general.alignment", .uint32(24)) },
        Damage(reason: "general.alignment must be") { $0.set("general.alignment", .uint32(0)) },
        Damage(reason: "general.alignment must be") { $0.set("general.alignment", .string("32")) },
        Damage(reason: "13 is no metadata type") { $0.set("bad", .array([], emptyType: 13)) },
        Damage(reason: "depth of array") {
            $0.set("deep", .array([.array([.array([.array([.array([.bool(true)])])])])]))
        },
        Damage(reason: "length of tensor name") { $0.tensors[0].name = String(repeating: "n", count: 2000) },
        Damage(reason: "\\u{1b}[2J") {
            $0.tensors[0].name = "\u{1b}[2J"
            $0.tensors[1].name = "\u{1b}[2J"
        },
    ]
}

func word(_ index: Int) -> String { String(repeating: "é", count: index % 7) + "\(index)" }

func sampleWriter() -> GGUFWriter {
    var writer = GGUFWriter()
    writer.metadata = [
        ("u8", .uint8(200)), ("i8", .int8(-100)), ("u16", .uint16(60_000)), ("i16", .int16(-30_000)),
        ("u32", .uint32(4_000_000_000)), ("i32", .int32(-2_000_000_000)), ("u64", .uint64(.max)), ("i64", .int64(.min)),
        ("f32", .float32(1.5)), ("f64", .float64(0.1)), ("yes", .bool(true)), ("no", .bool(false)),
        ("text", .string("grüße")), ("broken", .bytes([0x61, 0xFF, 0x62])), ("words", .strings((0..<100).map(word))),
        ("numbers", .integers([-1, 0, 7])), ("empty", .strings([])),
        ("nested", .array([.integers([1, 2]), .integers([3])])),
    ]
    writer.add("a", dimensions: [3, 2], floats: [1, 2, 3, 4, 5, 6])
    writer.add("b", type: 8, dimensions: [32], data: (0..<34).map { UInt8($0) })
    return writer
}

func read(_ writer: GGUFWriter) throws -> GGUFFile {
    try GGUFFile(parts: [GGUFBytes(copying: writer.bytes())])
}
