import Platform

/// What the producer and the consumer of one side share.
///
/// They write different words of the own segment, so they may be on different threads.
final class RingChannel: Sendable {
    let own: OwnSegment
    let peer: PeerSegment
    let socket: ControlSocket

    init(own: OwnSegment, peer: PeerSegment, socket: consuming FileDescriptor) {
        self.own = own
        self.peer = peer
        self.socket = ControlSocket(descriptor: socket)
    }
}

/// Both directions of a shared-memory connection.
///
/// The connection is closed when the producer and the consumer are both gone.
@frozen
public struct Rings: ~Copyable, Sendable {
    public var producer: RingProducer
    public var consumer: RingConsumer

    init(channel: RingChannel) {
        producer = RingProducer(channel: channel)
        consumer = RingConsumer(channel: channel)
    }

    /// Counts what passes, on any thread, also after the connection has ended.
    public var meter: RingMeter { consumer.meter }

    /// After a write that returned false: sleeps until there is space, the peer is gone, or the time is over.
    ///
    /// For callers without an event loop.
    public mutating func waitForSpace(milliseconds: Int32) throws(RingViolation) -> RingConsumer.Waited {
        let deadline = Deadline(milliseconds: milliseconds)
        while try producer.armForSpace() {
            let rest = deadline.milliseconds
            let isReadable: Bool
            do throws(SystemError) {
                isReadable = try Socket.waitReadable(consumer.wakeDescriptor, milliseconds: rest)
            } catch {
                throw .system(error)
            }
            if !isReadable && rest == 0 { return .timedOut }
            if try !consumer.clearWake() { return .closed }
        }
        return .ready
    }
}

/// What has passed through the rings of one side.
public struct RingCounters: Sendable, Equatable {
    public var recordsSent: UInt64 = 0
    /// Bytes of bodies.
    public var bytesSent: UInt64 = 0
    public var recordsReceived: UInt64 = 0
    public var bytesReceived: UInt64 = 0
    /// Wake-ups that this side sent: for data, and for space.
    public var dataWakes: UInt64 = 0
    public var spaceWakes: UInt64 = 0
    /// Records that found no space at first.
    public var ringFullEvents: UInt64 = 0
    public var spunNanoseconds: UInt64 = 0

    public init() {}
}

/// Reads one side's counters, on any thread.
public struct RingMeter: Sendable {
    let segment: OwnSegment

    /// Pages of memory that the system holds for this side's segment.
    public var residentPages: Int { segment.residentPages }

    public var counters: RingCounters {
        let sent = SegmentLayout.producerCountersOffset
        let received = SegmentLayout.consumerCountersOffset
        var counters = RingCounters()
        counters.recordsSent = segment.load(sent)
        counters.bytesSent = segment.load(sent + 8)
        counters.dataWakes = segment.load(sent + 16)
        counters.ringFullEvents = segment.load(sent + 24)
        counters.recordsReceived = segment.load(received)
        counters.bytesReceived = segment.load(received + 8)
        counters.spaceWakes = segment.load(received + 16)
        counters.spunNanoseconds = segment.load(received + 24)
        return counters
    }
}

/// One side's flag "I am about to sleep": odd while it is armed, another number each time.
struct WakeEpoch {
    private(set) var value: UInt32 = 0

    mutating func arm() { value = (value | 1) &+ (value & 1) &* 2 }
    mutating func disarm() { value = (value &+ 1) & ~1 }
}

/// Remembers for which epoch of the peer the wake-up has been sent.
struct WokenEpoch {
    private var last: UInt32 = 0

    /// Whether the peer, whose epoch was just read, has to be woken now.
    @inline(__always)
    mutating func mustWake(_ epoch: UInt32) -> Bool {
        guard epoch != last else { return false }
        last = epoch
        return epoch & 1 == 1
    }
}
