import CPlatform
import Glibc
public import Platform
public import SharedMemory

/// A segment that is made by hand, with every fault that a caller wants.
public final class HostileSegment {
    public static let headerBytes = 1024
    public let capacity: Int
    public let descriptor: Int32
    private let base: UnsafeMutableRawPointer
    private let byteCount: Int

    public struct Shape {
        public var capacity = 16 << 10
        /// Nil for the size that the capacity asks for.
        public var byteCount: Int?
        public var seals: Seals = [.shrink, .grow, .seals]
        public init() {}
    }

    /// A correct client's segment, but for what the shape says.
    public init(_ shape: Shape = Shape()) throws {
        capacity = shape.capacity
        byteCount = shape.byteCount ?? Self.headerBytes + shape.capacity
        let file = try FileDescriptor.sealableMemory(name: "hostile", byteCount: byteCount)
        var words: UnsafeMutablePointer<UInt64>?
        guard apus_map_shared(file.rawValue, byteCount, true, &words) == 0, let words else {
            throw RingTestError("no mapping")
        }
        base = UnsafeMutableRawPointer(words)
        try file.add(shape.seals)
        descriptor = file.release()
        put(UInt32(0x4D53_5041), at: 0)
        put(UInt16(2), at: 4)
        put(UInt16(1024), at: 6)
        put(UInt32(capacity), at: 8)
        put(UInt32(2), at: 12)
    }

    deinit {
        munmap(base, byteCount)
        close(descriptor)
    }

    public func put<Number: FixedWidthInteger>(_ number: Number, at offset: Int) {
        precondition(offset >= 0 && offset + MemoryLayout<Number>.size <= byteCount)
        base.storeBytes(of: number.littleEndian, toByteOffset: offset, as: Number.self)
    }

    public func get<Number: FixedWidthInteger>(_: Number.Type = Number.self, at offset: Int) -> Number {
        precondition(offset >= 0 && offset + MemoryLayout<Number>.size <= byteCount)
        return Number(littleEndian: base.loadUnaligned(fromByteOffset: offset, as: Number.self))
    }

    /// Gives pages back to the system: what was there is zero from now on.
    public func punchHole(at offset: Int, byteCount: Int) -> Bool {
        precondition(offset >= 0 && byteCount >= 0 && offset + byteCount <= self.byteCount)
        return madvise(base + offset, byteCount, MADV_REMOVE) == 0
    }

    public var tail: UInt64 {
        get { get(at: 0x80) }
        set { put(newValue, at: 0x80) }
    }

    public var head: UInt64 {
        get { get(at: 0x100) }
        set { put(newValue, at: 0x100) }
    }

    /// Writes a record's prefix at a place of the ring.
    public func putPrefix(at position: Int, length: UInt32, sequence: UInt32) {
        put(length, at: Self.headerBytes + position)
        put(sequence, at: Self.headerBytes + position + 4)
    }
}

/// A client that speaks the handshake by hand and then does with its segment what it likes.
@frozen
public struct HostileClient: ~Copyable {
    public let segment: HostileSegment
    public let socket: FileDescriptor
    /// The server's end, which is an honest one.
    public var server: Rings

    /// Connects to a server of this process, on the calling thread.
    public init(capacity: Int = 16 << 10, serverCapacity: Int = 16 << 10) throws {
        var shape = HostileSegment.Shape()
        shape.capacity = capacity
        let segment = try HostileSegment(shape)
        let pair = try Socket.pair()
        let hello = HandshakeFrame.Hello(
            versions: 1...1, features: .sharedMemory, clientCapacity: UInt32(capacity),
            serverCapacity: UInt32(serverCapacity), messageBytes: 1 << 20)
        // The server reads no byte more than it needs, so everything may be sent at once.
        try RawHandshake.send(
            pair.first.rawValue, HandshakeFrame.hello(hello).encoded(), descriptors: [segment.descriptor])
        try RawHandshake.send(pair.first.rawValue, HandshakeFrame.ready(connectionID: 7).encoded())
        let server = try ServedSocket.handshake(pair.second).get().rings()
        let (_, descriptors) = try RawHandshake.receive(pair.first.rawValue)
        for descriptor in descriptors { close(descriptor) }
        self.segment = segment
        self.server = server
        socket = pair.first
    }
}

/// Handshake frames without anything that checks them.
public enum RawHandshake {
    public static func send(_ socket: Int32, _ bytes: [UInt8], descriptors: [Int32] = []) throws {
        let io = try bytes.withUnsafeBytes { bytes in
            try Socket.send(socket, bytes, descriptors: descriptors)
        }
        guard io == .bytes(bytes.count) else { throw RingTestError("not all was sent: \(io)") }
    }

    /// What there is, at most one frame with its text.
    public static func receive(_ socket: Int32) throws -> ([UInt8], [Int32]) {
        guard try Socket.waitReadable(socket, milliseconds: 30_000) else { throw RingTestError("nothing came") }
        var bytes = [UInt8](repeating: 0, count: 512)
        let (io, descriptors) = try bytes.withUnsafeMutableBytes { bytes in
            try Socket.receive(socket, into: bytes, maximumDescriptors: 8)
        }
        guard case .bytes(let count) = io else { return ([], descriptors) }
        return (Array(bytes[..<count]), descriptors)
    }
}
