/// A connected stream socket on an event loop: what it waits for, what it reads and writes, and its end.
///
/// Everything happens on the loop. Its owner closes it, and until then its handler may be called.
public struct ConnectionSocket: ~Copyable {
    private let loop: EventLoop
    /// -1 when it is closed.
    private var number: Int32
    private var descriptor: FileDescriptor?
    private var watch: EventLoop.WatchID?
    public private(set) var interest: EventLoop.Interest = .readable

    public init(loop: EventLoop, descriptor: consuming FileDescriptor) {
        self.loop = loop
        number = descriptor.rawValue
        self.descriptor = consume descriptor
    }

    /// Begins to wait for something to read.
    public mutating func begin(_ handler: @escaping (EventLoop.Readiness) -> Void) throws(SystemError) {
        watch = try loop.watch(number, interest, handler)
    }

    public mutating func wait(for wanted: EventLoop.Interest) {
        guard wanted != interest, let watch else { return }
        interest = wanted
        loop.change(watch, wanted)
    }

    /// Reads what is there; a connection that fails is one that has ended.
    public func read(into bytes: UnsafeMutableRawBufferPointer) -> Socket.IO {
        do throws(SystemError) { return try Socket.read(number, into: bytes) } catch { return .endOfStream }
    }

    /// Writes what fits of one or two pieces, with one call; a connection that fails is one that has ended.
    public func write(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer?) -> Socket.IO {
        do throws(SystemError) {
            guard let second, !second.isEmpty else { return try Socket.write(number, first) }
            return try Socket.write(number, first, second)
        } catch {
            return .endOfStream
        }
    }

    /// Tells the other end that nothing more will come.
    public func shutdownWriting() { Socket.shutdownWriting(number) }

    public mutating func close() {
        if let watch { loop.unwatch(watch) }
        watch = nil
        number = -1
        descriptor = nil
    }
}

extension EventLoop.Readiness {
    /// The other end of a connection is gone.
    public var isGone: Bool { !isDisjoint(with: [.peerClosed, .hangup, .error]) }
}
