import CKernels
import Glibc
import Platform
import Synchronization

/// Threads that work on the parts of one job together with the thread that brings it.
///
/// Parts are claimed one by one, so which thread computes a part is left to chance; a job therefore must give the same
/// result for every assignment. A thread without work spins for some microseconds, because the next job of a step comes
/// soon, and then sleeps.
///
/// Jobs of several callers run one after the other. A job must not start another one on the same pool.
public final class ComputePool: Sendable {
    /// Threads that work on a job, the caller included.
    public let threads: Int
    /// What the kernels are chosen by.
    public let instructionSet: InstructionSet
    private let jobs = JobBoard()
    private let workers: [Thread]
    private let oneCaller = Mutex<Void>(())

    /// Starts `threads` − 1 threads at nice +5; fewer if the system gives no more.
    public init(threads: Int, instructionSet: InstructionSet = .best) {
        let jobs = self.jobs
        self.instructionSet = instructionSet
        workers = (1..<max(threads, 1)).compactMap { number in
            try? Thread.start(name: "apus-compute-\(number)", niceness: 5) { jobs.work() }
        }
        self.threads = workers.count + 1
    }

    deinit {
        jobs.stop()
        for worker in workers { worker.join() }
    }

    /// Calls `body` once with each of 0 ..< `parts`, on all threads, and returns when all calls have returned.
    public func run(parts: Int, _ body: @Sendable (Int) -> Void) {
        if parts <= 1 || threads == 1 {
            for part in 0..<max(parts, 0) { body(part) }
            return
        }
        precondition(parts <= Int(UInt32.max), "\(parts) parts")
        oneCaller.withLock { _ in
            withoutActuallyEscaping(body) { jobs.run(parts: parts, $0) }
        }
    }
}

extension ComputePool {
    /// Calls `body` with ranges of rows that together are 0 ..< `rows`.
    public func run(rows: Int, _ body: @Sendable (Range<Int>) -> Void) {
        let perPart = InputTiles.rowsPerTile
        run(parts: (rows + perPart - 1) / perPart) { body($0 * perPart..<min(($0 + 1) * perPart, rows)) }
    }
}

/// The job that is under way, and the meeting point of the threads.
///
/// `ticket` holds the number of the job in its upper half and the parts that nobody has claimed in its lower half. A
/// thread owns a part once it has lowered that count, and the job cannot end before the part does; so whoever owns a
/// part may read the body, and a thread that wakes up late finds either nothing or the next job.
private final class JobBoard: @unchecked Sendable {
    private let ticket = Atomic<UInt64>(0)
    private let unfinished = Atomic<Int>(0)
    private let sleepers = Atomic<Int>(0)
    private let callerSleeps = Atomic<Bool>(false)
    private let stopping = Atomic<Bool>(false)
    private var body: (@Sendable (Int) -> Void)?
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let newJob = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let jobDone = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    /// About 20 µs on current processors.
    private static let spins = 400

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(newJob, nil)
        pthread_cond_init(jobDone, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(newJob)
        pthread_cond_destroy(jobDone)
        mutex.deallocate()
        newJob.deallocate()
        jobDone.deallocate()
    }

    // MARK: the caller

    func run(parts: Int, _ body: @escaping @Sendable (Int) -> Void) {
        self.body = body
        unfinished.store(parts, ordering: .relaxed)
        let number = (ticket.load(ordering: .relaxed) >> 32) &+ 1
        ticket.store(number << 32 | UInt64(parts), ordering: .sequentiallyConsistent)
        if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
            letSleepersWait()
            pthread_cond_broadcast(newJob)
        }
        while claimAndRun() {}
        waitUntilDone()
        self.body = nil
    }

    /// Whoever has looked in vain waits once this returns, and so can be woken.
    ///
    /// Waking happens without the mutex: a thread that wakes at once, in the place of this one, would only run into it.
    private func letSleepersWait() {
        pthread_mutex_lock(mutex)
        pthread_mutex_unlock(mutex)
    }

    private func waitUntilDone() {
        for _ in 0..<Self.spins {
            if unfinished.load(ordering: .acquiring) == 0 { return }
            apus_relax()
        }
        pthread_mutex_lock(mutex)
        callerSleeps.store(true, ordering: .sequentiallyConsistent)
        while unfinished.load(ordering: .sequentiallyConsistent) != 0 { pthread_cond_wait(jobDone, mutex) }
        callerSleeps.store(false, ordering: .relaxed)
        pthread_mutex_unlock(mutex)
    }

    func stop() {
        stopping.store(true, ordering: .sequentiallyConsistent)
        pthread_mutex_lock(mutex)
        pthread_cond_broadcast(newJob)
        pthread_mutex_unlock(mutex)
    }

    // MARK: the threads

    func work() {
        while !stopping.load(ordering: .acquiring) {
            if claimAndRun() { continue }
            if !spinForJob() { sleepUntilJob() }
        }
    }

    private var hasUnclaimedPart: Bool { ticket.load(ordering: .sequentiallyConsistent) & 0xFFFF_FFFF != 0 }

    private func spinForJob() -> Bool {
        for _ in 0..<Self.spins {
            if hasUnclaimedPart { return true }
            apus_relax()
        }
        return false
    }

    private func sleepUntilJob() {
        pthread_mutex_lock(mutex)
        sleepers.add(1, ordering: .sequentiallyConsistent)
        while !hasUnclaimedPart && !stopping.load(ordering: .sequentiallyConsistent) {
            pthread_cond_wait(newJob, mutex)
        }
        sleepers.subtract(1, ordering: .sequentiallyConsistent)
        pthread_mutex_unlock(mutex)
    }

    /// False if no part was left to claim.
    private func claimAndRun() -> Bool {
        var seen = ticket.load(ordering: .acquiring)
        while seen & 0xFFFF_FFFF != 0 {
            let (exchanged, original) = ticket.weakCompareExchange(
                expected: seen, desired: seen - 1, ordering: .acquiringAndReleasing)
            if exchanged {
                callBody(Int(seen & 0xFFFF_FFFF) - 1)
                finishPart()
                return true
            }
            seen = original
        }
        return false
    }

    /// Never inlined, so that this thread's reference to the body is gone before the part counts as finished.
    @inline(never) private func callBody(_ part: Int) { body?(part) }

    private func finishPart() {
        guard unfinished.subtract(1, ordering: .sequentiallyConsistent).newValue == 0,
            callerSleeps.load(ordering: .sequentiallyConsistent)
        else { return }
        letSleepersWait()
        pthread_cond_signal(jobDone)
    }
}
