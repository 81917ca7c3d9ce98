import Platform

/// Writes records into this side's ring.
///
/// Threading: one thread at a time; the consumer of the same connection may be used on another one.
public struct RingProducer: ~Copyable, Sendable {
    private let channel: RingChannel
    private let capacity: UInt64
    /// The end of what was written; the peer sees it up to `published`.
    private var tail: UInt64 = 0
    private var published: UInt64 = 0
    /// The peer's head when it was last read.
    private var knownHead: UInt64 = 0
    private var sequence: UInt32 = 0
    /// Free bytes that the last record that found no space would have needed.
    private var wanted: UInt64 = 0
    /// Where the records of payload files end that the peer may not have consumed yet.
    private var fileRecordEnds: [UInt64] = []
    private var wantsFilePlace = false
    private var spaceEpoch = WakeEpoch()
    private var woken = WokenEpoch()
    private var records: UInt64 = 0
    private var bytes: UInt64 = 0
    private var wakes: UInt64 = 0
    private var fullEvents: UInt64 = 0

    /// A ring that is empty starts again at its first page when that is used up to here.
    static let rewindOffset: UInt64 = 2048

    init(channel: RingChannel) {
        self.channel = channel
        capacity = UInt64(channel.own.capacity)
    }

    /// The longest body of a record.
    public var largestBody: Int { SharedMemoryLimits.largestBody(capacity: Int(capacity)) }

    public var meter: RingMeter { RingMeter(segment: channel.own) }

    /// Whether records wait to be published.
    public var hasUnpublished: Bool { tail != published }

    /// Writes a record that the peer sees after `publish`; false when there is no space for it now.
    public mutating func write(_ body: UnsafeRawBufferPointer) throws(RingViolation) -> Bool {
        guard let padding = try reserve(body.count) else { return false }
        put(body, padding: padding)
        return true
    }

    /// Sends a sealed memory file and writes the record that belongs to it; false when there is no space now.
    ///
    /// The descriptor stays the caller's.
    public mutating func write(_ body: UnsafeRawBufferPointer, file: Int32) throws(RingViolation) -> Bool {
        guard try hasFilePlace() else {
            wantsFilePlace = true
            countFullEvent()
            return false
        }
        guard let padding = try reserve(body.count) else { return false }
        // Before the record can be published: the peer may look for the file as soon as it sees the record.
        try channel.socket.send(file: file)
        put(body, padding: padding)
        fileRecordEnds.append(tail)
        return true
    }

    /// Shows the peer all records that were written, and wakes it if it sleeps.
    public mutating func publish() {
        guard tail != published else { return }
        published = tail
        let own = channel.own
        own.release(SegmentLayout.tailOffset, tail)
        // Either the peer's second look at the tail sees this one, or the next line sees that the peer is armed.
        Processor.fence()
        if woken.mustWake(channel.peer.loadHalf(SegmentLayout.dataEpochOffset)) {
            wakes &+= 1
            own.store(SegmentLayout.producerCountersOffset + 16, wakes)
            channel.socket.wake()
        }
        own.store(SegmentLayout.producerCountersOffset, records)
        own.store(SegmentLayout.producerCountersOffset + 8, bytes)
    }

    /// After a write that returned false: has the peer wake this side once there is space.
    ///
    /// The wake-up makes the consumer's `wakeDescriptor` readable, like one for data.
    ///
    /// - Returns: false when there is space already: write again.
    public mutating func armForSpace() throws(RingViolation) -> Bool {
        publish()
        spaceEpoch.arm()
        channel.own.storeHalf(SegmentLayout.spaceEpochOffset, spaceEpoch.value)
        Processor.fence()
        guard try hasSpace() else { return true }
        spaceEpoch.disarm()
        channel.own.storeHalf(SegmentLayout.spaceEpochOffset, spaceEpoch.value)
        return false
    }

    private mutating func hasSpace() throws(RingViolation) -> Bool {
        if wantsFilePlace, try !hasFilePlace() { return false }
        try readHead()
        return tail &+ wanted &- knownHead <= capacity
    }

    private mutating func hasFilePlace() throws(RingViolation) -> Bool {
        guard fileRecordEnds.count >= SharedMemoryLimits.waitingFiles else { return true }
        try readHead()
        let head = knownHead
        fileRecordEnds.removeAll { $0 <= head }
        return fileRecordEnds.count < SharedMemoryLimits.waitingFiles
    }

    /// Makes sure that a record has space: the bytes of padding before it, or nil.
    @inline(__always)
    private mutating func reserve(_ body: Int) throws(RingViolation) -> UInt64? {
        guard body >= SharedMemoryLimits.smallestBody, body <= largestBody else {
            throw .bodyLength(least: SharedMemoryLimits.smallestBody, most: largestBody, value: body)
        }
        let need = UInt64(SegmentLayout.recordBytes(body: body))
        let position = tail & (capacity &- 1)
        var padding: UInt64 = 0
        if position &+ need > capacity {
            padding = capacity &- position
        } else if position >= Self.rewindOffset, need <= position, tail == published {
            try readHead()
            if knownHead == tail { padding = capacity &- position }
        }
        if tail &+ padding &+ need &- knownHead > capacity {
            try readHead()
            guard tail &+ padding &+ need &- knownHead <= capacity else {
                wanted = padding &+ need
                countFullEvent()
                return nil
            }
        }
        wanted = 0
        wantsFilePlace = false
        return padding
    }

    @inline(__always)
    private mutating func put(_ body: UnsafeRawBufferPointer, padding: UInt64) {
        let own = channel.own
        if padding > 0 {
            let position = Int(tail & (capacity &- 1))
            own.putPrefix(at: position, length: SegmentLayout.paddingMark, sequence: sequence)
            tail &+= padding
        }
        let position = Int(tail & (capacity &- 1))
        own.put(at: position &+ SegmentLayout.prefixBytes, body)
        own.putPrefix(at: position, length: UInt32(truncatingIfNeeded: body.count), sequence: sequence)
        tail &+= UInt64(SegmentLayout.recordBytes(body: body.count))
        sequence &+= 1
        records &+= 1
        bytes &+= UInt64(body.count)
    }

    /// Reads how far the peer has consumed.
    private mutating func readHead() throws(RingViolation) {
        let head = channel.peer.acquire(SegmentLayout.headOffset)
        if head == knownHead { return }
        guard head > knownHead else { throw .cursorBackwards(.head, from: knownHead, value: head) }
        guard head <= published else { throw .cursorBeyond(.head, limit: published, value: head) }
        guard head % UInt64(SegmentLayout.recordAlignment) == 0 else { throw .cursorUnaligned(.head, value: head) }
        knownHead = head
    }

    private mutating func countFullEvent() {
        fullEvents &+= 1
        channel.own.store(SegmentLayout.producerCountersOffset + 24, fullEvents)
    }
}
