import Glibc
import Platform

/// The socket beside the rings: it wakes the other side, carries payload files, and its end tells of the peer's death.
///
/// It is a stream of single bytes, so no frame can be cut: a wake-up, or a file with exactly one descriptor attached.
/// An eventfd would serve for waking only as long as the peer means well: whoever shares its open file can make it block.
/// Each end of a socket is its owner's alone.
final class ControlSocket: Sendable {
    static let wakeByte = UInt8(ascii: "W")
    static let fileByte = UInt8(ascii: "F")
    /// Bytes read at a time: all that a peer of ours ever leaves there.
    private static let readBytes = 64
    private static let readsPerTurn = 32

    let descriptor: FileDescriptor

    init(descriptor: consuming FileDescriptor) { self.descriptor = descriptor }

    /// Wakes the other side.
    ///
    /// When the socket takes no more, there is more than enough in it to wake the peer; when the peer is gone, reading
    /// tells.
    func wake() { _ = try? send(Self.wakeByte, descriptors: []) }

    /// Sends a file's descriptor.
    func send(file: Int32) throws(RingViolation) {
        let io: Socket.IO
        do throws(SystemError) { io = try send(Self.fileByte, descriptors: [file]) } catch { throw .system(error) }
        if io == .wouldBlock { throw .controlSocketFull }
    }

    private func send(_ byte: UInt8, descriptors: [Int32]) throws(SystemError) -> Socket.IO {
        var byte = byte
        return try withUnsafeBytes(of: &byte) { bytes throws(SystemError) in
            try Socket.send(descriptor.rawValue, bytes, descriptors: descriptors)
        }
    }

    /// Reads what is there; false when the peer has gone.
    func read(into files: PayloadFiles) throws(RingViolation) -> Bool {
        for _ in 0..<Self.readsPerTurn {
            switch try readOnce(into: files) {
            case .more: continue
            case .nothing: return true
            case .end: return false
            }
        }
        return true
    }

    private enum Step { case more, nothing, end }

    private func readOnce(into files: PayloadFiles) throws(RingViolation) -> Step {
        let outcome = withUnsafeTemporaryAllocation(byteCount: Self.readBytes, alignment: 1) { bytes in
            Result { () throws(RingViolation) in try receive(bytes) }
        }
        guard let received = try outcome.get() else { return .end }
        for descriptor in received.descriptors { files.append(descriptor) }
        guard received.announced == received.descriptors.count else {
            throw .controlDescriptors(announced: received.announced, value: received.descriptors.count)
        }
        guard files.count <= SharedMemoryLimits.waitingFiles else {
            throw .tooManyFiles(limit: SharedMemoryLimits.waitingFiles)
        }
        if received.count == 0 { return .nothing }
        // The kernel ends a read at a descriptor.
        return received.count == Self.readBytes || received.announced > 0 ? .more : .nothing
    }

    private struct Received {
        var count = 0
        var announced = 0
        var descriptors: [Int32] = []
    }

    /// What came; nil at the end.
    private func receive(_ bytes: UnsafeMutableRawBufferPointer) throws(RingViolation) -> Received? {
        let io: Socket.IO
        let descriptors: [Int32]
        do throws(SystemError) {
            (io, descriptors) = try Socket.receive(descriptor.rawValue, into: bytes, maximumDescriptors: 2)
        } catch {
            if error.code == ECONNRESET { return nil }
            throw error.code == EMSGSIZE
                ? .tooManyFiles(limit: SharedMemoryLimits.waitingFiles) : .system(error)
        }
        guard case .bytes(let count) = io else { return io == .endOfStream ? nil : Received() }
        var announced = 0
        var unknown: UInt8?
        for byte in bytes[..<count] where byte != Self.wakeByte {
            if byte == Self.fileByte { announced += 1 } else { unknown = byte }
        }
        if let unknown {
            for descriptor in descriptors { close(descriptor) }
            throw .controlByte(unknown)
        }
        return Received(count: count, announced: announced, descriptors: descriptors)
    }
}

/// Files that came and whose records have not been read; closed when nobody takes them.
///
/// Used by its consumer's thread only. A class, because the optimiser of Swift 6.3 fails on a structure's deinit inside
/// frozen structures.
final class PayloadFiles: @unchecked Sendable {
    private var descriptors: [Int32] = []

    init() {}

    deinit { for descriptor in descriptors { close(descriptor) } }

    var count: Int { descriptors.count }

    func append(_ descriptor: Int32) { descriptors.append(descriptor) }

    func removeFirst() -> FileDescriptor? {
        descriptors.isEmpty ? nil : FileDescriptor(owning: descriptors.removeFirst())
    }
}
