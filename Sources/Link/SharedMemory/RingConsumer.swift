public import Platform

/// Reads records out of the peer's ring, which the peer can change at any time: everything is read once, checked, and
/// copied before it is used.
///
/// Threading: one thread at a time; the producer of the same connection may be used on another one.
public struct RingConsumer: ~Copyable, Sendable {
    /// What reading has found.
    public enum Received: Equatable, Sendable {
        /// A body of so many bytes is in the buffer.
        case record(bytes: Int)
        case empty
        /// The record stays where it is until the buffer is large enough.
        case tooSmall(needed: Int)
    }

    /// What waiting has found.
    public enum Waited: Equatable, Sendable {
        /// A record can be read, or space be used.
        case ready
        case timedOut
        /// The peer has gone, and everything that it had published has been read.
        case closed
    }

    private let channel: RingChannel
    private let capacity: UInt64
    /// The end of what was read; the producer sees it up to `released`.
    private var head: UInt64 = 0
    private var released: UInt64 = 0
    /// The peer's tail when it was last read.
    private var knownTail: UInt64 = 0
    private var sequence: UInt32 = 0
    private let files = PayloadFiles()
    private var dataEpoch = WakeEpoch()
    private var woken = WokenEpoch()
    /// What ended the last `wait` is still in the control socket.
    private var hasWake = false
    private var records: UInt64 = 0
    private var bytes: UInt64 = 0
    private var wakes: UInt64 = 0
    private var spunNanoseconds: UInt64 = 0

    init(channel: RingChannel) {
        self.channel = channel
        capacity = UInt64(channel.peer.capacity)
    }

    /// The longest body that the peer may send.
    public var largestBody: Int { SharedMemoryLimits.largestBody(capacity: Int(capacity)) }

    public var meter: RingMeter { RingMeter(segment: channel.own) }

    /// Readable when the peer wakes this side or is gone: for an event loop or `poll`.
    public var wakeDescriptor: Int32 { channel.socket.descriptor.rawValue }

    // MARK: Records

    /// Copies the next body out of the ring.
    ///
    /// The space is the producer's again after `release`.
    public mutating func read(into buffer: UnsafeMutableRawBufferPointer) throws(RingViolation) -> Received {
        if head == knownTail {
            try readTail()
            if head == knownTail { return .empty }
        }
        let (length, size) = try nextRecord()
        guard length <= buffer.count else { return .tooSmall(needed: length) }
        let position = Int(head & (capacity &- 1)) &+ SegmentLayout.prefixBytes
        channel.peer.copy(at: position, to: UnsafeMutableRawBufferPointer(rebasing: buffer[..<length]))
        head &+= UInt64(size)
        sequence &+= 1
        records &+= 1
        bytes &+= UInt64(length)
        return .record(bytes: length)
    }

    /// Steps over padding and checks the record behind it: its body's length and its size in the ring.
    @inline(__always)
    private mutating func nextRecord() throws(RingViolation) -> (length: Int, size: Int) {
        var (length, number) = channel.peer.prefix(at: Int(head & (capacity &- 1)))
        guard number == sequence else { throw .sequence(expected: sequence, value: number) }
        if length == SegmentLayout.paddingMark {
            try skipPadding()
            (length, number) = channel.peer.prefix(at: 0)
            guard number == sequence else { throw .sequence(expected: sequence, value: number) }
            guard length != SegmentLayout.paddingMark else { throw .needlessPadding }
        }
        guard length >= SharedMemoryLimits.smallestBody, length <= largestBody else {
            throw .bodyLength(least: SharedMemoryLimits.smallestBody, most: largestBody, value: Int(length))
        }
        let size = SegmentLayout.recordBytes(body: Int(length))
        let published = Int(knownTail &- head)
        guard size <= published else { throw .recordBeyondTail(bytes: size, published: published) }
        let position = Int(head & (capacity &- 1))
        guard position &+ size <= Int(capacity) else { throw .recordAcrossEnd(position: position, bytes: size) }
        return (Int(length), size)
    }

    private mutating func skipPadding() throws(RingViolation) {
        let position = head & (capacity &- 1)
        guard position > 0 else { throw .needlessPadding }
        let padding = capacity &- position
        // A producer publishes padding together with the record for which it made it.
        guard padding < knownTail &- head else { throw .paddingWithoutRecord }
        head &+= padding
    }

    private mutating func readTail() throws(RingViolation) {
        let tail = channel.peer.acquire(SegmentLayout.tailOffset)
        if tail == knownTail { return }
        guard tail > knownTail else { throw .cursorBackwards(.tail, from: knownTail, value: tail) }
        // The producer may reuse only what it was told of.
        let limit = released &+ capacity
        guard tail <= limit else { throw .cursorBeyond(.tail, limit: limit, value: tail) }
        guard tail % UInt64(SegmentLayout.recordAlignment) == 0 else { throw .cursorUnaligned(.tail, value: tail) }
        knownTail = tail
    }

    /// Gives the space of everything that was read back to the producer, and wakes it if it waits for space.
    public mutating func release() {
        guard head != released else { return }
        released = head
        let own = channel.own
        own.release(SegmentLayout.headOffset, head)
        Processor.fence()
        if woken.mustWake(channel.peer.loadHalf(SegmentLayout.spaceEpochOffset)) {
            wakes &+= 1
            own.store(SegmentLayout.consumerCountersOffset + 16, wakes)
            channel.socket.wake()
        }
        own.store(SegmentLayout.consumerCountersOffset, records)
        own.store(SegmentLayout.consumerCountersOffset + 8, bytes)
    }

    // MARK: Waiting

    /// Has the peer make `wakeDescriptor` readable when it publishes the next record.
    ///
    /// - Returns: false when there is a record already: read it.
    public mutating func arm() -> Bool {
        release()
        dataEpoch.arm()
        channel.own.storeHalf(SegmentLayout.dataEpochOffset, dataEpoch.value)
        // Either this second look sees a record, or the peer sees after publishing it that this side is armed.
        Processor.fence()
        guard hasData else { return true }
        disarm()
        return false
    }

    /// Whether the peer has published something that was not read; what it is, only reading tells.
    @inline(__always)
    public var hasData: Bool { channel.peer.acquire(SegmentLayout.tailOffset) != head }

    /// Takes what waits in the control socket: call it when `wakeDescriptor` is readable.
    ///
    /// - Returns: false when the peer has gone. What it had published can still be read.
    public mutating func clearWake() throws(RingViolation) -> Bool {
        hasWake = false
        disarm()
        return try channel.socket.read(into: files)
    }

    private mutating func disarm() {
        dataEpoch.disarm()
        channel.own.storeHalf(SegmentLayout.dataEpochOffset, dataEpoch.value)
    }

    /// Looks for a record for so long, without sleeping.
    ///
    /// - Returns: whether there is one.
    public mutating func spin(nanoseconds: UInt64) -> Bool {
        let start = MonotonicClock.now()
        var now = start
        defer { count(spun: now &- start) }
        repeat {
            // The clock costs as much as a few looks.
            for _ in 0..<32 {
                if hasData { return true }
                Processor.pause()
            }
            now = MonotonicClock.now()
        } while now &- start < nanoseconds
        return hasData
    }

    private mutating func count(spun nanoseconds: UInt64) {
        guard nanoseconds > 0 else { return }
        spunNanoseconds &+= nanoseconds
        channel.own.store(SegmentLayout.consumerCountersOffset + 24, spunNanoseconds)
    }

    /// Sleeps until there is a record, the peer is gone, or the time is over: for callers without an event loop.
    public mutating func wait(milliseconds: Int32) throws(RingViolation) -> Waited {
        let deadline = Deadline(milliseconds: milliseconds)
        while true {
            // A wake-up may also mean that there is space.
            if hasWake, try !clearWake() { return hasData ? .ready : .closed }
            guard arm() else { return .ready }
            do throws(SystemError) {
                let rest = deadline.milliseconds
                guard try Socket.waitReadable(wakeDescriptor, milliseconds: rest) || rest > 0 else {
                    return hasData ? .ready : .timedOut
                }
            } catch {
                throw .system(error)
            }
            hasWake = true
            // What woke this side can be taken later; the record, and whoever waits for its answer, cannot wait.
            guard hasData else { continue }
            disarm()
            return .ready
        }
    }

    // MARK: Payload files

    /// The file that belongs to the record that was just read.
    ///
    /// - Parameter sealed: whether it has to be one that nobody can change any more.
    public mutating func takeFile(sealed: Bool = true) throws(RingViolation) -> FileDescriptor {
        // It was sent before the record was published, so it is here or in the socket.
        if files.count == 0 { _ = try channel.socket.read(into: files) }
        guard let file = files.removeFirst() else { throw .missingFile }
        guard sealed else { return file }
        guard let seals = try? file.seals(), seals.isSuperset(of: [.shrink, .grow, .write, .seals]) else {
            throw .unsealedFile
        }
        return file
    }
}

/// A moment until which something may take.
struct Deadline {
    private let end: UInt64

    init(milliseconds: Int32) { end = MonotonicClock.now() &+ UInt64(max(0, milliseconds)) &* 1_000_000 }

    /// What is left, rounded up; 0 when it is over.
    var milliseconds: Int32 {
        let now = MonotonicClock.now()
        return now >= end ? 0 : Int32(clamping: (end - now + 999_999) / 1_000_000)
    }
}
