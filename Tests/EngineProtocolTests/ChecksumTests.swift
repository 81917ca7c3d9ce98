import Testing

@testable import EngineProtocol

@Suite struct ChecksumTests {
    /// Lengths around the lanes of the instruction, and starts that are not aligned.
    @Test func theInstructionAndTheTablesAgree() {
        let bytes = (0..<4000).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ $0 >> 5) }
        bytes.withUnsafeBytes { bytes in
            for start in 0..<9 {
                for count in [0, 1, 7, 8, 9, 255, 256, 767, 768, 769, 1535, 1536, 1537, 2304, 3991] {
                    let part = UnsafeRawBufferPointer(rebasing: bytes[start..<start + count])
                    #expect(Checksum.of(part) == Self.byTables(part), "\(count) bytes from \(start)")
                }
            }
        }
    }

    @Test func partsGiveTheSameAsTheWhole() {
        let bytes = [UInt8](repeating: 0xA5, count: 2000)
        bytes.withUnsafeBytes { bytes in
            for cut in [0, 1, 768, 1000, 2000] {
                var sum = Checksum()
                sum.update(UnsafeRawBufferPointer(rebasing: bytes[..<cut]))
                sum.update(UnsafeRawBufferPointer(rebasing: bytes[cut...]))
                #expect(sum.value == Checksum.of(bytes))
            }
        }
    }

    private static func byTables(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var sum = Checksum()
        sum.updateByTables(bytes)
        return sum.value
    }
}
