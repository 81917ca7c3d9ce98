import Foundation
import TestSupport
import Testing

@testable import Tensors

@Suite struct KeyValueBlocksTests {
    private static let positions = 416

    /// A cache of two layers with random keys and values in the second, block tables shuffled.
    private struct Filled {
        let keys: Rows
        let values: Rows
        let memory: ReservedMemory
        let table: [Int32]
        let heads: Int
        let dimension: Int
        let type: CacheType

        func blocks(_ instructionSet: InstructionSet) -> KeyValueBlocks {
            let layer = KeyValueBlocks.byteCount(heads: heads, headDimension: dimension, type: type)
            return KeyValueBlocks(
                memory: memory.bytes(offset: 0, count: memory.byteCount), blockBytes: 2 * layer, offset: layer,
                heads: heads, headDimension: dimension, type: type, instructionSet: instructionSet)
        }

        init(heads: Int, dimension: Int, type: CacheType = .f16) throws {
            var random = SeededRandom(seed: 11)
            // Values that F16 holds exactly.
            func value() -> Float { Float(Int.random(in: -2048...2048, using: &random)) / 1024 }
            self.heads = heads
            self.dimension = dimension
            self.type = type
            keys = Rows(rows: positions, columns: heads * dimension) { _ in value() }
            values = Rows(rows: positions, columns: heads * dimension) { _ in value() }
            let count = positions / KeyValueBlocks.positions
            memory = try ReservedMemory(
                byteCount: count * 2 * KeyValueBlocks.byteCount(heads: heads, headDimension: dimension, type: type))
            table = (0..<Int32(count)).shuffled(using: &random)
            let blocks = blocks(.best)
            for position in 0..<positions {
                blocks.store(position: position, table: table, keys: keys.view, values: values.view, row: position)
            }
        }

        func reference(query: ArraySlice<Float>, head: Int, positions: Range<Int>) -> [Double] {
            let query = Array(query)
            let scores = positions.map { position in
                (0..<dimension).reduce(0.0) {
                    $0 + Double(query[$1]) * Double(keys.view[position][head * dimension + $1])
                } / Double(dimension).squareRoot()
            }
            let weights = scores.map { exp($0 - (scores.max() ?? 0)) }
            let sum = weights.reduce(0, +)
            return (0..<dimension).map { place in
                zip(positions, weights).reduce(0.0) {
                    $0 + $1.1 / sum * Double(values.view[$1.0][head * dimension + place])
                }
            }
        }
    }

    @Test(arguments: [0..<1, 0..<127, 0..<129, 5..<6, 100..<130, 130..<400, 0..<416], [16, 20, 64])
    func `Attention agrees with the softmax in double precision`(positions: Range<Int>, dimension: Int) throws {
        let filled = try Filled(heads: 2, dimension: dimension)
        var random = SeededRandom(seed: 12)
        let queries = Rows(rows: 2, columns: 6 * dimension) { _ in Float.random(in: -2...2, using: &random) }
        let output = Rows(rows: 2, columns: 6 * dimension) { _ in .nan }
        for group in 0..<2 {
            filled.blocks(.best).attend(
                rows: 1..<2, groups: group..<group + 1, table: filled.table, queries: queries.view, output: output.view,
                scale: 1 / Float(dimension).squareRoot()
            ) { _ in positions }
        }
        for head in 0..<6 {
            let query = Array(queries.view[1])[head * dimension..<(head + 1) * dimension]
            let exact = filled.reference(query: query, head: head / 3, positions: positions)
            for place in 0..<dimension {
                #expect(abs(Double(output.view[1][head * dimension + place]) - exact[place]) < 4e-6)
            }
        }
        #expect(output.view[0].allSatisfy { $0.isNaN })
    }

    @Test(arguments: InstructionSet.available, CacheType.allCases)
    func `A row has the same bits alone and beside any others, in every instruction set`(
        instructionSet: InstructionSet, type: CacheType
    ) throws {
        let (dimension, rows) = (40, 45)
        let window: Int? = type == .q8 ? 100 : nil
        let filled = try Filled(heads: 1, dimension: dimension, type: type)
        var random = SeededRandom(seed: 13)
        let queries = Rows(rows: rows, columns: 3 * dimension) { _ in Float.random(in: -3...3, using: &random) }
        let (alone, together) = (
            Rows(rows: rows, columns: 3 * dimension) { _ in .nan },
            Rows(rows: rows, columns: 3 * dimension) { _ in .nan }
        )
        func attend(_ range: Range<Int>, _ set: InstructionSet, into output: Rows) {
            filled.blocks(set).attend(
                rows: range, groups: 0..<1, table: filled.table, queries: queries.view, output: output.view, scale: 0.3
            ) { row in
                let end = 1 + row * 9
                return max(0, end - (window ?? end))..<end
            }
        }
        for row in 0..<rows { attend(row..<row + 1, .best, into: alone) }
        for range in [0..<rows, 1..<8, 3..<30, 44..<45, 20..<24] {
            attend(range, instructionSet, into: together)
            for row in range {
                #expect(together.view[row].map(\.bitPattern) == alone.view[row].map(\.bitPattern), "row \(row)")
            }
        }
    }

    @Test(arguments: [(CacheType.f32, 4e-6), (.f16, 4e-6), (.q8, 0.02)])
    func `Every type of cache gives the softmax within its own rounding`(type: CacheType, bound: Double) throws {
        let dimension = 40
        let filled = try Filled(heads: 1, dimension: dimension, type: type)
        var random = SeededRandom(seed: 14)
        let queries = Rows(rows: 1, columns: dimension) { _ in Float.random(in: -1...1, using: &random) }
        let output = Rows(rows: 1, columns: dimension) { _ in .nan }
        filled.blocks(.best).attend(
            rows: 0..<1, groups: 0..<1, table: filled.table, queries: queries.view, output: output.view,
            scale: 1 / Float(dimension).squareRoot()
        ) { _ in 0..<300 }
        let exact = filled.reference(query: Array(queries.view[0])[...], head: 0, positions: 0..<300)
        for place in 0..<dimension { #expect(abs(Double(output.view[0][place]) - exact[place]) < bound) }
    }

    @Test(arguments: InstructionSet.available) func `What is stored is rounded to F16 and stays finite`(
        instructionSet: InstructionSet
    ) throws {
        let filled = try Filled(heads: 1, dimension: 16)
        let given: [Float] = [
            1e6, -1e6, 65504, 65519, 65520, 1.00048828125, 1.0014648, 3e-8, 2.9e-8, 6e-8, 1e-9, 0.1, -0.1, 6.1e-5, 0,
            -0.0,
        ]
        let expected: [Float] = given.map { $0.magnitude > 65504 ? $0 > 0 ? 65504 : -65504 : Float(rounded($0)) }
        let values = Rows(rows: 1, columns: 16) { given[$0] }
        let keys = Rows(rows: 1, columns: 16) { _ in 0 }
        let blocks = filled.blocks(instructionSet)
        blocks.store(position: 7, table: filled.table, keys: keys.view, values: values.view, row: 0)
        let query = Rows(rows: 1, columns: 16) { _ in 0 }
        let output = Rows(rows: 1, columns: 16) { _ in .nan }
        blocks.attend(
            rows: 0..<1, groups: 0..<1, table: filled.table, queries: query.view, output: output.view, scale: 1
        ) { _ in 7..<8 }
        #expect(Array(output.view[0]) == expected)
    }

    /// To F16 and back.
    private func rounded(_ value: Float) -> Double {
        let exponent = value == 0 ? -14 : max(-14, Int(value.magnitude.exponent))
        let unit = pow(2.0, Double(exponent - 10))
        return (Double(value) / unit).rounded(.toNearestOrEven) * unit
    }
}
