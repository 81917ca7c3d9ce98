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
            .q8_0: [0], .q4_0: [0], .q4_K: [0, 2], .q6_K: [208], .iq4_nl: [0], .f16: [0], .bf16: [0], .f32: [0],
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
        (.f32, 1), (.f32, 15), (.f32, 16), (.f32, 17), (.f32, 1023), (.f32, 1024), (.f32, 1025), (.f32, 2100),
        (.f16, 33), (.bf16, 47), (.q8_0, 32), (.q8_0, 1056), (.q4_0, 96), (.q4_K, 1280), (.q6_K, 256),
        (.iq4_nl, 96),
    ]

    @Test(arguments: shapes) func `A product agrees with the sum in double precision`(
        type: TensorType, columns: Int
    ) throws {
        let (weights, values) = try matrix(type, rows: 5, columns: columns, seed: 1)
        let input = activations(rows: 3, columns: columns, seed: 2)
        let output = Rows(rows: 3, columns: 5) { _ in .nan }
        weights.multiply(input.view, into: output.view, pool: ComputePool(threads: 1))
        for row in 0..<3 {
            for weightRow in 0..<5 {
                let terms = (0..<columns).map { Double(values[weightRow * columns + $0]) * Double(input.view[row][$0]) }
                let bound = terms.reduce(0) { $0 + abs($1) } * 1e-5 + 1e-12
                #expect(abs(Double(output.view[row][weightRow]) - terms.reduce(0, +)) <= bound)
            }
        }
    }

    @Test(arguments: shapes) func `A row has the same bits alone, in any batch and on any number of threads`(
        type: TensorType, columns: Int
    ) throws {
        let (weights, _) = try matrix(type, rows: 131, columns: columns, seed: 3)
        let input = activations(rows: 70, columns: columns, seed: 4)
        let alone = Rows(rows: 1, columns: 131) { _ in .nan }
        let single = ComputePool(threads: 1)
        var expected: [[UInt32]] = []
        for row in 0..<70 {
            let one = Rows(rows: 1, columns: columns) { input.view[row][$0] }
            weights.multiply(one.view, into: alone.view, pool: single)
            expected.append(alone.view[0].map(\.bitPattern))
        }
        for (threads, rows) in [(1, 70), (2, 70), (3, 2), (4, 65), (2, 7)] {
            let output = Rows(rows: rows, columns: 131) { _ in .nan }
            weights.multiply(input.view.prefix(rows), into: output.view, pool: ComputePool(threads: threads))
            for row in 0..<rows {
                #expect(output.view[row].map(\.bitPattern) == expected[row], "row \(row), \(threads) threads")
            }
        }
    }

    @Test func `Rows are unpacked one by one`() throws {
        let (weights, values) = try matrix(.q4_K, rows: 3, columns: 512, seed: 5)
        let output = Rows(rows: 2, columns: 512) { _ in .nan }
        weights.unpack(row: 2, into: output.view, row: 1)
        #expect(output.view[1].elementsEqual(values[1024..<1536]))
        #expect(output.view[0].allSatisfy { $0.isNaN })
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
