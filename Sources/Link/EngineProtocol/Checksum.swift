import Platform

/// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78); the check value of "123456789" is 0xE306_9283.
///
/// By the processor's own instruction, or, where it has none, slices of eight bytes at a time, after Kounavis and Berry,
/// "Novel Table Lookup-Based Algorithms for High-Performance CRC Generation" (2008).
public struct Checksum: Sendable {
    private var state: UInt32 = 0xFFFF_FFFF

    public init() {}

    public var value: UInt32 { ~state }

    public static func of(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var checksum = Checksum()
        checksum.update(bytes)
        return checksum.value
    }

    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        if ProcessorChecksum.isAvailable {
            state = ProcessorChecksum.advance(state, over: bytes)
        } else {
            updateByTables(bytes)
        }
    }

    mutating func updateByTables(_ bytes: UnsafeRawBufferPointer) {
        var crc = state
        Self.tables.withUnsafeBufferPointer { table in
            var index = 0
            while index &+ 8 <= bytes.count {
                let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self))
                crc = Self.slice(word ^ UInt64(crc), table)
                index &+= 8
            }
            while index < bytes.count {
                crc = (crc >> 8) ^ table[Int((crc ^ UInt32(bytes[index])) & 0xFF)]
                index &+= 1
            }
        }
        state = crc
    }

    @inline(__always)
    private static func slice(_ word: UInt64, _ table: UnsafeBufferPointer<UInt32>) -> UInt32 {
        var crc: UInt32 = 0
        for byte in 0..<8 {
            let value = Int(truncatingIfNeeded: word >> UInt64(8 &* byte)) & 0xFF
            crc ^= table[(7 &- byte) &* 256 &+ value]
        }
        return crc
    }

    /// Table `k` at `256 * k` advances a byte over `k` further zero bytes.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var crc = UInt32(byte)
            for _ in 0..<8 { crc = (crc >> 1) ^ (crc & 1 == 1 ? 0x82F6_3B78 : 0) }
            tables[byte] = crc
        }
        for index in 256..<tables.count {
            let previous = tables[index - 256]
            tables[index] = (previous >> 8) ^ tables[Int(previous & 0xFF)]
        }
        return tables
    }()
}
