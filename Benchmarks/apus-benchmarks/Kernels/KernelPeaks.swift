import CFloatPeak
import Foundation
import Synchronization
import Tensors

/// What the threads of a pool can do at most with its instruction set.
struct KernelPeaks {
    let byteOperationsPerSecond: Double
    let floatOperationsPerSecond: Double
    let readBytesPerSecond: Double

    static func measure(pool: ComputePool) throws -> KernelPeaks {
        let machine = try MachinePeak.measure(pool: pool)
        // The best of several tries: whatever else runs can only take away.
        let floats = (0..<5).map { _ in floatOperations(pool: pool) }.max() ?? 0
        return KernelPeaks(
            byteOperationsPerSecond: machine.byteOperationsPerSecond, floatOperationsPerSecond: floats,
            readBytesPerSecond: machine.readBytesPerSecond)
    }

    private static func floatOperations(pool: ComputePool) -> Double {
        let done = Mutex((operations: 0.0, sum: Float(0)))
        let seconds = ContinuousClock().seconds {
            pool.run(parts: pool.threads) { _ in
                var sum: Float = 0
                let operations = apus_float_operations(pool.instructionSet.name, 1_000_000, &sum)
                let result = sum
                done.withLock { $0 = ($0.operations + operations, $0.sum + result) }
            }
        }
        return done.withLock { $0.operations } / seconds
    }
}

extension ContinuousClock {
    func seconds(_ work: () -> Void) -> Double {
        let elapsed = measure(work).components
        return Double(elapsed.seconds) + Double(elapsed.attoseconds) / 1e18
    }

    /// The median time of one call; calls repeat for about a tenth of a second.
    func medianSeconds(_ work: (_ turn: Int) -> Void) -> Double {
        var times: [Double] = []
        var total = 0.0
        work(0)
        while total < 0.1 || times.count < 3 {
            times.append(seconds { work(times.count + 1) })
            total += times[times.count - 1]
        }
        return times.sorted()[times.count / 2]
    }
}
