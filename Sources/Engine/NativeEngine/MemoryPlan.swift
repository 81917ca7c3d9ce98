import EngineProtocol
import Platform

/// How many positions and sequences the KV cache holds, decided before anything is allocated.
struct MemoryPlan: Sendable, Equatable {
    let contextLength: Int
    let parallel: Int
    let cacheBytes: UInt64

    /// A context length that was asked for is kept or refused; one that was not shrinks until it fits.
    ///
    /// - Parameters:
    ///   - trainedContextLength: positions that the model knows; the context never exceeds it.
    ///   - bytesPerPosition: of the cache, for one sequence.
    ///   - memory: bytes that weights and cache may take together.
    static func decide(
        requestedContextLength: UInt32?, requestedParallel: UInt32, trainedContextLength: Int, bytesPerPosition: UInt64,
        weightBytes: UInt64, memory: UInt64, limits: EngineLimits
    ) throws(EngineError) -> MemoryPlan {
        guard requestedParallel <= limits.maximumParallel else {
            throw .invalidRequest(
                parameter: "parallel",
                message: "parallel is \(requestedParallel), the limit is \(limits.maximumParallel)")
        }
        if let requested = requestedContextLength, requested < 2 {
            throw .invalidRequest(parameter: "context", message: "context is \(requested), the least is 2")
        }
        let parallel = requestedParallel == 0 ? limits.defaultParallel : Int(requestedParallel)
        let trained = max(2, trainedContextLength)
        var context = min(trained, requestedContextLength.map(Int.init) ?? limits.defaultContextLength)
        while true {
            let cache = bytes(context: context, parallel: parallel, bytesPerPosition: bytesPerPosition)
            let (needed, overflow) = cache.addingReportingOverflow(weightBytes)
            if !overflow, needed <= memory {
                return MemoryPlan(contextLength: context, parallel: parallel, cacheBytes: cache)
            }
            guard requestedContextLength == nil, context > shortestChosenContext else {
                throw .resourceExhausted(
                    message: "weights (\(mebibytes(weightBytes)) MiB) and KV cache (\(mebibytes(cache)) MiB for "
                        + "\(parallel) sequences of \(context) positions) exceed the \(mebibytes(memory)) MiB that are there",
                    permanent: true)
            }
            context = max(shortestChosenContext, context / 2)
        }
    }

    /// A shorter context than this is only served when it is asked for.
    private static let shortestChosenContext = 512

    private static func bytes(context: Int, parallel: Int, bytesPerPosition: UInt64) -> UInt64 {
        let (positions, first) = UInt64(context).multipliedReportingOverflow(by: UInt64(parallel))
        let (bytes, second) = positions.multipliedReportingOverflow(by: bytesPerPosition)
        return first || second ? .max : bytes
    }

    private static func mebibytes(_ bytes: UInt64) -> UInt64 { bytes >> 20 }
}

extension MemoryLimits {
    /// Bytes that weights and cache may take together.
    func usable(limits: EngineLimits) -> UInt64 {
        let there = min(limitBytes ?? .max, availableBytes)
        return there > limits.reservedBytes ? there - limits.reservedBytes : 0
    }
}
