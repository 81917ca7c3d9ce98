import Foundation
import ModelFiles
import Models
import Platform
import Tensors

/// `apus-benchmarks quality MODEL REFERENCE`: how far a file's logits are from another program's.
///
/// It calls the model below the worker, because no request asks for all logits. The reference is written by
/// `Benchmarks/compare/llama-cpp/quality.py`, little-endian: the size of the vocabulary, BOS (-1: none) and the number of
/// windows; then for each window its length, its tokens, and the logits after each of them but the last.
struct QualityMeasurement {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private static let rowsPerStep = 64

    private let model: any DecoderModel
    private let workspace: ForwardWorkspace
    private let pool = ComputePool(threads: 2)
    private var reference: Reference
    private var rows = 0
    private var divergence = 0.0
    private var negativeLogLikelihood = 0.0

    init(model path: String, reference: String) throws {
        let file = try FileDescriptor.openForReading(path: path)
        model = try ModelRegistry.load(
            GGUFFile(parts: [GGUFBytes(mapping: MappedFile(descriptor: file.rawValue))]))
        self.reference = try Reference(path: reference)
        workspace = try ForwardWorkspace(
            configuration: model.configuration, maximumRows: Self.rowsPerStep, maximumLogitRows: Self.rowsPerStep)
        try model.pack(pool: pool)
        guard self.reference.vocabularySize == model.configuration.vocabularySize else {
            throw Failure(description: "the reference has another vocabulary than the model")
        }
    }

    /// One JSON object: what `apus score` tells, and the mean divergence in nats.
    mutating func run() throws -> String {
        for _ in 0..<reference.windows { try measureWindow() }
        let nll = negativeLogLikelihood / Double(rows)
        return "{\"tokens\":\(rows),\"nll\":\(nll),\"perplexity\":\(exp(nll)),"
            + "\"kl_divergence\":\(divergence / Double(rows))}"
    }

    private mutating func measureWindow() throws {
        let (tokens, logits) = try reference.nextWindow()
        let prefix = reference.bos.map { [$0] } ?? []
        let input = prefix + tokens.dropLast()
        let blocks = (input.count + KeyValueCache.blockPositions - 1) / KeyValueCache.blockPositions
        let cache = try KeyValueCache(configuration: model.configuration, blocks: blocks)
        for start in stride(from: 0, to: input.count, by: Self.rowsPerStep) {
            let positions = start..<min(start + Self.rowsPerStep, input.count)
            let step = ForwardStep(
                rows: positions.map {
                    ForwardRow(token: input[$0], position: Int32($0), sequence: 0, wantsLogits: true)
                }, blockTables: [(0..<Int32(blocks)).map { $0 }])
            try model.forward(step, cache: cache, workspace: workspace, pool: pool)
            for position in positions where position >= prefix.count {
                guard let own = workspace.logits(row: position - start) else { continue }
                add(own, reference: logits[position - prefix.count], target: tokens[position - prefix.count + 1])
            }
        }
    }

    private mutating func add(_ own: UnsafeMutableBufferPointer<Float>, reference: ArraySlice<Float>, target: Int32) {
        let expected = LogProbabilities(reference)
        let found = LogProbabilities(own)
        rows += 1
        negativeLogLikelihood -= found[own[Int(target)]]
        for (own, reference) in zip(own, reference) {
            let logProbability = expected[reference]
            divergence += exp(logProbability) * (logProbability - found[own])
        }
    }
}

/// The logarithm of a softmax, in double precision.
private struct LogProbabilities {
    private let logSum: Double

    init(_ logits: some Collection<Float>) {
        let greatest = Double(logits.max() ?? 0)
        logSum = greatest + log(logits.reduce(0.0) { $0 + exp(Double($1) - greatest) })
    }

    subscript(logit: Float) -> Double { Double(logit) - logSum }
}

/// Another program's logits, window by window.
private struct Reference {
    let vocabularySize: Int
    let bos: Int32?
    let windows: Int
    private let data: Data
    private var offset = 0

    init(path: String) throws {
        data = try Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped)
        let header: [Int32] = try Self.read(3, from: data, at: &offset)
        (vocabularySize, windows) = (Int(header[0]), Int(header[2]))
        bos = header[1] < 0 ? nil : header[1]
    }

    mutating func nextWindow() throws -> (tokens: [Int32], logits: [ArraySlice<Float>]) {
        let length: [Int32] = try Self.read(1, from: data, at: &offset)
        let tokens: [Int32] = try Self.read(Int(length[0]), from: data, at: &offset)
        let floats: [Float] = try Self.read((tokens.count - 1) * vocabularySize, from: data, at: &offset)
        return (tokens, (0..<tokens.count - 1).map { floats[$0 * vocabularySize..<($0 + 1) * vocabularySize] })
    }

    private static func read<Value>(_ count: Int, from data: Data, at offset: inout Int) throws -> [Value] {
        let size = count * MemoryLayout<Value>.stride
        guard count >= 0, offset + size <= data.count else {
            throw QualityMeasurement.Failure(description: "the reference ends early")
        }
        defer { offset += size }
        return data.withUnsafeBytes { bytes in
            (0..<count).map {
                bytes.loadUnaligned(fromByteOffset: offset + $0 * MemoryLayout<Value>.stride, as: Value.self)
            }
        }
    }
}
