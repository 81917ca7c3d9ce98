import CPlatform
import Glibc

/// A TCP listener and the port that it got.
@frozen
public struct ListeningSocket: ~Copyable {
    public var descriptor: FileDescriptor
    public var port: UInt16
}

/// Two connected stream sockets.
@frozen
public struct SocketPair: ~Copyable {
    public var first: FileDescriptor
    public var second: FileDescriptor
}

/// Stream sockets, all non-blocking and closed on exec.
public enum Socket {
    /// What a call that never waits has done.
    public enum IO: Equatable, Sendable {
        case bytes(Int)
        case wouldBlock
        /// Reading: the other end sends nothing more. Writing: it is gone.
        case endOfStream
    }

    /// Listens on a numeric address or a name; port 0 asks for any free port.
    public static func listenTCP(
        host: String, port: UInt16, backlog: Int32 = 1024
    ) throws(SystemError) -> ListeningSocket {
        try refuseZeroByte(in: host, "listen")
        var boundPort: UInt16 = 0
        let made = try checked(apus_listen_tcp(host, port, backlog, &boundPort), "listen on \(host) port \(port)")
        return ListeningSocket(descriptor: FileDescriptor(owning: made), port: boundPort)
    }

    /// Listens at a path, which must not exist yet; `mode` holds its permission bits.
    public static func listenUnix(
        path: String, mode: UInt32 = 0o600, backlog: Int32 = 1024
    ) throws(SystemError) -> FileDescriptor {
        try refuseZeroByte(in: path, "listen")
        return FileDescriptor(owning: try checked(apus_listen_unix(path, mode, backlog), "listen on \(path)"))
    }

    /// Begins a connection: it is decided when the socket becomes writable, see `connectionError`.
    public static func connectTCP(host: String, port: UInt16) throws(SystemError) -> FileDescriptor {
        try refuseZeroByte(in: host, "connect")
        return FileDescriptor(owning: try checked(apus_connect_tcp(host, port), "connect to \(host) port \(port)"))
    }

    public static func connectUnix(path: String) throws(SystemError) -> FileDescriptor {
        try refuseZeroByte(in: path, "connect")
        return FileDescriptor(owning: try checked(apus_connect_unix(path), "connect to \(path)"))
    }

    /// Takes away the socket that a process left at a path when it died: one that refuses connections.
    ///
    /// Anything else at that path, and the socket of a living process, stays.
    public static func removeStaleUnixSocket(path: String) {
        do throws(SystemError) {
            _ = try connectUnix(path: path)
        } catch {
            if error.code == ECONNREFUSED { removeUnixSocket(path: path) }
        }
    }

    /// Removes the socket at a path, and nothing but a socket.
    public static func removeUnixSocket(path: String) {
        var status = stat()
        if lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK { unlink(path) }
    }

    /// Lets a group's members connect to the Unix socket at a path, whose mode becomes 0660.
    public static func share(unixPath: String, withGroup group: String) throws(SystemError) {
        try refuseZeroByte(in: unixPath, "share")
        _ = try checked(apus_share_with_group(unixPath, group), "share \(unixPath) with the group '\(group)'")
    }

    public static func pair() throws(SystemError) -> SocketPair {
        var made: [Int32] = [-1, -1]
        _ = try checked(apus_socket_pair(&made), "make a socket pair")
        return SocketPair(first: FileDescriptor(owning: made[0]), second: FileDescriptor(owning: made[1]))
    }

    /// The next waiting connection, nil when none is there.
    ///
    /// `EMFILE` and `ENFILE` leave the connection in the queue: try again when descriptors are free.
    public static func accept(_ listener: Int32) throws(SystemError) -> FileDescriptor? {
        let made = apus_accept(listener)
        if made == -EAGAIN { return nil }
        return FileDescriptor(owning: try checked(made, "accept a connection"))
    }

    /// How a connection that was begun has ended: nil for well.
    public static func connectionError(_ descriptor: Int32) -> SystemError? {
        let result = apus_socket_error(descriptor)
        return result == 0 ? nil : SystemError(operation: "connect", code: -result)
    }

    /// The numeric address of the other end of a TCP connection, nil for other sockets.
    public static func peerAddress(_ descriptor: Int32) -> (text: String, isLoopback: Bool)? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
            var isLoopback = false
            guard let start = text.baseAddress,
                apus_peer_address(descriptor, start, text.count, &isLoopback) == 0
            else { return nil }
            return (String(cString: start), isLoopback)
        }
    }

    /// The numeric address and port of this end of a TCP socket, nil for other sockets.
    public static func ownAddress(_ descriptor: Int32) -> (text: String, port: UInt16, isLoopback: Bool)? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
            var port: UInt16 = 0
            var isLoopback = false
            guard let start = text.baseAddress,
                apus_own_address(descriptor, start, text.count, &port, &isLoopback) == 0
            else { return nil }
            return (String(cString: start), port, isLoopback)
        }
    }

    /// Takes over a listening stream socket, TCP or Unix, that this process was started with.
    ///
    /// - Throws: `EINVAL` for any other descriptor, which is left as it is, and open.
    public static func adoptListener(_ descriptor: Int32) throws(SystemError) -> FileDescriptor {
        _ = try checked(apus_adopt_listener(descriptor), "use descriptor \(descriptor) as a listening stream socket")
        return FileDescriptor(owning: descriptor)
    }

    /// A socket that sends datagrams to Unix sockets.
    public static func datagram() throws(SystemError) -> FileDescriptor {
        FileDescriptor(owning: try checked(apus_datagram_socket(), "make a datagram socket"))
    }

    /// Sends one datagram without waiting: `EAGAIN` when the receiver's queue is full.
    ///
    /// - Parameter path: a leading `@` stands for an abstract name.
    public static func send(_ descriptor: Int32, datagram: [UInt8], to path: String) throws(SystemError) {
        try refuseZeroByte(in: path, "send to")
        let sent = datagram.withUnsafeBytes { apus_send_datagram(descriptor, path, $0.baseAddress, $0.count) }
        _ = try checked(sent, "send to \(path)")
    }

    /// Reads what is there; works for pipes too.
    public static func read(
        _ descriptor: Int32, into bytes: UnsafeMutableRawBufferPointer
    ) throws(SystemError) -> IO {
        let count = apus_read(descriptor, bytes.baseAddress, bytes.count)
        if count == 0 && !bytes.isEmpty { return .endOfStream }
        return try outcome(count, "read from descriptor \(descriptor)")
    }

    /// Writes what fits; a closed other end is `.endOfStream` and raises no signal.
    public static func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) throws(SystemError) -> IO {
        try writeOutcome(apus_send(descriptor, bytes.baseAddress, bytes.count), descriptor)
    }

    /// Writes two pieces, one after the other, with one call.
    public static func write(
        _ descriptor: Int32, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer
    ) throws(SystemError) -> IO {
        let count = apus_send_two(descriptor, first.baseAddress, first.count, second.baseAddress, second.count)
        return try writeOutcome(count, descriptor)
    }

    /// Waits until something can be read, or the other end is gone; false when nothing happened for so long.
    public static func waitReadable(_ descriptor: Int32, milliseconds: Int32) throws(SystemError) -> Bool {
        try checked(apus_wait_readable(descriptor, milliseconds), "wait for descriptor \(descriptor)") > 0
    }

    /// Waits until something can be written; false when nothing could for so long.
    public static func waitWritable(_ descriptor: Int32, milliseconds: Int32) throws(SystemError) -> Bool {
        try checked(apus_wait_writable(descriptor, milliseconds), "wait for descriptor \(descriptor)") > 0
    }

    /// Tells the other end that nothing more will come, while what it sends can still be read.
    public static func shutdownWriting(_ descriptor: Int32) { _ = apus_shutdown_writing(descriptor) }
}

// MARK: - Descriptors over Unix sockets

extension Socket {
    /// Sends bytes together with copies of descriptors, which stay the caller's.
    ///
    /// The descriptors travel with the first byte: after a partial write, only the rest of the bytes is sent again.
    public static func send(
        _ descriptor: Int32, _ bytes: UnsafeRawBufferPointer, descriptors: [Int32]
    ) throws(SystemError) -> IO {
        let count = apus_send_descriptors(
            descriptor, bytes.baseAddress, bytes.count, descriptors, Int32(clamping: descriptors.count))
        return try writeOutcome(count, descriptor)
    }

    /// Reads bytes and the descriptors that came with them; the caller owns those.
    ///
    /// More descriptors than `maximumDescriptors` are an error (`EMSGSIZE`), and all of them are closed.
    public static func receive(
        _ descriptor: Int32, into bytes: UnsafeMutableRawBufferPointer, maximumDescriptors: Int
    ) throws(SystemError) -> (IO, [Int32]) {
        let capacity = min(max(maximumDescriptors, 0), PlatformLimits.descriptorsPerMessage)
        return try withUnsafeTemporaryAllocation(
            of: Int32.self, capacity: max(capacity, 1)
        ) { received throws(SystemError) in
            var receivedCount: Int32 = 0
            let count = apus_receive_descriptors(
                descriptor, bytes.baseAddress, bytes.count, received.baseAddress, Int32(capacity), &receivedCount)
            if count == 0 && !bytes.isEmpty { return (.endOfStream, []) }
            let io = try outcome(count, "receive from descriptor \(descriptor)")
            return (io, Array(received.prefix(Int(receivedCount))))
        }
    }
}

@inline(__always)
private func outcome(_ count: Int64, _ operation: @autoclosure () -> String) throws(SystemError) -> Socket.IO {
    if count >= 0 { return .bytes(Int(count)) }
    if count == Int64(-EAGAIN) { return .wouldBlock }
    throw SystemError(operation: operation(), code: Int32(-count))
}

@inline(__always)
private func writeOutcome(_ count: Int64, _ descriptor: Int32) throws(SystemError) -> Socket.IO {
    if count == Int64(-EPIPE) || count == Int64(-ECONNRESET) { return .endOfStream }
    return try outcome(count, "write to descriptor \(descriptor)")
}
