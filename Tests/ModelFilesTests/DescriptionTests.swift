import Foundation
import Platform
import TestSupport
import Testing

@testable import ModelFiles

@Suite struct DescriptionTests {
    @Test func `A description is JSON with everything that a reader asks for`() throws {
        let text = try read(sampleWriter()).describeJSON()
        let object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(object["version"] as? Int == 3 && object["parts"] as? Int == 1 && object["parameters"] as? Int == 38)
        let metadata = try #require(object["metadata"] as? [String: Any])
        #expect(metadata.count == sampleWriter().metadata.count)
        #expect(metadata["u64"] as? UInt64 == .max && metadata["f32"] as? Double == 1.5)
        #expect(metadata["f64"] as? Double == 0.1 && metadata["yes"] as? Bool == true)
        #expect(metadata["text"] as? String == "grüße" && metadata["broken"] as? String == "a\u{FFFD}b")
        #expect(metadata["numbers"] as? [Int] == [-1, 0, 7])
        #expect(metadata["nested"] as? [[Int]] == [[1, 2], [3]])
        let words = try #require(metadata["words"] as? [String: Any])
        #expect(words["count"] as? Int == 100 && words["type"] as? String == "array of string")
        #expect(words["begins"] as? [String] == (0..<8).map(word))
        let types = try #require(object["tensor_types"] as? [String: [String: Int]])
        #expect(types == ["F32": ["tensors": 1, "bytes": 24], "Q8_0": ["tensors": 1, "bytes": 34]])
        let tensors = try #require(object["tensors"] as? [[String: Any]])
        #expect(tensors[0]["name"] as? String == "a" && tensors[0]["dimensions"] as? [Int] == [3, 2])
    }

    @Test func `A long string is shortened`() throws {
        var writer = GGUFWriter()
        writer.set("long", .string(String(repeating: "x", count: 100_000)))
        let text = try read(writer).describeJSON()
        #expect(text.utf8.count < 1000 && text.contains("\"bytes\":100000"))
    }
}

@Suite struct GGUFBytesTests {
    @Test func `A mapped file reads like a copy`() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).gguf").path
        let bytes = sampleWriter().bytes()
        #expect(FileManager.default.createFile(atPath: path, contents: Data(bytes)))
        defer { try? FileManager.default.removeItem(atPath: path) }
        let file = try {
            let descriptor = try FileDescriptor.openForReading(path: path)
            return try GGUFFile(parts: [GGUFBytes(mapping: try MappedFile(descriptor: descriptor.rawValue))])
        }()
        let copied = try read(sampleWriter())
        #expect(file.describeJSON() == copied.describeJSON())
        for (a, b) in zip(file.tensors, copied.tensors) {
            #expect(file.bytes(of: a).elementsEqual(copied.bytes(of: b)))
        }
    }

    @Test func `An empty mapped file is refused`() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID()).gguf").path
        #expect(FileManager.default.createFile(atPath: path, contents: Data()))
        defer { try? FileManager.default.removeItem(atPath: path) }
        let descriptor = try FileDescriptor.openForReading(path: path)
        let part = GGUFBytes(mapping: try MappedFile(descriptor: descriptor.rawValue))
        #expect(throws: ModelFileError.notGGUF(part: 0, finding: "the file is empty")) { try GGUFFile(parts: [part]) }
    }
}
