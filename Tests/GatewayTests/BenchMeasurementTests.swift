import EngineProtocol
import Testing

@testable import Gateway

@Suite struct BenchMeasurementTests {
    private func tokens(_ count: Int = 1) -> EngineEvent {
        .tokens(TokenChunk(choice: 0, ids: Array(repeating: 1, count: count), text: ""))
    }

    private func finished(prompt: UInt32 = 0, cached: UInt32 = 0, prefill: UInt64 = 0, decode: UInt64 = 0)
        -> EngineEvent
    {
        .finished(
            usage: Usage(promptTokens: prompt, completionTokens: 11, cachedTokens: cached),
            timings: Timings(preparation: 0, queue: 0, prefill: prefill, decode: decode))
    }

    @Test func `Only the time in which all sequences decode counts`() {
        var window = DecodeWindow(sequences: 2, tokensPerSequence: 2)
        // The first sequence decodes alone for a second: that is another speed.
        for now in [0, 500_000_000] { window.receive(tokens(), sequence: 0, now: UInt64(now)) }
        window.receive(tokens(), sequence: 1, now: 1_000_000_000)
        #expect(window.tokensPerSecond == nil && !window.isClosed)
        for step in 1...2 {
            for sequence in 0...1 {
                window.receive(tokens(), sequence: sequence, now: 1_000_000_000 + UInt64(step) * 250_000_000)
            }
        }
        #expect(window.isClosed)
        #expect(window.tokensPerSecond == 8)
        // What comes later changes nothing.
        window.receive(tokens(100), sequence: 0, now: 2_000_000_000)
        #expect(window.tokensPerSecond == 8)
    }

    @Test func `Tokens of the step in which the window opens do not count`() {
        var window = DecodeWindow(sequences: 2, tokensPerSequence: 2)
        window.receive(tokens(), sequence: 1, now: 0)
        // One message: the last sequence's first token, then another token of the other.
        window.receive(tokens(), sequence: 0, now: 1_000_000_000)
        window.receive(tokens(), sequence: 1, now: 1_000_000_000)
        for step in 1...2 {
            for sequence in 0...1 {
                window.receive(tokens(), sequence: sequence, now: 1_000_000_000 + UInt64(step) * 1_000_000_000)
            }
        }
        #expect(window.tokensPerSecond == 2)
    }

    @Test func `A sequence that ends early closes the window`() {
        var window = DecodeWindow(sequences: 2, tokensPerSequence: 100)
        for sequence in 0...1 { window.receive(tokens(), sequence: sequence, now: 0) }
        for sequence in 0...1 { window.receive(tokens(), sequence: sequence, now: 1_000_000_000) }
        window.receive(.choiceFinished(choice: 0, reason: .length), sequence: 0, now: 1_000_000_000)
        #expect(window.tokensPerSecond == 2)
    }

    @Test func `One sequence is measured by the worker`() {
        var window = DecodeWindow(sequences: 1, tokensPerSequence: 10)
        for now in 0...10 { window.receive(tokens(), sequence: 0, now: UInt64(now) * 1_000_000_000) }
        #expect(!window.isClosed)
        window.receive(finished(decode: 2_000_000_000), sequence: 0, now: 11_000_000_000)
        #expect(window.tokensPerSecond == 5)
    }

    @Test func `Prefill lasts from the first prompt's start to the last prompt's end, without what was cached`() {
        var times = PrefillTimes(sequences: 2)
        times.receive(tokens(), sequence: 0, now: 3_000_000_000)
        times.receive(finished(prompt: 100, prefill: 1_000_000_000), sequence: 0, now: 3_000_000_000)
        times.receive(tokens(), sequence: 1, now: 4_000_000_000)
        times.receive(finished(prompt: 100, cached: 20, prefill: 1_500_000_000), sequence: 1, now: 4_000_000_000)
        #expect(times.tokensPerSecond(promptTokens: 200) == 90)
        #expect(times.tokensPerSecond(promptTokens: 20) == nil)
        #expect(PrefillTimes(sequences: 1).tokensPerSecond(promptTokens: 10) == nil)
    }

    @Test func `The median of an even number lies between the two in the middle`() {
        let speeds = [3, 1, 100, 2].map { BenchSpeed(prefill: $0, decode: -$0) }
        #expect(BenchSpeed.median(of: speeds) == BenchSpeed(prefill: 2.5, decode: -2.5))
        #expect(BenchSpeed.median(of: [speeds[0]]) == speeds[0])
    }
}
