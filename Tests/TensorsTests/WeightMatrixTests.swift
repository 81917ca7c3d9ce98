import TestSupport
import Testing

@testable import Tensors

@Suite struct WeightMatrixTests {
    /// Random weights of a type whose every bit pattern is finite after `tame`.
    private func matrix(_ type: TensorType, rows: Int, columns: Int, seed: UInt64) throws -> (WeightMatrix, [Float]) {
        var random = SeededRandom(seed: seed)
        let count = rows * (type.rowBytes(columns: columns) ?? 0)
        var bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
        tame(&bytes, type, &random)
        let owner = Bytes(bytes)
        let matrix = WeightMatrix(type: type, rows: rows, columns: columns, bytes: owner.view, owner: owner)
        let unpacked = FloatVector(type: type, count: rows * columns, bytes: owner.view)
        return (try #require(matrix), Array(try #require(unpacked).values))
    }

    /// Replaces the F16 scales, or the values themselves, by small numbers.
    private func tame(_ bytes: inout [UInt8], _ type: TensorType, _ random: inout SeededRandom) {
        let places: [TensorType: [Int]] = [
            .q8_0: [0], .q4_0: [0], .q4_1: [0, 2], .q5_0: [0], .q5_1: [0, 2], .q2_K: [80, 82], .q3_K: [108],
            .q4_K: [0, 2], .q5_K: [0, 2], .q6_K: [208], .iq4_nl: [0], .iq4_xs: [0], .f16: [0], .bf16: [0],
            .f32: [0],
        ]
        for block in stride(from: 0, to: bytes.count, by: type.bytesPerBlock) {
            for place in places[type] ?? [] {
                let value = Float.random(in: -1...1, using: &random)
                let encoded =
                    switch type {
                    case .f32: littleEndian(value.bitPattern)
                    case .bf16: littleEndian(UInt16(value.bitPattern >> 16))
                    default: littleEndian(half(value / 16))
                    }
                bytes.replaceSubrange(block + place..<block + place + encoded.count, with: encoded)
            }
        }
    }

    /// F16 bits of a normal number below 1, cut off.
    private func half(_ value: Float) -> UInt16 {
        let bits = value.bitPattern
        let exponent = Int((bits >> 23) & 0xFF) - 127 + 15
        guard exponent > 0 else { return 0 }
        return UInt16(bits >> 16 & 0x8000) | UInt16(exponent) << 10 | UInt16(bits >> 13 & 0x3FF)
    }

    private func activations(rows: Int, columns: Int, seed: UInt64) -> Rows {
        var random = SeededRandom(seed: seed)
        return Rows(rows: rows, columns: columns) { _ in Float.random(in: -1...1, using: &random) }
    }

    static let shapes: [(TensorType, columns: Int)] = [
        (.f32, 1), (.f32, 15), (.f32, 1025), (.f16, 33), (.bf16, 47), (.q8_0, 32), (.q8_0, 1056), (.q4_0, 96),
        (.q4_1, 64), (.q5_0, 64), (.q5_1, 64), (.iq4_nl, 96), (.q2_K, 512), (.q3_K, 256), (.q4_K, 1280), (.q5_K, 512),
        (.q6_K, 256), (.iq4_xs, 512),
    ]

    /// Packs the weights; the bytes must outlive the result.
    private func packed(_ weights: WeightMatrix) throws -> PackedMatrix {
        let packed = PackedMatrix(weights, name: "weights")
        try PackedMatrix.pack([packed], pool: ComputePool(threads: 2))
        return packed
    }

    private func multiply(_ weights: PackedMatrix, _ input: FloatRows, into output: FloatRows, _ pool: ComputePool)
        throws
    {
        let tiles = try InputTiles(maximumRows: input.rows, maximumColumns: input.columns)
        MatrixGroup([.init(weights)]).multiply(input, into: [output], tiles: tiles, pool: pool)
    }

    @Test(arguments: shapes) func `A product agrees with the sum in double precision`(
        type: TensorType, columns: Int
    ) throws {
        let (weights, values) = try matrix(type, rows: 21, columns: columns, seed: 1)
        let input = activations(rows: 3, columns: columns, seed: 2)
        let output = Rows(rows: 3, columns: 21) { _ in .nan }
        try multiply(try packed(weights), input.view, into: output.view, ComputePool(threads: 1))
        // Quantised activations are off by at most half a step: 1 / 127 of the largest, or of the power of two above it.
        let step = type.blockSize == 1 ? 2e-5 : 1.0 / 127
        for row in 0..<3 {
            for weightRow in 0..<21 {
                let terms = (0..<columns).map { Double(values[weightRow * columns + $0]) * Double(input.view[row][$0]) }
                let size = (0..<columns).map { abs(Double(values[weightRow * columns + $0])) }.reduce(0, +)
                #expect(abs(Double(output.view[row][weightRow]) - terms.reduce(0, +)) <= size * step + 1e-12)
            }
        }
    }

    @Test(arguments: shapes)
    func `A row has the same bits alone, in any batch, on any number of threads and in any instruction set`(
        type: TensorType, columns: Int
    ) throws {
        let (weights, _) = try matrix(type, rows: 131, columns: columns, seed: 3)
        let matrix = try packed(weights)
        let input = activations(rows: 70, columns: columns, seed: 4)
        let alone = Rows(rows: 1, columns: 131) { _ in .nan }
        let plain = ComputePool(threads: 1, instructionSet: try #require(InstructionSet(named: "plain")))
        var expected: [[UInt32]] = []
        for row in 0..<70 {
            let one = Rows(rows: 1, columns: columns) { input.view[row][$0] }
            try multiply(matrix, one.view, into: alone.view, plain)
            expected.append(alone.view[0].map(\.bitPattern))
        }
        for instructionSet in InstructionSet.available {
            for (threads, rows) in [(1, 70), (3, 2), (4, 65), (2, 3), (2, 4), (2, 5), (2, 7)] {
                let output = Rows(rows: rows, columns: 131) { _ in .nan }
                let pool = ComputePool(threads: threads, instructionSet: instructionSet)
                try multiply(matrix, input.view.prefix(rows), into: output.view, pool)
                for row in 0..<rows {
                    #expect(
                        output.view[row].map(\.bitPattern) == expected[row],
                        "row \(row) of \(rows), \(threads) threads, \(instructionSet)")
                }
            }
        }
    }

    @Test(arguments: shapes) func `A packed row unpacks to the bits of the row in the file`(
        type: TensorType, columns: Int
    ) throws {
        let (weights, values) = try matrix(type, rows: 19, columns: columns, seed: 5)
        let matrix = try packed(weights)
        let output = Rows(rows: 1, columns: columns) { _ in .nan }
        for row in [0, 15, 16, 18] {
            matrix.unpack(row: row, into: output.view, row: 0)
            #expect(output.view[0].elementsEqual(values[row * columns..<(row + 1) * columns]), "row \(row)")
            weights.unpack(row: row, into: output.view, row: 0)
            #expect(output.view[0].elementsEqual(values[row * columns..<(row + 1) * columns]), "row \(row)")
        }
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity, 3e38]) func `A row that cannot be quantised has no numbers`(
        value: Float
    ) throws {
        let (weights, _) = try matrix(.q4_0, rows: 16, columns: 64, seed: 6)
        let input = Rows(rows: 2, columns: 64) { $0 == 40 ? value : 1 }
        let output = Rows(rows: 2, columns: 16) { _ in 0 }
        try multiply(try packed(weights), input.view, into: output.view, ComputePool(threads: 1))
        #expect(output.view[0].allSatisfy { $0.isNaN })
        #expect(output.view[1].allSatisfy { $0.isFinite })
    }

    @Test func `Rows that are tiny or zero give tiny or zero results`() throws {
        let (weights, _) = try matrix(.q8_0, rows: 16, columns: 64, seed: 6)
        for value: Float in [0, .leastNonzeroMagnitude, .leastNormalMagnitude, -1e-30] {
            let input = Rows(rows: 1, columns: 64) { _ in value }
            let output = Rows(rows: 1, columns: 16) { _ in .nan }
            try multiply(try packed(weights), input.view, into: output.view, ComputePool(threads: 1))
            #expect(output.view[0].allSatisfy { abs($0) <= 64 * 8 * abs(value) })
        }
    }

    @Test(arguments: [UInt16(0x7C00), 0xFC00, 0x7E01]) func `A scale that is not finite is refused with its rows`(
        scale: UInt16
    ) throws {
        var bytes = [UInt8](repeating: 0, count: 40 * 34)
        bytes.replaceSubrange(20 * 34..<20 * 34 + 2, with: littleEndian(scale))
        let owner = Bytes(bytes)
        let weights = try #require(
            WeightMatrix(type: .q8_0, rows: 40, columns: 32, bytes: owner.view, owner: owner))
        #expect(throws: PackingFailure.scale(tensor: "weights", row: 16)) { try packed(weights) }
    }

    @Test func `Matrices of different types multiply the same rows as one group`() throws {
        let (first, _) = try matrix(.q4_0, rows: 33, columns: 256, seed: 7)
        let (second, _) = try matrix(.q6_K, rows: 16, columns: 256, seed: 8)
        let bias = Rows(rows: 1, columns: 16) { Float($0) }
        let vector = try #require(
            FloatVector(
                type: .f32, count: 16, bytes: UnsafeRawBufferPointer(UnsafeMutableRawBufferPointer(bias.view[0]))))
        let (a, b) = (try packed(first), try packed(second))
        let input = activations(rows: 9, columns: 256, seed: 9)
        let tiles = try InputTiles(maximumRows: 9, maximumColumns: 256)
        let pool = ComputePool(threads: 2)
        let (plainA, plainB) = (Rows(rows: 9, columns: 33) { _ in 0 }, Rows(rows: 9, columns: 16) { _ in 0 })
        try multiply(a, input.view, into: plainA.view, pool)
        try multiply(b, input.view, into: plainB.view, pool)
        let (outA, outB) = (Rows(rows: 9, columns: 33) { _ in 2 }, Rows(rows: 9, columns: 16) { _ in 2 })
        MatrixGroup([.init(b, bias: vector), .init(a)]).multiply(
            input.view, into: [outB.view, outA.view], adds: true, tiles: tiles, pool: pool)
        for row in 0..<9 {
            #expect((0..<33).allSatisfy { outA.view[row][$0] == 2 + plainA.view[row][$0] })
            #expect((0..<16).allSatisfy { outB.view[row][$0] == 2 + (plainB.view[row][$0] + Float($0)) })
        }
    }
}

/// Bytes that a matrix may own.
final class Bytes: @unchecked Sendable {
    let view: UnsafeRawBufferPointer
    init(_ bytes: [UInt8]) {
        // One byte off, so that nothing relies on alignment.
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count + 1, alignment: 64)
        memory[1...].copyBytes(from: bytes)
        view = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[1...])
    }
    deinit { UnsafeMutableRawPointer(mutating: view.baseAddress)?.advanced(by: -1).deallocate() }
}

/// Rows with memory of their own.
final class Rows: @unchecked Sendable {
    let view: FloatRows
    private let memory: UnsafeMutableBufferPointer<Float>
    init(rows: Int, columns: Int, _ value: (Int) -> Float) {
        memory = .allocate(capacity: rows * columns)
        for index in memory.indices { memory[index] = value(index) }
        view = FloatRows(memory, rows: rows, columns: columns)
    }
    deinit { memory.deallocate() }
}
