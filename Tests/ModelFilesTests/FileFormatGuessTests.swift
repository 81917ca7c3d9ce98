import TestSupport
import Testing

@testable import ModelFiles

@Suite struct FileFormatGuessTests {
    struct Probe: Sendable, CustomTestStringConvertible {
        let bytes: [UInt8]
        let says: String
        var testDescription: String { says }
    }

    static let probes: [Probe] = [
        Probe(bytes: [], says: "empty"),
        Probe(bytes: [0x47, 0x47], says: "only 2 bytes"),
        Probe(
            bytes: Array("version https://git-lfs.github.com/spec/v1\noid sha256:00\n".utf8), says: "Git LFS pointer"),
        Probe(bytes: littleEndian(UInt64(2)) + Array("{}".utf8), says: "safetensors"),
        Probe(bytes: [0x50, 0x4B, 3, 4] + [UInt8](repeating: 1, count: 40), says: "zip archive"),
        Probe(bytes: [0x80, 0x02, 0x8A, 0x0A], says: "pickle"),
        Probe(bytes: Array("<!DOCTYPE html><html></html>".utf8), says: "HTML"),
        Probe(bytes: Array("{\"error\": \"not found\"}".utf8), says: "JSON"),
        Probe(bytes: Array("once upon a time".utf8), says: "plain text"),
        Probe(bytes: [UInt8](repeating: 0, count: 4096), says: "zeros"),
        Probe(bytes: Array("tjgg".utf8) + [1, 0, 0, 0], says: "GGJT"),
        Probe(bytes: [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1], says: "ELF"),
        Probe(bytes: [0xDE, 0xAD, 0xBE, 0xEF, 0x99, 0x80, 0x80, 0x80, 0x80], says: "de ad be ef"),
        Probe(bytes: Array("GGUF".utf8) + [1, 0, 0, 0], says: "version 1"),
        Probe(bytes: Array("GGUF".utf8) + [0, 0, 0, 3], says: "big-endian"),
        Probe(bytes: Array("GGUF".utf8) + [4, 0, 0, 0], says: "version 4"),
        Probe(bytes: Array("GGUF".utf8) + [0, 0, 0, 0], says: "version 0"),
    ]

    @Test(arguments: probes) func `Other files get a sentence that says what they are`(probe: Probe) {
        let error = #expect(throws: ModelFileError.self) { try GGUFFile(parts: [GGUFBytes(copying: probe.bytes)]) }
        #expect(error?.description.contains(probe.says) == true, "\(String(describing: error))")
    }
}
