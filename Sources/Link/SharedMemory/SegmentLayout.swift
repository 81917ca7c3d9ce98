/// Where things are in a segment: words, then the ring's data, which begin in the same page.
///
/// So a ring that is drained again and again takes one page of each side's memory, and one place of the processor's tables.
///
/// All numbers are little-endian. A segment is written by its owner only; the other side maps it read-only. The first words are written once, before
/// the other side gets the segment. Each word that changes has 128 bytes for itself or shares them only with words that
/// the same thread writes, because processors fetch cache lines in pairs.
///
/// | offset | type | what | written by |
/// |---|---|---|---|
/// | 0x000 | u32 | magic, the bytes `APSM` | once |
/// | 0x004 | u16, u16 | layout version 2, header size 1024 | once |
/// | 0x008 | u32 | capacity of the ring | once |
/// | 0x00C | u32 | 1 in a server's segment, 2 in a client's | once |
/// | 0x010 | u64, u64 | connection id and generation; 0 in a client's | once |
/// | 0x020 | u32 | process id | once |
/// | 0x080 | u64 | tail: bytes published into this segment's ring | producer |
/// | 0x100 | u64 | head: bytes consumed from the other segment's ring | consumer |
/// | 0x180 | u32 | odd while this side's consumer waits for data | consumer |
/// | 0x200 | u32 | odd while this side's producer waits for space | producer |
/// | 0x280 | 4 × u64 | records, bytes, wakes, times without space | producer |
/// | 0x300 | 4 × u64 | records, bytes, wakes, nanoseconds spent spinning | consumer |
/// | 0x400 | | the ring's data | producer |
enum SegmentLayout {
    static let magic: UInt32 = 0x4D53_5041
    static let version: UInt16 = 2
    static let headerBytes = 1024

    static let magicOffset = 0x000
    static let versionOffset = 0x004
    static let headerBytesOffset = 0x006
    static let capacityOffset = 0x008
    static let roleOffset = 0x00C
    static let connectionIDOffset = 0x010
    static let generationOffset = 0x018
    static let processIDOffset = 0x020

    static let tailOffset = 0x080
    static let headOffset = 0x100
    static let dataEpochOffset = 0x180
    static let spaceEpochOffset = 0x200
    static let producerCountersOffset = 0x280
    static let consumerCountersOffset = 0x300

    /// Before each body: u32 length of the body, u32 sequence number.
    static let prefixBytes = 8
    static let recordAlignment = 32
    /// In place of a length: nothing but padding up to the end of the ring.
    static let paddingMark = UInt32.max

    /// What a record with such a body takes in the ring.
    @inline(__always)
    static func recordBytes(body: Int) -> Int {
        (body &+ prefixBytes &+ recordAlignment &- 1) & ~(recordAlignment &- 1)
    }
}
