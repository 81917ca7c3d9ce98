import CKernels
import Foundation
import TestSupport
import Testing

@testable import Tensors

@Suite struct RowOperationTests {
    @Test func `The exponential is within two units in the last place`() {
        var worst = 0.0
        var inputs = stride(from: Float(-86.8), through: 88.7, by: 0.0037).map { $0 }
        inputs += [0, -0.0, 1e-30, -1e-30, 0.34657359, -0.34657359, 88.72]
        var values = inputs
        apus_exp(&values, values.count)
        for (input, value) in zip(inputs, values) {
            let exact = exp(Double(input))
            worst = max(worst, abs(Double(value) - exact) / Double(Float(exact).ulp))
        }
        #expect(worst <= 2, "\(worst)")
    }

    @Test func `The exponential is defined everywhere`() {
        var values: [Float] = [-.infinity, -1000, -87, 89, 1000, .infinity, .nan, 0]
        apus_exp(&values, values.count)
        #expect(values[0...2].allSatisfy { $0 == 0 } && values[3...5].allSatisfy { $0 == .infinity })
        #expect(values[6].isNaN && values[7] == 1)
    }

    @Test(arguments: [1, 15, 16, 17, 100]) func `Softmax sums to one and keeps the ratios`(count: Int) {
        var values = (0..<count).map { Float($0 % 7) - 90 }
        let exact = values.map { exp(Double($0) + 90) }
        apus_softmax(&values, count)
        for (value, weight) in zip(values, exact) {
            #expect(abs(Double(value) - weight / exact.reduce(0, +)) < 1e-6)
        }
    }

    @Test(arguments: [1, 6, 16, 37]) func `The norm divides by the root of the mean square`(count: Int) throws {
        let rows = Rows(rows: 2, columns: count) { Float($0) - 3 }
        let bytes = (0..<count).flatMap { littleEndian((Float($0) * 0.5).bitPattern) }
        let weight = try #require(bytes.withUnsafeBytes { FloatVector(type: .f32, count: count, bytes: $0) })
        let input = rows.view[1].map { Double($0) }
        rows.view.normalize(row: 1, weight: weight, epsilon: 1e-5, into: rows.view, row: 0)
        let root = (input.map { $0 * $0 }.reduce(0, +) / Double(count) + 1e-5).squareRoot()
        for place in 0..<count {
            #expect(abs(Double(rows.view[0][place]) - input[place] / root * Double(place) * 0.5) < 1e-5)
        }
    }

    @Test func `SiLU multiplies with its own sigmoid and the other row`() {
        let gate = Rows(rows: 1, columns: 50) { Float($0 - 25) * 5 }
        let up = Rows(rows: 1, columns: 50) { Float($0) * 0.25 }
        let input = gate.view[0].map { Double($0) }
        gate.view.siluMultiply(row: 0, by: up.view)
        for place in 0..<50 {
            let exact = input[place] / (1 + exp(-input[place])) * Double(place) * 0.25
            #expect(abs(Double(gate.view[0][place]) - exact) <= abs(exact) * 1e-6 + 1e-30)
        }
    }

    @Test func `SiLU gives the same bits for a row at once and in pieces`() {
        let up = Rows(rows: 2, columns: 53) { Float($0) * 0.3 - 4 }
        let whole = Rows(rows: 2, columns: 53) { Float($0) - 60 }
        let pieces = Rows(rows: 2, columns: 53) { Float($0) - 60 }
        whole.view.siluMultiply(row: 1, by: up.view)
        for range in [0..<7, 7..<8, 8..<8, 8..<40, 40..<53] {
            pieces.view.siluMultiply(row: 1, columns: range, by: up.view)
        }
        for row in 0..<2 { #expect(pieces.view[row].map(\.bitPattern) == whole.view[row].map(\.bitPattern)) }
    }

    @Test func `A scaled row is added to one row in the middle`() {
        let target = Rows(rows: 4, columns: 19) { Float($0) }
        let source = Rows(rows: 2, columns: 19) { Float($0) * 0.5 }
        let middle = target.view.rows(1..<3)
        #expect(middle.rows == 2)
        middle.add(row: 1, source.view, row: 1, scaledBy: 3)
        for place in 0..<4 * 19 {
            let (row, column) = (place / 19, place % 19)
            let added = row == 2 ? Float(19 + column) * 0.5 * 3 : 0
            #expect(target.view[row][column] == Float(place) + added)
        }
        #expect(target.view.rows(4..<4).rows == 0)
    }

    @Test(arguments: [true, false]) func `A rotation turns pairs and leaves the rest of a head`(split: Bool) {
        let rows = Rows(rows: 1, columns: 12) { Float($0) }
        let cosines = Rows(rows: 1, columns: 2) { _ in 0 }
        let sines = Rows(rows: 1, columns: 2) { _ in 1 }
        rows.view.rotateHeads(row: 0, headDimension: 6, cosines: cosines.view, sines: sines.view, split: split)
        // A quarter turn: (a, b) becomes (−b, a).
        let expected: [Float] =
            split ? [-2, -3, 0, 1, 4, 5, -8, -9, 6, 7, 10, 11] : [-1, 0, -3, 2, 4, 5, -7, 6, -9, 8, 10, 11]
        #expect(Array(rows.view[0]) == expected)
    }
}
