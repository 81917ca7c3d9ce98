import Foundation
import TestSupport
import Testing

@testable import Tensors

@Suite struct AttentionCacheTests {
    private static let positions = 400

    private func filledCache(groups: Int, dimension: Int) -> (AttentionCache, [Rows]) {
        var random = SeededRandom(seed: 11)
        let keys = Rows(rows: Self.positions, columns: groups * dimension) { _ in
            Float.random(in: -2...2, using: &random)
        }
        let values = Rows(rows: Self.positions, columns: groups * dimension) { _ in
            Float.random(in: -1...1, using: &random)
        }
        return (AttentionCache(keys: keys.view, values: values.view, headDimension: dimension), [keys, values])
    }

    @Test(arguments: [0..<1, 0..<127, 0..<129, 5..<6, 100..<130, 130..<400, 0..<400])
    func `Attention agrees with the softmax in double precision`(positions: Range<Int>) {
        let (groups, dimension, heads) = (2, 20, 6)
        let (cache, owners) = filledCache(groups: groups, dimension: dimension)
        var random = SeededRandom(seed: 12)
        let queries = Rows(rows: 2, columns: heads * dimension) { _ in Float.random(in: -2...2, using: &random) }
        let output = Rows(rows: 2, columns: heads * dimension) { _ in .nan }
        let scale = 1 / Float(dimension).squareRoot()
        for group in 0..<groups {
            cache.attend(
                queries: queries.view, row: 1, group: group, positions: positions, scale: scale, output: output.view)
        }
        withExtendedLifetime(owners) {
            for head in 0..<heads {
                let exact = reference(
                    cache, query: Array(queries.view[1][head * dimension..<(head + 1) * dimension]), group: head / 3,
                    positions: positions, scale: Double(scale))
                for place in 0..<dimension {
                    #expect(abs(Double(output.view[1][head * dimension + place]) - exact[place]) < 2e-6)
                }
            }
        }
        #expect(output.view[0].allSatisfy { $0.isNaN })
    }

    private func reference(
        _ cache: AttentionCache, query: [Float], group: Int, positions: Range<Int>, scale: Double
    ) -> [Double] {
        let dimension = query.count
        let scores = positions.map { position in
            (0..<dimension).reduce(0.0) {
                $0 + Double(query[$1]) * Double(cache.keys[position][group * dimension + $1])
            } * scale
        }
        let weights = scores.map { exp($0 - (scores.max() ?? 0)) }
        let sum = weights.reduce(0, +)
        return (0..<dimension).map { place in
            zip(positions, weights).reduce(0.0) {
                $0 + $1.1 / sum * Double(cache.values[$1.0][group * dimension + place])
            }
        }
    }

    @Test func `Stored rows are found at their position`() {
        let (cache, owners) = filledCache(groups: 1, dimension: 4)
        let keys = Rows(rows: 2, columns: 4) { Float($0) }
        let values = Rows(rows: 2, columns: 4) { Float(-$0) }
        cache.store(position: 399, keys: keys.view, values: values.view, row: 1)
        withExtendedLifetime(owners) {
            #expect(Array(cache.keys[399]) == [4, 5, 6, 7] && Array(cache.values[399]) == [-4, -5, -6, -7])
        }
    }
}
