import CPlatform
import Glibc
import Synchronization

/// Waits for descriptors, timers and work from other threads, and calls their handlers one after the other.
///
/// One turn: wait; handlers of ready descriptors; timers that are due; posted work; end-of-turn work. Watches are
/// level-triggered: what a handler leaves unread is reported again.
///
/// Threading: `run` may be called on any one thread at a time. `post`, `stop` and `isOnLoop` are for every thread; all
/// other members belong to the thread that runs the loop, or to anyone before it runs.
public final class EventLoop: @unchecked Sendable {
    public struct WatchID: Hashable, Sendable {
        fileprivate let tag: UInt64
    }

    public struct TimerID: Hashable, Sendable {
        fileprivate let key: TimerHeap<() -> Void>.Key
    }

    public struct Interest: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static let readable = Interest(rawValue: UInt32(apus_readable))
        public static let writable = Interest(rawValue: UInt32(apus_writable))
    }

    public struct Readiness: OptionSet, Sendable {
        public let rawValue: UInt32
        public init(rawValue: UInt32) { self.rawValue = rawValue }
        public static let readable = Readiness(rawValue: UInt32(apus_readable))
        public static let writable = Readiness(rawValue: UInt32(apus_writable))
        /// The other end of a stream socket sends nothing more, or is gone.
        ///
        /// Reported whatever the interest is.
        public static let peerClosed = Readiness(rawValue: UInt32(apus_peer_closed))
        /// Both directions are closed; for a pipe, the last writer has gone.
        ///
        /// Reported whatever the interest is.
        public static let hangup = Readiness(rawValue: UInt32(apus_hangup))
        public static let error = Readiness(rawValue: UInt32(apus_error))
    }

    private struct Inbox {
        var work: [@Sendable () -> Void] = []
        var stops = false
    }

    private let epoll: FileDescriptor
    private let wakeUp: FileDescriptor
    private let inbox = Mutex(Inbox())
    /// The thread inside `run`, zero when there is none.
    private let runner = Atomic<UInt64>(0)

    private var watches = WatchTable<(Readiness) -> Void>()
    private var timers = TimerHeap<() -> Void>()
    private var endOfTurn: [() -> Void] = []
    private var ready = [apus_readiness](repeating: apus_readiness(), count: PlatformLimits.eventsPerTurn)

    private static let wakeUpTag = UInt64.max

    public init() throws(SystemError) {
        epoll = FileDescriptor(owning: try checked(apus_epoll_create(), "make an event loop"))
        wakeUp = FileDescriptor(owning: try checked(apus_eventfd_create(), "make a wake-up descriptor"))
        let added = apus_epoll_add(
            epoll.rawValue, wakeUp.rawValue, Interest.readable.rawValue, EventLoop.wakeUpTag)
        _ = try checked(added, "watch a wake-up descriptor")
    }
}

// MARK: - From any thread

extension EventLoop {
    /// Whether the caller is a handler of this loop.
    public var isOnLoop: Bool { runner.load(ordering: .relaxed) == apus_thread_self() }

    /// Has the loop run `work` in its next turn; work that is posted earlier runs earlier.
    public func post(_ work: @escaping @Sendable () -> Void) {
        let mustWake = inbox.withLock { inbox in
            inbox.work.append(work)
            return inbox.work.count == 1
        }
        if mustWake { wake() }
    }

    /// Ends `run` after the current turn; before `run`, ends the next one.
    public func stop() {
        inbox.withLock { $0.stops = true }
        wake()
    }

    private func wake() {
        let result = apus_eventfd_signal(wakeUp.rawValue)
        precondition(result == 0, "an event loop cannot be woken (errno \(-result))")
    }
}

// MARK: - On the loop

extension EventLoop {
    /// Handles events on the calling thread until `stop`.
    public func run() {
        let isFree = runner.compareExchange(
            expected: 0, desired: apus_thread_self(), ordering: .sequentiallyConsistent
        ).exchanged
        precondition(isFree, "an event loop runs on one thread at a time")
        while !takeStop() { turn() }
        runner.store(0, ordering: .sequentiallyConsistent)
    }

    /// Calls `handler` whenever the descriptor is ready for one of the interests, or is closed by the other end.
    ///
    /// The descriptor stays the caller's. `unwatch` it before it is closed.
    public func watch(
        _ descriptor: Int32, _ interest: Interest, _ handler: @escaping (Readiness) -> Void
    ) throws(SystemError) -> WatchID {
        checkThread()
        let added = apus_epoll_add(epoll.rawValue, descriptor, interest.rawValue, watches.nextTag)
        _ = try checked(added, "watch descriptor \(descriptor)")
        return WatchID(tag: watches.insert(descriptor: descriptor, handler))
    }

    /// Replaces what a watch waits for.
    ///
    /// With no interest at all, only the other end's closing is reported.
    public func change(_ id: WatchID, _ interest: Interest) {
        checkThread()
        guard watches.isCurrent(id.tag), let watch = watches.watch(id.tag) else { return }
        _ = apus_epoll_change(epoll.rawValue, watch.descriptor, interest.rawValue, id.tag)
    }

    /// Ends a watch: its handler is not called again, not even for an event that has already been read.
    public func unwatch(_ id: WatchID) {
        checkThread()
        if let descriptor = watches.remove(id.tag) { _ = apus_epoll_remove(epoll.rawValue, descriptor) }
    }

    /// Calls `work` once, not before the time has passed; with a resolution of a millisecond.
    public func after(nanoseconds: UInt64, _ work: @escaping () -> Void) -> TimerID {
        checkThread()
        let (deadline, overflows) = MonotonicClock.now().addingReportingOverflow(nanoseconds)
        return TimerID(key: timers.insert(deadline: overflows ? .max : deadline, work))
    }

    /// Has a timer not fire; one that has fired is left alone.
    public func cancel(_ id: TimerID) {
        checkThread()
        timers.remove(id.key)
    }

    /// Calls `work` when all handlers of this turn have run: the place to send what they have gathered.
    public func atEndOfTurn(_ work: @escaping () -> Void) {
        checkThread()
        endOfTurn.append(work)
    }

    private func checkThread() {
        precondition(isOnLoop || runner.load(ordering: .relaxed) == 0, "an event loop is used from another thread")
    }
}

// MARK: - One turn

extension EventLoop {
    private func turn() {
        let count = apus_epoll_wait(epoll.rawValue, &ready, Int32(ready.count), waitMilliseconds())
        precondition(count >= 0, "an event loop cannot wait (errno \(-count))")
        for index in 0..<Int(count) { dispatch(ready[index]) }
        runTimers()
        runPosted()
        runEndOfTurn()
    }

    /// How long to wait: until the first timer, rounded up so that it is due then.
    private func waitMilliseconds() -> Int32 {
        if !endOfTurn.isEmpty { return 0 }
        guard let deadline = timers.firstDeadline else { return -1 }
        let now = MonotonicClock.now()
        guard deadline > now else { return 0 }
        let milliseconds = (deadline - now - 1) / 1_000_000 + 1
        return Int32(clamping: milliseconds)
    }

    private func dispatch(_ event: apus_readiness) {
        if event.tag == EventLoop.wakeUpTag {
            apus_eventfd_clear(wakeUp.rawValue)
        } else if let watch = watches.watch(event.tag) {
            watch.handler(Readiness(rawValue: event.events))
        }
    }

    private func runTimers() {
        guard timers.firstDeadline != nil else { return }
        // The clock is read once, so that timers which set timers without delay let sockets come in between.
        let now = MonotonicClock.now()
        while let work = timers.popDue(now: now) { work() }
    }

    private func runPosted() {
        let work = inbox.withLock { inbox in
            let work = inbox.work
            inbox.work = []
            return work
        }
        for one in work { one() }
    }

    private func runEndOfTurn() {
        while !endOfTurn.isEmpty {
            let work = endOfTurn
            endOfTurn = []
            for one in work { one() }
        }
    }

    private func takeStop() -> Bool {
        inbox.withLock { inbox in
            defer { inbox.stops = false }
            return inbox.stops
        }
    }
}
