import CPlatform

/// CRC-32C by the processor's own instruction, some 20 GB/s.
public enum ProcessorChecksum {
    public static let isAvailable = apus_has_crc32c()

    /// Advances the state of a checksum, which is its complement, over some bytes.
    public static func advance(_ state: UInt32, over bytes: UnsafeRawBufferPointer) -> UInt32 {
        precondition(isAvailable, "the processor has no instruction for CRC-32C")
        return apus_crc32c(state, bytes.baseAddress, bytes.count)
    }
}
