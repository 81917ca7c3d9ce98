import Testing

@testable import NativeEngine

/// Which rows a scored text computes, and which tokens they predict.
@Suite struct ScoreWindowsTests {
    static func rows(_ windows: ScoreWindows) -> [[(Int32, Int32?)]] {
        (0..<windows.count).map { window in
            (0..<windows.rows(of: window)).map { row in
                (windows.token(window: window, row: row), windows.target(window: window, row: row))
            }
        }
    }

    static func check(_ actual: [[(Int32, Int32?)]], _ expected: [[(Int32, Int32?)]]) {
        #expect(actual.count == expected.count)
        for (left, right) in zip(actual, expected) {
            #expect(left.map(\.0) == right.map(\.0))
            #expect(left.map(\.1) == right.map(\.1))
        }
    }

    @Test func `each window is fed after BOS and counts from its second token`() {
        let windows = ScoreWindows(tokens: [10, 11, 12, 13, 14], window: 3, bos: 1)
        Self.check(Self.rows(windows), [[(1, nil), (10, 11), (11, 12)], [(1, nil), (13, 14)]])
        #expect(windows.countedTokens == 3)
    }

    @Test func `a model without BOS starts from the window's first token`() {
        let windows = ScoreWindows(tokens: [10, 11, 12, 13], window: 2, bos: nil)
        Self.check(Self.rows(windows), [[(10, 11)], [(12, 13)]])
        #expect(windows.countedTokens == 2)
    }

    @Test func `a last window of one token predicts nothing`() {
        let windows = ScoreWindows(tokens: [10, 11, 12, 13], window: 3, bos: 1)
        Self.check(Self.rows(windows), [[(1, nil), (10, 11), (11, 12)]])
        #expect(ScoreWindows(tokens: [10], window: 3, bos: 1).count == 0)
        #expect(ScoreWindows(tokens: [], window: 3, bos: 1).count == 0)
    }
}

@Suite struct LogLikelihoodTests {
    static func negative(_ target: Int, _ logits: [Float]) -> Double {
        logits.withUnsafeBufferPointer { LogLikelihood.negative(of: target, in: $0) }
    }

    @Test func `equal logits share the probability`() {
        #expect(abs(Self.negative(2, [3, 3, 3, 3]) - 1.386_294_361_119_890_6) < 1e-15)
    }

    @Test func `great logits do not overflow`() {
        #expect(Self.negative(0, [30_000, 0]) == 0)
        #expect(Self.negative(1, [30_000, 0]) == 30_000)
    }

    @Test func `what is no distribution is infinite`() {
        #expect(Self.negative(0, [-.infinity, -.infinity]) == .infinity)
        #expect(Self.negative(5, [1, 2]) == .infinity)
        #expect(Self.negative(0, []) == .infinity)
    }
}
