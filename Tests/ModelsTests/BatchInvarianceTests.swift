import ModelFiles
import Models
import Tensors
import TestSupport
import Testing

@Suite struct BatchInvarianceTests {
    /// Three sequences of different lengths, mixed in every step: one is prefilled in chunks while the others decode.
    private func mixedLogits(_ runner: DecoderRunner, _ sequences: [[Int]], chunks: [Int]) throws -> [[[Float]]] {
        var done = [Int](repeating: 0, count: sequences.count)
        var logits = [[[Float]]](repeating: [], count: sequences.count)
        while zip(done, sequences).contains(where: { $0 < $1.count }) {
            var rows: [ForwardRow] = []
            for (slot, tokens) in sequences.enumerated() {
                let end = min(done[slot] + chunks[slot], tokens.count)
                rows += DecoderRunner.rows(tokens, done[slot]..<end, slot: Int32(slot))
                done[slot] = end
            }
            for (row, result) in zip(rows, try runner.step(rows)) { logits[Int(row.sequence)].append(result) }
        }
        return logits
    }

    @Test(arguments: [
        "llama", "llama with a window", "qwen2", "qwen3", "llama with odd sizes", "qwen3moe", "qwen3moe with odd sizes",
    ])
    func `A sequence has the same bits alone, in a batch, in any chunk and on any number of threads`(
        name: String
    ) throws {
        let decoder = try TinyDecoder.named(name)
        let file = try read(decoder.gguf())
        let sequences = [decoder.tokens, Array(decoder.tokens.reversed().dropLast(3)), [7, 7, 7, 7, 7]]
        let alone = try sequences.map { tokens in
            bits(try DecoderRunner(file).logits(tokens, chunk: tokens.count))
        }
        for (threads, chunks) in [(1, [1, 1, 1]), (2, [20, 1, 2]), (3, [3, 17, 1]), (4, [7, 5, 5])] {
            let runner = try DecoderRunner(file, slots: 3, threads: threads)
            let mixed = try mixedLogits(runner, sequences, chunks: chunks)
            #expect(mixed.map(bits) == alone, "\(threads) threads, chunks \(chunks)")
        }
    }

    @Test(arguments: ["llama", "qwen3", "qwen3moe with odd sizes"], [1, 3])
    func `A prompt has the same bits with its layers spread over steps of others`(name: String, threads: Int) throws {
        let decoder = try TinyDecoder.named(name)
        let file = try read(decoder.gguf())
        let other = [7, 7, 7, 7, 7, 7, 7]
        let alone = try DecoderRunner(file).logits(decoder.tokens, chunk: decoder.tokens.count)
        let otherAlone = try DecoderRunner(file).logits(other, chunk: other.count)
        let runner = try DecoderRunner(file, slots: 2, threads: threads)
        let layers = runner.model.configuration.layerCount
        var otherLogits: [[Float]] = []
        var logits: [[Float]] = []
        // The other sequence decodes a token in each step; now and then nobody else is in the step.
        for chunk in [0..<5, 5..<6, 6..<decoder.tokens.count] {
            let prompt = DecoderRunner.rows(decoder.tokens, chunk)
            for layer in 0..<layers {
                let position = otherLogits.count
                let decoding =
                    position < other.count && layer != chunk.count % 2
                    ? DecoderRunner.rows(other, position..<position + 1, slot: 1) : []
                let step = ForwardStep(
                    rows: decoding + prompt, blockTables: runner.tables,
                    layered: LayeredRows(count: prompt.count, layers: layer..<layer + 1))
                try runner.forward(step)
                otherLogits += try decoding.indices.map { Array(try #require(runner.workspace.logits(row: $0))) }
                for row in prompt.indices {
                    let row = runner.workspace.logits(row: decoding.count + row)
                    #expect((row == nil) == (layer < layers - 1))
                    if let row { logits.append(Array(row)) }
                }
            }
        }
        #expect(layers > 1 && otherLogits.count > 1)
        #expect(bits(logits) == bits(alone))
        #expect(bits(otherLogits) == bits(Array(otherAlone.prefix(otherLogits.count))))
    }

    @Test(arguments: InstructionSet.available, ["llama with a window", "qwen3", "qwen3moe with odd sizes"])
    func `Every instruction set gives the bits of the plain reference`(
        instructionSet: InstructionSet, name: String
    ) throws {
        let decoder = try TinyDecoder.named(name)
        let file = try read(decoder.gguf())
        let plain = try DecoderRunner(file, instructionSet: try #require(InstructionSet(named: "plain")))
        let fast = try DecoderRunner(file, instructionSet: instructionSet)
        let expected = bits(try plain.logits(decoder.tokens, chunk: decoder.tokens.count))
        #expect(bits(try fast.logits(decoder.tokens, chunk: 3)) == expected)
    }

    @Test func `The order of sequences in a step does not matter`() throws {
        let decoder = try TinyDecoder.named("llama")
        let runner = try DecoderRunner(try read(decoder.gguf()), slots: 2)
        let tokens = decoder.tokens
        let a = DecoderRunner.rows(tokens, 0..<9, slot: 0)
        let b = DecoderRunner.rows(tokens, 0..<4, slot: 1)
        let first = try runner.step(a + b)
        for block in 0..<runner.cache.blocks { runner.cache.release(block: block) }
        let second = try runner.step(b + a)
        #expect(bits(first) == bits(Array(second[4...] + second[..<4])))
    }

    @Test func `A sequence that goes back and continues differently forgets what it had`() throws {
        let decoder = try TinyDecoder.named("qwen3")
        let runner = try DecoderRunner(try read(decoder.gguf()))
        let other = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
        _ = try runner.logits(other, chunk: 10)
        let again = Array(other[..<6]) + decoder.tokens
        let continued = try runner.step(DecoderRunner.rows(again, 6..<again.count))
        let fresh = try runner.logits(again, chunk: again.count)
        #expect(bits(continued) == bits(Array(fresh[6...])))
    }

    @Test func `A copied block continues as if it had been computed by its sequence`() throws {
        let decoder = try TinyDecoder.named("llama")
        let runner = try DecoderRunner(try read(decoder.gguf()), slots: 2)
        let whole = try runner.logits(decoder.tokens, chunk: 20)
        runner.cache.copyBlock(from: Int(runner.tables[0][0]), to: Int(runner.tables[1][0]))
        let continued = try runner.step(DecoderRunner.rows(decoder.tokens, 12..<20, slot: 1))
        #expect(bits(continued) == bits(Array(whole[12...])))
    }
}
