import CPlatform
import Synchronization

/// An owned operating-system thread.
public final class Thread: Sendable {
    private let handle: UInt64
    private let isJoined = Mutex(false)

    private init(handle: UInt64) { self.handle = handle }

    /// Starts a thread that calls `body` once.
    ///
    /// - `name`: shown by `top` and debuggers, of which Linux keeps 15 bytes.
    /// - `niceness`: of this thread alone; 5 for computing, 0 for input and output.
    public static func start(
        name: String, niceness: Int32 = 0, stackBytes: Int = PlatformLimits.stackBytes,
        _ body: @escaping @Sendable () -> Void
    ) throws(SystemError) -> Thread {
        let box = Unmanaged.passRetained(ThreadBody(run: body))
        var handle: UInt64 = 0
        let started = apus_thread_start(name, niceness, stackBytes, runThreadBody, box.toOpaque(), &handle)
        if started < 0 {
            box.release()
            throw SystemError(operation: "start thread \(name)", code: -started)
        }
        return Thread(handle: handle)
    }

    /// Waits until the thread has ended.
    ///
    /// A second call returns when the first one does.
    public func join() {
        isJoined.withLock { isJoined in
            if !isJoined { _ = apus_thread_join(handle) }
            isJoined = true
        }
    }
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void
    init(run: @escaping @Sendable () -> Void) { self.run = run }
}

private func runThreadBody(_ context: UnsafeMutableRawPointer?) {
    guard let context else { return }
    Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run()
}
