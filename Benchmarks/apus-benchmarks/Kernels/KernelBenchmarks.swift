import Foundation
import Platform
import Tensors

/// `apus-benchmarks kernels [NAME ...] [--json]`: achieved operations and bytes per second against the measured peaks.
///
/// Names are of instruction sets, weight types or `attention`; only those are measured.
struct KernelBenchmarks {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Weights, keys and values lie in many copies, as those of a model's layers do: more than any cache holds.
    static let workingSet = 256 << 20

    private static let types = TensorType.allCases.filter(\.isComputable)
    /// Outputs and inputs of the feed-forward matrices of a model with 0.6 billion weights.
    private static let shapes = [(rows: 3072, columns: 1024), (rows: 1024, columns: 3072)]
    private static let inputRows = [1, 4, 16, 64, 256]
    private static let depths = [256, 2048, 8192]

    private let pools: [(pool: ComputePool, peaks: KernelPeaks)]
    private let types: [TensorType]
    private let measuresAttention: Bool
    private let report: (KernelFigure) -> Void

    init(names: [String], report: @escaping (KernelFigure) -> Void, describe: (String) -> Void) throws {
        let sets = InstructionSet.available
        let known = Set(sets.map(\.name) + Self.types.map(\.name) + ["attention"])
        if let name = names.first(where: { !known.contains($0) }) {
            throw Failure(description: "\(name) is none of \(known.sorted().joined(separator: ", "))")
        }
        let wantedSets = sets.filter { names.contains($0.name) }
        let wantedTypes = Self.types.filter { names.contains($0.name) }
        measuresAttention = names.contains("attention") || wantedTypes.isEmpty
        types = wantedTypes.isEmpty && !names.contains("attention") ? Self.types : wantedTypes
        self.report = report
        let threads = Set([1, CPULimits.current().usableCount]).sorted()
        pools = try (wantedSets.isEmpty ? sets : wantedSets).flatMap { set in
            try threads.map { count in
                let pool = ComputePool(threads: count, instructionSet: set)
                let peaks = try KernelPeaks.measure(pool: pool)
                describe(Self.description(pool, peaks))
                return (pool, peaks)
            }
        }
    }

    private static func description(_ pool: ComputePool, _ peaks: KernelPeaks) -> String {
        String(
            format: "%@, %d thread(s): %.0f GOP/s of bytes, %.0f GOP/s of floats, %.1f GB/s read",
            pool.instructionSet.name, pool.threads, peaks.byteOperationsPerSecond / 1e9,
            peaks.floatOperationsPerSecond / 1e9, peaks.readBytesPerSecond / 1e9)
    }

    func run() throws {
        for type in types {
            for shape in Self.shapes { try measureProducts(type, rows: shape.rows, columns: shape.columns) }
        }
        guard measuresAttention else { return }
        for type in [CacheType.f16, .q8] {
            for depth in Self.depths { try measureAttention(type, depth: depth) }
        }
    }

    private func measureProducts(_ type: TensorType, rows: Int, columns: Int) throws {
        let most = Self.inputRows.max() ?? 1
        let work = try ProductWork(type, rows: rows, columns: columns, inputRows: most, pool: pools[0].pool)
        for (pool, peaks) in pools {
            for count in Self.inputRows {
                let seconds = ContinuousClock().medianSeconds { work.multiply(turn: $0, rows: count, pool: pool) }
                report(
                    KernelFigure(
                        kernel: type.name, shape: "\(rows) × \(columns)", rows: count,
                        instructionSet: pool.instructionSet.name, threads: pool.threads,
                        operationsPerSecond: 2 * Double(rows * columns * count) / seconds,
                        bytesPerSecond: Double(work.weightBytes) / seconds,
                        peakOperationsPerSecond: type.isFloat
                            ? peaks.floatOperationsPerSecond : peaks.byteOperationsPerSecond,
                        peakBytesPerSecond: peaks.readBytesPerSecond))
            }
        }
    }

    private func measureAttention(_ type: CacheType, depth: Int) throws {
        let work = try AttentionWork(type, depth: depth, pool: pools[0].pool)
        for (pool, peaks) in pools {
            for count in [1, 64] {
                let seconds = ContinuousClock().medianSeconds { work.attend(turn: $0, rows: count, pool: pool) }
                report(
                    KernelFigure(
                        kernel: "attention \(type == .q8 ? "Q8_0" : "F16")", shape: "depth \(depth)", rows: count,
                        instructionSet: pool.instructionSet.name, threads: pool.threads,
                        operationsPerSecond: work.operations(rows: count) / seconds,
                        bytesPerSecond: Double(work.cacheBytes) / seconds,
                        peakOperationsPerSecond: peaks.floatOperationsPerSecond,
                        peakBytesPerSecond: peaks.readBytesPerSecond))
            }
        }
    }
}

extension TensorType {
    fileprivate var isFloat: Bool { blockSize == 1 }
}
