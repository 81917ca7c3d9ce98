import Glibc
public import Platform

/// The client's side of the handshake, for callers that may wait: it never takes longer than its limit.
public enum Handshake {
    public struct Options: Sendable {
        public var token: [UInt8] = []
        public var usesSharedMemory = true
        public var checksPayloads = true
        /// Bytes of this side's ring, and of the server's; powers of two.
        public var sendCapacity = SharedMemoryLimits.defaultCapacity
        public var receiveCapacity = SharedMemoryLimits.defaultCapacity
        /// Bytes of the longest message that this side sends or takes.
        public var messageBytes = SharedMemoryLimits.messageBytes
        public var versions = HandshakeFrame.versions
        public var milliseconds = Int32(SharedMemoryLimits.handshakeMilliseconds)

        public init() {}
    }

    /// Connects to a server's socket and agrees with it.
    public static func connect(
        path: String, options: Options = Options()
    ) throws(HandshakeError) -> Connection {
        let deadline = Deadline(milliseconds: options.milliseconds)
        let socket: FileDescriptor
        do throws(SystemError) {
            socket = try connect(path: path, until: deadline)
        } catch {
            throw .system(error)
        }
        return try agree(over: socket, options: options, until: deadline)
    }

    /// Agrees with the server at the other end of a socket.
    public static func connect(
        over socket: consuming FileDescriptor, options: Options = Options()
    ) throws(HandshakeError) -> Connection {
        try agree(over: socket, options: options, until: Deadline(milliseconds: options.milliseconds))
    }

    /// A server whose queue of connections is full may empty it a moment later.
    private static func connect(path: String, until deadline: Deadline) throws(SystemError) -> FileDescriptor {
        while true {
            do throws(SystemError) {
                return try Socket.connectUnix(path: path)
            } catch {
                guard error.code == EAGAIN, deadline.milliseconds > 0 else { throw error }
                poll(nil, 0, 1)
            }
        }
    }

    private static func agree(
        over socket: consuming FileDescriptor, options: Options, until deadline: Deadline
    ) throws(HandshakeError) -> Connection {
        let exchange = HandshakeExchange(socket: socket.rawValue, deadline: deadline, limit: options.milliseconds)
        let own = try options.usesSharedMemory ? makeSegment(options) : nil
        let hello = try sendHello(own, options, exchange)
        let welcome = try receiveWelcome(exchange, expecting: hello)
        let agreement = Agreement(welcome.frame)
        guard let own else {
            return Connection(agreement: agreement, transport: .stream(socket))
        }
        let peer = try peerSegment(welcome, role: .server)
        try exchange.send(HandshakeFrame.ready(connectionID: agreement.connectionID).encoded(), descriptors: [])
        let channel = RingChannel(own: own.segment, peer: peer, socket: socket)
        return Connection(agreement: agreement, transport: .rings(Rings(channel: channel)))
    }

    private static func makeSegment(_ options: Options) throws(HandshakeError) -> OwnSegmentFile {
        guard SharedMemoryLimits.isCapacity(options.sendCapacity) else {
            throw .segment(.capacity(options.sendCapacity))
        }
        do throws(SystemError) {
            return try OwnSegmentFile(role: .client, capacity: options.sendCapacity)
        } catch {
            throw .system(error)
        }
    }

    private static func sendHello(
        _ own: OwnSegmentFile?, _ options: Options, _ exchange: HandshakeExchange
    ) throws(HandshakeError) -> HandshakeFrame.Hello {
        guard options.token.count <= SharedMemoryLimits.tokenBytes else {
            throw .frame(.field("token length", UInt64(options.token.count)))
        }
        var hello = HandshakeFrame.Hello(
            versions: options.versions, features: options.checksPayloads ? .payloadChecksums : [],
            messageBytes: UInt32(clamping: options.messageBytes), tokenBytes: UInt32(options.token.count))
        if own != nil {
            hello.features.insert(.sharedMemory)
            hello.clientCapacity = UInt32(clamping: options.sendCapacity)
            hello.serverCapacity = UInt32(clamping: options.receiveCapacity)
        }
        let bytes = HandshakeFrame.hello(hello).encoded() + options.token
        // A server may refuse before it has read all of this: then its words are there to be read.
        _ = try exchange.send(bytes, descriptors: own.map { [$0.file.rawValue] } ?? [])
        return hello
    }

    private struct ReceivedWelcome {
        let frame: HandshakeFrame.Welcome
        let descriptors: HandshakeDescriptors
    }

    private static func receiveWelcome(
        _ exchange: HandshakeExchange, expecting hello: HandshakeFrame.Hello
    ) throws(HandshakeError) -> ReceivedWelcome {
        let (bytes, descriptors) = try exchange.receive(HandshakeFrame.size)
        let frame: HandshakeFrame
        do throws(FrameFault) { frame = try HandshakeFrame(decoding: bytes) } catch { throw .frame(error) }
        switch frame {
        case .refusal(let head):
            let (text, _) = try exchange.receive(Int(head.textBytes))
            throw .refused(Refusal(head.reason, text: String(decoding: text, as: UTF8.self), versions: head.versions))
        case .welcome(let welcome):
            guard hello.versions.contains(welcome.version) else { throw .notAsAsked(field: "version") }
            guard welcome.features.isSubset(of: hello.features) else { throw .notAsAsked(field: "features") }
            // A client that made a segment speaks through it: there is no half of shared memory.
            guard welcome.features.contains(.sharedMemory) == hello.features.contains(.sharedMemory) else {
                throw .notAsAsked(field: "transport")
            }
            guard welcome.clientCapacity == hello.clientCapacity else { throw .notAsAsked(field: "capacity") }
            guard welcome.messageBytes <= hello.messageBytes else { throw .notAsAsked(field: "longest message") }
            return ReceivedWelcome(frame: welcome, descriptors: descriptors)
        case .hello: throw .frame(.unexpectedKind(1))
        case .ready: throw .frame(.unexpectedKind(3))
        }
    }

    private static func peerSegment(
        _ welcome: ReceivedWelcome, role: SegmentRole
    ) throws(HandshakeError) -> PeerSegment {
        do throws(SegmentFault) {
            return try PeerSegment(
                descriptor: try welcome.descriptors.single(), role: role,
                capacity: Int(welcome.frame.serverCapacity), connectionID: welcome.frame.connectionID,
                generation: welcome.frame.generation)
        } catch {
            throw .segment(error)
        }
    }
}

/// A segment of this side with the descriptor for the other one.
final class OwnSegmentFile: Sendable {
    let segment: OwnSegment
    let file: FileDescriptor

    init(
        role: SegmentRole, capacity: Int, connectionID: UInt64 = 0, generation: UInt64 = 0
    ) throws(SystemError) {
        let (segment, descriptor) = try OwnSegment.make(
            role: role, capacity: capacity, connectionID: connectionID, generation: generation)
        self.segment = segment
        file = FileDescriptor(owning: descriptor)
    }
}

/// Descriptors that came with a frame; closed when nobody needs them any more.
final class HandshakeDescriptors {
    private(set) var all: [Int32] = []

    init() {}

    deinit { for descriptor in all { close(descriptor) } }

    func add(_ descriptors: [Int32]) { all += descriptors }

    /// The one descriptor of a frame with a segment.
    func single() throws(SegmentFault) -> FileDescriptor {
        guard all.count == 1 else { throw .descriptors(expected: 1, value: all.count) }
        return FileDescriptor(owning: all.removeFirst())
    }
}

/// Sends and receives exact numbers of bytes, until a deadline.
struct HandshakeExchange {
    let socket: Int32
    let deadline: Deadline
    let limit: Int32

    /// Sends all of the bytes; returns without an error when the other side has closed, for what it said is still there.
    func send(_ bytes: [UInt8], descriptors: [Int32]) throws(HandshakeError) {
        var sent = 0
        while sent < bytes.count {
            let part = bytes[sent...]
            let outcome = try io { () throws(SystemError) in
                try Socket.send(socket, part, descriptors: sent == 0 ? descriptors : [])
            }
            switch outcome {
            case .bytes(let count): sent += count
            case .wouldBlock: try wait(writing: true)
            case .endOfStream: return
            }
        }
    }

    /// Receives exactly so many bytes, never one of what comes behind them.
    func receive(_ count: Int) throws(HandshakeError) -> ([UInt8], HandshakeDescriptors) {
        var bytes: [UInt8] = []
        let descriptors = HandshakeDescriptors()
        while bytes.count < count {
            switch try receiveOnce(count - bytes.count, &bytes, descriptors) {
            case .bytes: continue
            case .wouldBlock: try wait(writing: false)
            case .endOfStream: throw .closed
            }
        }
        return (bytes, descriptors)
    }

    private func receiveOnce(
        _ count: Int, _ bytes: inout [UInt8], _ descriptors: HandshakeDescriptors
    ) throws(HandshakeError) -> Socket.IO {
        let part: HandshakePart
        do throws(SystemError) { part = try HandshakePart(socket: socket, count: count) } catch {
            switch error.code {
            case ECONNRESET: throw .closed
            case EMSGSIZE: throw .segment(.descriptorsCutOff)
            default: throw .system(error)
            }
        }
        bytes += part.bytes
        descriptors.add(part.descriptors)
        return part.io
    }

    private func io(_ operation: () throws(SystemError) -> Socket.IO) throws(HandshakeError) -> Socket.IO {
        do throws(SystemError) { return try operation() } catch { throw .system(error) }
    }

    private func wait(writing: Bool) throws(HandshakeError) {
        let rest = deadline.milliseconds
        guard rest > 0 else { throw .timedOut(milliseconds: limit) }
        _ = try io { () throws(SystemError) in
            let isReady =
                try writing
                ? Socket.waitWritable(socket, milliseconds: rest) : Socket.waitReadable(socket, milliseconds: rest)
            return isReady ? .bytes(0) : .wouldBlock
        }
    }
}

/// What one read of a handshake brought.
struct HandshakePart {
    let io: Socket.IO
    let bytes: [UInt8]
    let descriptors: [Int32]

    /// More descriptors than this are cut off.
    private static let mostDescriptors = 4

    init(socket: Int32, count: Int) throws(SystemError) {
        var io = Socket.IO.wouldBlock
        var descriptors: [Int32] = []
        let outcome = withUnsafeTemporaryAllocation(byteCount: count, alignment: 1) { buffer in
            Result { () throws(SystemError) in
                (io, descriptors) = try Socket.receive(
                    socket, into: buffer, maximumDescriptors: Self.mostDescriptors)
                guard case .bytes(let got) = io else { return [UInt8]() }
                return [UInt8](buffer[..<got])
            }
        }
        bytes = try outcome.get()
        self.io = io
        self.descriptors = descriptors
    }
}

extension Socket {
    /// Sends an array's bytes together with descriptors.
    static func send(
        _ socket: Int32, _ bytes: ArraySlice<UInt8>, descriptors: [Int32]
    ) throws(SystemError) -> IO {
        let outcome = bytes.withUnsafeBytes { bytes in
            Result { () throws(SystemError) in try Socket.send(socket, bytes, descriptors: descriptors) }
        }
        return try outcome.get()
    }
}
