import TestSupport
import Testing

@testable import Tokenizers

@Suite struct PairMergingTests {
    /// Pairs by a table; ids above 9 are results of merges.
    struct RandomRule: MergeRule {
        var merges: [[Int32]: Merge]

        func merge(_ left: Symbol, _ right: Symbol) -> Merge { merges[[left.id, right.id]] ?? .none }

        init(_ random: inout SeededRandom) {
            merges = [:]
            var next: Int32 = 4
            for rank in 0..<40 {
                let pair = [Int32.random(in: 0..<next, using: &random), Int32.random(in: 0..<next, using: &random)]
                guard merges[pair] == nil else { continue }
                // Some ranks are shared, as scores can be.
                merges[pair] = Merge(rank: UInt32(rank / 2), id: next)
                next += 1
            }
        }
    }

    /// The definition, word for word: look for the best pair, merge its first occurrence, start again.
    static func reference(_ symbols: [Symbol], _ rule: RandomRule) -> [Int32] {
        var symbols = symbols
        while true {
            let merges = zip(symbols, symbols.dropFirst()).map { rule.merge($0, $1) }
            guard let best = merges.map(\.rank).min(), best != .max,
                let place = merges.firstIndex(where: { $0.rank == best })
            else { return symbols.map(\.id) }
            symbols[place].id = merges[place].id
            symbols[place].length += symbols[place + 1].length
            symbols.remove(at: place + 1)
        }
    }

    @Test("Searching and the heap both give what the definition gives", arguments: [UInt64.random(in: .min ... .max)])
    func sameResult(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<400 {
            let rule = RandomRule(&random)
            let count = Int.random(in: 0...60, using: &random)
            let symbols = (0..<count).map {
                Symbol(id: Int32.random(in: 0..<4, using: &random), start: Int32($0), length: 1)
            }
            let expected = Self.reference(symbols, rule)
            for limit in [0, 1000] {
                var merging = PairMerging()
                merging.shortLimit = limit
                merging.symbols = symbols
                merging.merge(by: rule)
                #expect(merging.symbols.map(\.id) == expected, "seed \(seed), limit \(limit)")
                #expect(merging.symbols.map { Int($0.length) }.reduce(0, +) == count)
            }
        }
    }
}
