import EngineProtocol
import Platform
import SharedMemory

/// Writes each message as one record of a ring, after a record for each of its descriptors.
///
/// Its owner holds a lock around every use.
final class RingOutput: LinkOutput, @unchecked Sendable {
    private var producer: RingProducer
    /// Of the next message: those that are in the ring already.
    private var attached = 0
    let maximumInlinePayload: Int
    let isStream = false

    init(producer: consuming RingProducer, limits: LinkLimits) {
        maximumInlinePayload = min(limits.inlinePayloadBytes, producer.largestBody - MessageHeader.size)
        self.producer = producer
    }

    func write(
        _ bytes: UnsafeRawBufferPointer, _ descriptors: [LinkDescriptor]
    ) -> Result<LinkProgress, LinkCloseReason> {
        do throws(RingViolation) {
            while attached < descriptors.count {
                guard try attach(descriptors[attached]) else { return .success(.waitsForRoom) }
                attached += 1
            }
            guard try put(bytes) else { return .success(.waitsForRoom) }
        } catch {
            return .failure(.ringViolation(error))
        }
        attached = 0
        return .success(.bytes(bytes.count))
    }

    private func attach(_ descriptor: LinkDescriptor) throws(RingViolation) -> Bool {
        try MessageCodec.attachmentHeader.withUnsafeBytes { header in
            Result { () throws(RingViolation) in
                while try !producer.write(header, file: descriptor.rawValue) {
                    if try producer.armForSpace() { return false }
                }
                return true
            }
        }.get()
    }

    private func put(_ bytes: UnsafeRawBufferPointer) throws(RingViolation) -> Bool {
        while try !producer.write(bytes) {
            if try producer.armForSpace() { return false }
        }
        return true
    }

    func publish() { producer.publish() }
}

/// Reads records of a ring, and the descriptors that belong to them.
final class RingInput: LinkInput {
    private static let recordsPerRelease: UInt = 32
    /// How often in a turn a peer may send the next record while its last one is being answered.
    private static let refillsPerTurn = 4

    private var consumer: RingConsumer
    private let limits: LinkLimits
    private let scratch: LinkScratch
    private var spin: SpinBudget
    private var lastArrival: UInt64 = 0
    /// Whether records have come since the last wait.
    private var hasRead = false
    private var recordsRead: UInt = 0
    private var refills = 0
    /// The control socket has something that was not read yet.
    private var hasWake = false
    private var peerIsGone = false
    private var violation: RingViolation?
    private var loop: EventLoop?
    private var watch: EventLoop.WatchID?
    private var handler: ((EventLoop.Readiness) -> Void)?

    /// - Parameter scratch: where records are copied to before anybody looks at them.
    init(consumer: consuming RingConsumer, limits: LinkLimits, scratch: LinkScratch, spin: SpinBudget) {
        self.consumer = consumer
        self.limits = limits
        self.scratch = scratch
        self.spin = spin
    }

    var receivesPerTurn: Int { limits.recordsPerTurn }

    func start(on loop: EventLoop, _ handler: @escaping (EventLoop.Readiness) -> Void) throws(SystemError) {
        self.loop = loop
        self.handler = handler
        watch = try loop.watch(consumer.wakeDescriptor, .readable) { [unowned self] _ in
            hasWake = true
            // Data, or room: the peer does not say which.
            handler([.readable, .writable])
        }
        // What came before this side was armed has woken nobody.
        comeBack()
    }

    private func comeBack() {
        _ = loop?.after(nanoseconds: 0) { [weak self] in self?.handler?(.readable) }
    }

    /// The peer wakes this side when there is room.
    func watchWriting(_ isWanted: Bool) {}

    func refresh() {
        hasWake = false
        do throws(RingViolation) {
            if try !consumer.clearWake() { peerIsGone = true }
        } catch {
            violation = error
        }
    }

    func receive(into receiver: inout LinkReceiver) -> Result<Socket.IO, LinkCloseReason> {
        do throws(RingViolation) {
            while true {
                if let violation { throw violation }
                let room = scratch.room
                switch try consumer.read(into: room) {
                case .record(let count):
                    hasRead = true
                    // Early enough that the peer goes on writing meanwhile.
                    recordsRead &+= 1
                    if recordsRead.isMultiple(of: Self.recordsPerRelease) { consumer.release() }
                    return try take(UnsafeRawBufferPointer(rebasing: room[..<count]), &receiver)
                case .tooSmall(let needed):
                    scratch.grow(to: needed)
                case .empty:
                    // Only now: a record that is there does not wait for a system call.
                    if hasWake {
                        refresh()
                        continue
                    }
                    // What a peer wrote before it died was there before its death was known.
                    if peerIsGone { return .success(.endOfStream) }
                    consumer.release()
                    if spinForRecord() { continue }
                    if consumer.arm() {
                        refills = 0
                        return .success(.wouldBlock)
                    }
                    refills += 1
                    guard refills == Self.refillsPerTurn else { continue }
                    // Others have their turn before this peer's next record.
                    refills = 0
                    comeBack()
                    return .success(.wouldBlock)
                }
            }
        } catch {
            return .failure(.ringViolation(error))
        }
    }

    /// Looks for a record without sleeping, for as long as this link has earned.
    private func spinForRecord() -> Bool {
        let now = MonotonicClock.now()
        if hasRead { spin.arrived(afterNanoseconds: now - lastArrival) }
        hasRead = false
        lastArrival = now
        let budget = spin.next()
        guard budget > 0 else { return false }
        let found = consumer.spin(nanoseconds: budget)
        spin.spun(found: found)
        return found
    }

    private func take(
        _ record: UnsafeRawBufferPointer, _ receiver: inout LinkReceiver
    ) throws(RingViolation) -> Result<Socket.IO, LinkCloseReason> {
        do throws(LinkViolation) {
            let header = try LinkFramer.header(of: record)
            guard header.type == .attachment else {
                try receiver.take(header, of: record)
                return .success(.bytes(record.count))
            }
        } catch {
            return .failure(.protocolViolation(error))
        }
        let file = LinkDescriptor(owning: try consumer.takeFile(sealed: !receiver.takesUnsealedFiles))
        do throws(LinkViolation) { try receiver.add([file]) } catch { return .failure(.protocolViolation(error)) }
        return .success(.bytes(record.count))
    }

    func stop() {
        if let watch { loop?.unwatch(watch) }
        watch = nil
        handler = nil
    }
}

/// Memory that records are copied to before anybody looks at them; one for all links of a loop.
///
/// It begins 8 bytes after a multiple of 32, as the bodies of records do in a ring. Some processors copy twenty times
/// slower to an address that is a few bytes above the source's, counted within pages; this way none ever is.
public final class LinkScratch {
    private static let offset = 8
    private var memory: UnsafeMutableRawBufferPointer
    private(set) var room: UnsafeMutableRawBufferPointer

    public init() { (memory, room) = Self.allocate(16 << 10) }

    deinit { memory.deallocate() }

    func grow(to count: Int) {
        guard count > room.count else { return }
        memory.deallocate()
        (memory, room) = Self.allocate(count)
    }

    private static func allocate(_ count: Int) -> (UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: offset + count, alignment: 32)
        return (memory, UnsafeMutableRawBufferPointer(rebasing: memory[offset...]))
    }
}
