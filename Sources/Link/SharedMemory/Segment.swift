import Glibc
public import Platform

/// Which side made a segment.
enum SegmentRole: UInt32 {
    case server = 1
    case client = 2
}

/// The segment that this side has made and alone can write.
final class OwnSegment: Sendable {
    let capacity: Int
    private let pages: SharedPages

    /// Makes a segment and the descriptor with which the other side maps it.
    ///
    /// The seals leave this mapping as the only one that writes: the other side can neither write the memory, nor cut it
    /// short or punch holes into it.
    static func make(
        role: SegmentRole, capacity: Int, connectionID: UInt64 = 0, generation: UInt64 = 0
    ) throws(SystemError) -> (OwnSegment, Int32) {
        precondition(SharedMemoryLimits.isCapacity(capacity), "a ring of \(capacity) bytes")
        let byteCount = SegmentLayout.headerBytes + capacity
        let file = try FileDescriptor.sealableMemory(name: "apus-ring", byteCount: byteCount)
        let pages = try SharedPages(descriptor: file.rawValue, byteCount: byteCount, writable: true)
        pages.storeHalf(SegmentLayout.magicOffset, SegmentLayout.magic)
        pages.storeHalf(
            SegmentLayout.versionOffset, UInt32(SegmentLayout.version) | UInt32(SegmentLayout.headerBytes) << 16)
        pages.storeHalf(SegmentLayout.capacityOffset, UInt32(capacity))
        pages.storeHalf(SegmentLayout.roleOffset, role.rawValue)
        pages.store(SegmentLayout.connectionIDOffset, connectionID)
        pages.store(SegmentLayout.generationOffset, generation)
        pages.storeHalf(SegmentLayout.processIDOffset, UInt32(getpid()))
        try file.add([.futureWrite, .shrink, .grow, .seals])
        return (OwnSegment(pages: pages, capacity: capacity), file.release())
    }

    private init(pages: consuming SharedPages, capacity: Int) {
        self.pages = pages
        self.capacity = capacity
    }

    /// Makes everything that was written before visible to whoever acquires the word.
    @inline(__always)
    func release(_ offset: Int, _ value: UInt64) { pages.release(offset, value) }

    @inline(__always)
    func store(_ offset: Int, _ value: UInt64) { pages.store(offset, value) }

    @inline(__always)
    func load(_ offset: Int) -> UInt64 { pages.load(offset) }

    @inline(__always)
    func storeHalf(_ offset: Int, _ value: UInt32) { pages.storeHalf(offset, value) }

    /// Writes a record's prefix into the ring, as one word.
    @inline(__always)
    func putPrefix(at position: Int, length: UInt32, sequence: UInt32) {
        let prefix = UInt64(length) | UInt64(sequence) << 32
        pages.store(SegmentLayout.headerBytes &+ position, prefix)
    }

    /// Copies bytes into the ring.
    @inline(__always)
    func put(at position: Int, _ bytes: UnsafeRawBufferPointer) {
        pages.put(SegmentLayout.headerBytes &+ position, bytes)
    }

    /// Pages that the system holds for this segment.
    var residentPages: Int { pages.residentPages }
}

/// The other side's segment, mapped for reading: whatever is in it may change at any time, in any way.
final class PeerSegment: Sendable {
    let capacity: Int
    private let pages: SharedPages

    /// Maps a segment after everything has been checked that makes it safe to touch.
    init(
        descriptor: borrowing FileDescriptor, role: SegmentRole, capacity: Int,
        connectionID: UInt64 = 0, generation: UInt64 = 0
    ) throws(SegmentFault) {
        guard SharedMemoryLimits.isCapacity(capacity) else { throw .capacity(capacity) }
        let byteCount = SegmentLayout.headerBytes + capacity
        // Seals first: only a memory file has them, and behind them the size cannot change any more.
        guard let seals = try? descriptor.seals() else { throw .notMemory }
        guard seals.isSuperset(of: [.shrink, .grow, .seals]) else { throw .unsealed(seals.rawValue) }
        guard let size = try? descriptor.fileSize() else { throw .notMemory }
        guard size == UInt64(byteCount) else { throw .size(expected: byteCount, value: size) }
        let pages = try Self.map(descriptor, byteCount: byteCount)
        self.pages = pages
        self.capacity = capacity
        try check(role: role, connectionID: connectionID, generation: generation)
    }

    private static func map(
        _ descriptor: borrowing FileDescriptor, byteCount: Int
    ) throws(SegmentFault) -> SharedPages {
        do throws(SystemError) {
            return try SharedPages(descriptor: descriptor.rawValue, byteCount: byteCount, writable: false)
        } catch {
            throw .system(error)
        }
    }

    private func check(role: SegmentRole, connectionID: UInt64, generation: UInt64) throws(SegmentFault) {
        let words: [(field: String, offset: Int, expected: UInt32)] = [
            ("magic", SegmentLayout.magicOffset, SegmentLayout.magic),
            (
                "version and header size", SegmentLayout.versionOffset,
                UInt32(SegmentLayout.version) | UInt32(SegmentLayout.headerBytes) << 16
            ),
            ("capacity", SegmentLayout.capacityOffset, UInt32(capacity)),
            ("role", SegmentLayout.roleOffset, role.rawValue),
        ]
        for word in words {
            let value = pages.loadHalf(word.offset)
            guard value == word.expected else {
                throw .field(word.field, expected: UInt64(word.expected), value: UInt64(value))
            }
        }
        for (field, offset, expected) in [
            ("connection id", SegmentLayout.connectionIDOffset, connectionID),
            ("generation", SegmentLayout.generationOffset, generation),
        ] {
            let value = pages.load(offset)
            guard value == expected else { throw .field(field, expected: expected, value: value) }
        }
    }

    /// Reads a word, and with it everything that its writer had written before.
    @inline(__always)
    func acquire(_ offset: Int) -> UInt64 { pages.acquire(offset) }

    @inline(__always)
    func loadHalf(_ offset: Int) -> UInt32 { pages.loadHalf(offset) }

    /// Reads a record's prefix once.
    @inline(__always)
    func prefix(at position: Int) -> (length: UInt32, sequence: UInt32) {
        let prefix = pages.load(SegmentLayout.headerBytes &+ position)
        return (UInt32(truncatingIfNeeded: prefix), UInt32(truncatingIfNeeded: prefix >> 32))
    }

    /// Copies bytes out of the ring.
    @inline(__always)
    func copy(at position: Int, to bytes: UnsafeMutableRawBufferPointer) {
        pages.copy(SegmentLayout.headerBytes &+ position, to: bytes)
    }
}

/// Why a descriptor is not accepted as the other side's segment.
public enum SegmentFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// The ring's size is no power of two, or out of the limits.
    case capacity(Int)
    /// The descriptor is not a memory file.
    case notMemory
    /// It could still be cut short or sealed.
    case unsealed(Int32)
    case size(expected: Int, value: UInt64)
    case field(String, expected: UInt64, value: UInt64)
    /// One descriptor belongs to a hello or a welcome with shared memory, none to any other frame.
    case descriptors(expected: Int, value: Int)
    /// More descriptors were sent than any frame has, or this process has none left.
    case descriptorsCutOff
    case system(SystemError)

    public var description: String {
        switch self {
        case .capacity(let value):
            "a ring of \(value) bytes: it must be a power of two from \(SharedMemoryLimits.smallestCapacity) to "
                + "\(SharedMemoryLimits.largestCapacity)"
        case .notMemory: "the segment's descriptor is not a memory file"
        case .unsealed(let seals): "the segment is not sealed against a change of its size (seals \(seals))"
        case .size(let expected, let value): "the segment has \(value) bytes, not \(expected)"
        case .field(let name, let expected, let value): "the segment's \(name) is \(value), not \(expected)"
        case .descriptors(let expected, let value): "\(value) descriptors came, not \(expected)"
        case .descriptorsCutOff: "more descriptors came than there is room for"
        case .system(let error): error.description
        }
    }
}
