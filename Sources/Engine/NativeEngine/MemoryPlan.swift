import EngineProtocol
import Models
import Platform

/// How many positions a sequence may have, how many sequences run together and how many blocks the KV cache has, decided
/// before anything is allocated.
struct MemoryPlan: Sendable, Equatable {
    let contextLength: Int
    let parallel: Int
    let blocks: Int
    let cacheBytes: UInt64
    /// Weights, buffers and cache.
    let memoryBytes: UInt64

    /// A context length that was asked for is kept or refused; one that was not shrinks until it fits.
    ///
    /// Sequences share the blocks and take them as they grow, so more of them may run than would fit at full length.
    ///
    /// - Parameters:
    ///   - trainedContextLength: positions that the model knows; the context never exceeds it.
    ///   - blockBytes: of one block of the cache.
    ///   - weightBytes: of weights and of all that is not cache.
    ///   - memory: bytes that weights and cache may take together.
    static func decide(
        requestedContextLength: UInt32?, requestedParallel: UInt32, trainedContextLength: Int, blockBytes: UInt64,
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
        let trained = max(2, trainedContextLength)
        let room = memory > weightBytes ? (memory - weightBytes) / max(1, blockBytes) : 0
        // A context that nobody asked for leaves room for two sequences that fill it.
        let leastSequences = requestedContextLength == nil ? 2 : 1
        var context = min(trained, requestedContextLength.map(Int.init) ?? limits.defaultContextLength)
        while true {
            let sequence = blocks(of: context)
            let wholeSequences = requestedParallel == 0 ? limits.defaultWholeSequences : Int(requestedParallel)
            let wanted = min(sequence * wholeSequences, limits.cacheBlocks)
            let blocks = Int(clamping: min(UInt64(wanted), room))
            let least = min(wanted, sequence * leastSequences)
            if blocks >= least {
                return MemoryPlan(
                    contextLength: context,
                    parallel: requestedParallel == 0 ? parallel(blocks: blocks, limits) : Int(requestedParallel),
                    blocks: blocks, cacheBytes: UInt64(blocks) * blockBytes,
                    memoryBytes: weightBytes + UInt64(blocks) * blockBytes)
            }
            guard requestedContextLength == nil, context > shortestChosenContext else {
                let (needed, overflow) = UInt64(least).multipliedReportingOverflow(by: blockBytes)
                throw .resourceExhausted(
                    message: "weights and buffers (\(mebibytes(weightBytes)) MiB) and KV cache "
                        + "(\(mebibytes(overflow ? .max : needed)) MiB for \(leastSequences) sequences of \(context) "
                        + "positions) exceed the \(mebibytes(memory)) MiB that are there",
                    permanent: true)
            }
            context = max(shortestChosenContext, context / 2)
        }
    }

    /// A shorter context than this is only served when it is asked for.
    private static let shortestChosenContext = 512
    /// Positions of an ordinary sequence, where a number of sequences is chosen.
    private static let ordinaryPositions = 512

    private static func blocks(of positions: Int) -> Int {
        (positions + KeyValueCache.blockPositions - 1) / KeyValueCache.blockPositions
    }

    private static func parallel(blocks: Int, _ limits: EngineLimits) -> Int {
        max(limits.leastParallel, min(limits.defaultParallel, blocks / Self.blocks(of: ordinaryPositions)))
    }

    private static func mebibytes(_ bytes: UInt64) -> UInt64 { bytes >> 20 }
}

extension MemoryLimits {
    /// Bytes that weights and cache may take together.
    ///
    /// - Parameter granted: bytes that the model may take; 0 is all that is there.
    func usable(granted: UInt64, limits: EngineLimits) -> UInt64 {
        let there = min(limitBytes ?? .max, availableBytes)
        let usable = there > limits.reservedBytes ? there - limits.reservedBytes : 0
        return granted == 0 ? usable : min(granted, usable)
    }
}
