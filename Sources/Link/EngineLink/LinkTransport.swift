import Platform

/// How far a write has come.
enum LinkProgress: Equatable {
    case bytes(Int)
    /// Go on when the socket is writable.
    case waitsForSocket
    /// Go on when the peer has made room; it wakes this side.
    case waitsForRoom
    case endOfStream
}

/// The writing half of what carries a link, used by one thread at a time.
protocol LinkOutput: AnyObject, Sendable {
    /// Longer payloads travel as memory files.
    var maximumInlinePayload: Int { get }
    /// Whether bytes of several messages may be written together, and those of one in several parts.
    var isStream: Bool { get }
    /// Writes what there is room for.
    ///
    /// Descriptors travel with the first byte: after a partial write only the rest of the bytes is written again.
    func write(
        _ bytes: UnsafeRawBufferPointer, _ descriptors: [LinkDescriptor]
    ) -> Result<LinkProgress, LinkCloseReason>
    /// Shows the peer what was written.
    func publish()
}

/// The reading half of what carries a link, used on its loop only.
protocol LinkInput: AnyObject {
    /// How often `receive` may be called before the loop's other work gets its turn.
    var receivesPerTurn: Int { get }
    func start(on loop: EventLoop, _ handler: @escaping (EventLoop.Readiness) -> Void) throws(SystemError)
    /// Whether the handler is also to be told that the socket is writable.
    func watchWriting(_ isWanted: Bool)
    /// Looks at once what a watch would tell later: before the last read of a link whose other end is gone.
    func refresh()
    /// Moves what is there to the receiver, as far as it takes it at a time.
    func receive(into receiver: inout LinkReceiver) -> Result<Socket.IO, LinkCloseReason>
    func stop()
}
