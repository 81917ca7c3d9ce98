import Glibc

/// State that several threads share, with a way to wait for a change of it.
///
/// A mutex and a condition variable; `Synchronization.Mutex` has no way to wait.
public final class Monitor<State>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let changed: UnsafeMutablePointer<pthread_cond_t>
    private var state: State

    public init(_ state: sending State) {
        self.state = state
        mutex = .allocate(capacity: 1)
        changed = .allocate(capacity: 1)
        // No call can fail with these attributes on Linux.
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(changed, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(mutex)
        changed.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` alone.
    ///
    /// The lock is not recursive.
    public func withLock<Result, Failure>(_ body: (inout State) throws(Failure) -> Result) throws(Failure) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(&state)
    }

    /// Changes the state and wakes the threads that wait.
    public func change<Result, Failure>(_ body: (inout State) throws(Failure) -> Result) throws(Failure) -> Result {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(changed)
            pthread_mutex_unlock(mutex)
        }
        return try body(&state)
    }

    /// Waits until `condition` holds, and then runs `body` before any other thread gets the state.
    ///
    /// - Parameter atMost: nanoseconds after which `body` runs even so; nil waits on.
    public func wait<Result>(
        until condition: (State) -> Bool, atMost: (State) -> UInt64? = { _ in nil }, then body: (inout State) -> Result
    ) -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while !condition(state) {
            guard let nanoseconds = atMost(state) else {
                pthread_cond_wait(changed, mutex)
                continue
            }
            var time = Self.time(after: nanoseconds)
            if pthread_cond_timedwait(changed, mutex, &time) == ETIMEDOUT { break }
        }
        return body(&state)
    }

    private static func time(after nanoseconds: UInt64) -> timespec {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let sum = UInt64(time.tv_nsec) + nanoseconds
        time.tv_sec += Int(sum / 1_000_000_000)
        time.tv_nsec = Int(sum % 1_000_000_000)
        return time
    }
}
