import Foundation
import ModelFiles
import Models
import Platform
import Tensors

/// `apus-benchmarks steps MODEL`: what a step of four decoding sequences takes beside rows of a deep prompt.
///
/// It calls the model below the worker, because the scheduler decides which steps there are. Depths are in turn, and the
/// numbers of rows within them, so that a slow moment of the machine meets all of them.
struct StepBenchmark {
    private static let sequences = 4
    private static let decodedPosition = 300
    private static let prefilled = 512
    private static let deepest = 8192
    private static let depths = [0, 512, 1024, 2048, 4096, 8000]
    private static let promptRows = [0, 1, 2, 4, 8, 16, 32]
    private static let repeats = 7
    private static let chunk = 256

    private let model: any DecoderModel
    private let workspace: ForwardWorkspace
    private let cache: KeyValueCache
    private let pool = ComputePool(threads: 2)
    /// Of the decoding sequences, and then of the prompt.
    private let tables: [[Int32]]

    init(model path: String) throws {
        let file = try FileDescriptor.openForReading(path: path)
        model = try ModelRegistry.load(GGUFFile(parts: [GGUFBytes(mapping: MappedFile(descriptor: file.rawValue))]))
        try model.pack(pool: pool)
        workspace = try ForwardWorkspace(
            configuration: model.configuration, maximumRows: Self.chunk, maximumLogitRows: Self.sequences)
        var blocks: Int32 = 0
        func table(positions: Int) -> [Int32] {
            let first = blocks
            blocks += Int32(positions / KeyValueCache.blockPositions)
            return Array(first..<blocks)
        }
        tables = (0..<Self.sequences).map { _ in table(positions: Self.prefilled) } + [table(positions: Self.deepest)]
        cache = try KeyValueCache(configuration: model.configuration, blocks: Int(blocks))
        try cache.commit(blocks: Int(blocks))
        for sequence in 0..<Self.sequences { try prefill(sequence, positions: Self.prefilled) }
        try prefill(Self.sequences, positions: Self.deepest)
    }

    /// A line for each depth: milliseconds, medians.
    func run() throws -> String {
        var lines = [
            "depth  " + Self.promptRows.map { "\($0) rows".padding(toLength: 9, withPad: " ", startingAt: 0) }.joined()
        ]
        for depth in Self.depths {
            var times: [[Double]] = Self.promptRows.map { _ in [] }
            for _ in 0..<Self.repeats {
                for (index, count) in Self.promptRows.enumerated() {
                    times[index].append(try milliseconds(count, at: depth))
                }
            }
            let medians = times.map { String(format: "%-9.1f", $0.sorted()[Self.repeats / 2]) }.joined()
            lines.append("\(depth)".padding(toLength: 7, withPad: " ", startingAt: 0) + medians)
        }
        return lines.joined(separator: "\n")
    }

    private func milliseconds(_ promptRows: Int, at depth: Int) throws -> Double {
        let decoding = (0..<Self.sequences).map { row(Self.decodedPosition, of: $0, wantsLogits: true) }
        let prompt = (0..<promptRows).map { row(depth + $0, of: Self.sequences) }
        let clock = ContinuousClock()
        return try clock.measure { try compute(decoding + prompt) } / .milliseconds(1)
    }

    private func prefill(_ sequence: Int, positions: Int) throws {
        for start in stride(from: 0, to: positions, by: Self.chunk) {
            try compute((start..<start + Self.chunk).map { row($0, of: sequence) })
        }
    }

    private func row(_ position: Int, of sequence: Int, wantsLogits: Bool = false) -> ForwardRow {
        ForwardRow(
            token: Int32(position % 1000), position: Int32(position), sequence: Int32(sequence),
            wantsLogits: wantsLogits)
    }

    private func compute(_ rows: [ForwardRow]) throws {
        try model.forward(
            ForwardStep(rows: rows, blockTables: tables), cache: cache, workspace: workspace, pool: pool)
    }
}
