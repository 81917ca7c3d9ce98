import Testing

@testable import Sampling

@Suite struct TokenPenaltiesTests {
    struct Probe: Sendable {
        var parameters: SamplerParameters
        var prompt: [Int32] = []
        var answer: [Int32] = []
        var expected: [Float]
    }

    /// Each row starts as 2, -2, 1, 0.
    @Test(arguments: [
        Probe(parameters: .init(), prompt: [0], answer: [1], expected: [2, -2, 1, 0]),
        Probe(parameters: .init(repetitionPenalty: 2), prompt: [0, 0], answer: [1, 1], expected: [1, -4, 1, 0]),
        Probe(parameters: .init(repetitionPenalty: 0.5), prompt: [3], answer: [0], expected: [4, -2, 1, 0]),
        Probe(parameters: .init(presencePenalty: 0.5), prompt: [0], answer: [1, 1, 2], expected: [2, -2.5, 0.5, 0]),
        Probe(parameters: .init(frequencyPenalty: 0.5), prompt: [0], answer: [1, 1, 2], expected: [2, -3, 0.5, 0]),
        Probe(
            parameters: .init(repetitionPenalty: 2, presencePenalty: 1, frequencyPenalty: 0.25), prompt: [2],
            answer: [0, 0], expected: [-0.5, -2, 0.5, 0]),
        Probe(parameters: .init(presencePenalty: -1), answer: [3], expected: [2, -2, 1, 1]),
    ])
    func `penalties change the logits of the tokens that occurred`(probe: Probe) {
        var penalties = TokenPenalties(probe.parameters)
        penalties.recordPrompt(probe.prompt)
        for token in probe.answer { penalties.recordAnswer(token) }
        var row: [Float] = [2, -2, 1, 0]
        row.withUnsafeMutableBufferPointer { penalties.apply(to: $0) }
        #expect(row == probe.expected)
    }

    @Test func `a penalty drives greedy choice away from repetition`() throws {
        var sampler = try Sampler(SamplerParameters(temperature: 0, frequencyPenalty: 1))
        let tokens = try (0..<6).map { try sampler.sample([3, 2.5, 0], position: $0, choice: 0) }
        #expect(tokens == [0, 1, 0, 1, 0, 1])
    }
}
