import CKernels
import Platform
import Synchronization

/// What the processor can do at most with all threads of a pool, measured in some tenths of a second.
public struct MachinePeak: Sendable {
    /// Additions and multiplications of bytes, from registers and the first cache.
    public let byteOperationsPerSecond: Double
    /// Bytes read from memory, far beyond the caches.
    public let readBytesPerSecond: Double

    /// The best of several tries: whatever else runs can only take away.
    public static func measure(pool: ComputePool) throws(MemoryError) -> MachinePeak {
        let memory = try ReservedMemory(byteCount: areaBytes, hugePages: true)
        memory.bytes(offset: 0, count: areaBytes).initializeMemory(as: UInt8.self, repeating: 1)
        let kernels = pool.instructionSet
        let sink = Atomic<Int>(0)
        let rounds = kernels.name == "plain" ? 20_000 : 2_000_000
        var operations = 0.0
        var bytes = 0.0
        for _ in 0..<tries {
            operations = max(
                operations,
                rate(of: pool) { _ in
                    var sum: Int32 = 0
                    let done = apus_measure_products(
                        kernels.kernels, memory.bytes(offset: 0, count: 1024).baseAddress, rounds, &sum)
                    sink.wrappingAdd(Int(sum), ordering: .relaxed)
                    return Double(done)
                })
            bytes = max(
                bytes,
                rate(of: pool) { part in
                    let share = areaBytes / pool.threads / 4096 * 4096
                    let part = memory.bytes(offset: part * share, count: share)
                    let sum = apus_measure_reading(kernels.kernels, part.baseAddress, share)
                    sink.wrappingAdd(Int(sum), ordering: .relaxed)
                    return Double(share)
                })
        }
        return MachinePeak(byteOperationsPerSecond: operations, readBytesPerSecond: bytes)
    }

    private static let areaBytes = 256 << 20
    private static let tries = 5

    /// Amount per second that all threads together do.
    private static func rate(of pool: ComputePool, _ body: @escaping @Sendable (Int) -> Double) -> Double {
        let amount = Mutex(0.0)
        let start = MonotonicClock.now()
        pool.run(parts: pool.threads) { part in
            let done = body(part)
            amount.withLock { $0 += done }
        }
        return amount.withLock { $0 } / (Double(MonotonicClock.now() - start) / 1e9)
    }
}
