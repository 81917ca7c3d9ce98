import EngineProtocol
import Foundation
import TestSupport
import Testing

/// Against vectors of an independent encoder: Goldens/make_messages.py.
@Suite("Golden messages") struct GoldenMessageTests {
    static let vectors: [String: [UInt8]] = {
        let file = Fixtures.packageRoot.appendingPathComponent("Tests/EngineProtocolTests/Goldens/messages.txt")
        guard let text = try? String(contentsOf: file, encoding: .utf8) else { return [:] }
        var vectors: [String: [UInt8]] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: " ")
            let digits = Array(parts[1].utf8)
            vectors[String(parts[0])] = stride(from: 0, to: digits.count, by: 2).map { index in
                UInt8(String(decoding: digits[index..<index + 2], as: UTF8.self), radix: 16) ?? 0
            }
        }
        return vectors
    }()

    @Test("every vector has a sample, and the other way round")
    func namesMatch() {
        #expect(Set(Self.vectors.keys) == Set(Samples.messages.map(\.name)).union(["attachment"]))
    }

    @Test("samples encode to the vectors", arguments: Samples.messages.indices)
    func encoding(index: Int) throws {
        let sample = Samples.messages[index]
        #expect(try encode(sample.message, payloadChecksum: sample.payloadChecksum) == Self.vectors[sample.name])
    }

    @Test("vectors decode to the samples", arguments: Samples.messages.indices)
    func decoding(index: Int) throws {
        let sample = Samples.messages[index]
        let vector = try #require(Self.vectors[sample.name])
        #expect(isSame(try decode(vector), sample.message), "\(sample.name)")
    }

    @Test("samples cover every event, error and message type")
    func coverage() throws {
        let types = try Set(Samples.messages.map { try encode($0.message)[6..<8].map { $0 } })
        // An attachment is no message of its own.
        #expect(types.count == MessageType.allCases.count - 1)
        #expect(MessageCodec.attachmentHeader == Self.vectors["attachment"])
        #expect(Samples.errors.count == 16)
    }

    @Test("CRC-32C has the published check value at every alignment")
    func checkValue() {
        let bytes = Array("123456789".utf8)
        #expect(bytes.withUnsafeBytes { Checksum.of($0) } == 0xE306_9283)
        for split in 0...bytes.count {
            var checksum = Checksum()
            bytes[..<split].withUnsafeBytes { checksum.update($0) }
            bytes[split...].withUnsafeBytes { checksum.update($0) }
            #expect(checksum.value == 0xE306_9283)
        }
    }
}
