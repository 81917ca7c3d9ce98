import Platform

/// What the machine and the gateway grant, looked up while the worker may still read files.
struct Machine: Sendable {
    let memory: MemoryLimits
    let usableThreads: Int
    /// Whether a model takes the memory of its whole KV cache when it is loaded.
    let commitsWholeCache: Bool
    private let memoryBytes: UInt64?

    /// - Parameter memoryBytes: a limit that the gateway sets.
    static func current(memoryBytes: UInt64? = nil, commitsWholeCache: Bool = false) -> Machine {
        Machine(
            memory: MemoryLimits.current().limited(to: memoryBytes), usableThreads: CPULimits.current().usableCount,
            commitsWholeCache: commitsWholeCache, memoryBytes: memoryBytes)
    }

    /// Bytes of private memory that the worker may have: what it was given, or what was left.
    func memoryLimit(_ limits: ConfinementLimits = ConfinementLimits()) -> UInt64 {
        memoryBytes ?? (memory.availableBytes + limits.memoryBeyondPlanBytes)
    }
}
