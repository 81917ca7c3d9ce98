import Foundation
import ModelFiles
import Models
import Tensors
import TestSupport
import Testing

/// What the output matrix is multiplied with, and rows in the place of tokens.
@Suite struct HiddenStateTests {
    @Test(arguments: try TinyDecoder.fromTransformers())
    func `Hidden states agree with the transformers library`(decoder: TinyDecoder) throws {
        let expected = try #require(decoder.hiddenStates)
        let runner = try DecoderRunner(try read(decoder.gguf()), threads: 2, cacheType: .f32)
        for chunk in [20, 6, 1] {
            let states = try runner.hiddenStates(decoder.tokens, chunk: chunk)
            for (position, expected) in expected {
                let difference = largestDifference(states[try #require(Int(position))], expected)
                #expect(difference < 1e-4, "position \(position), chunks of \(chunk): \(difference)")
            }
        }
    }

    struct Reference: Decodable {
        let sequences: [[Int]]
        let logits: [[[Double]]]
    }

    private static let folder = "models/neural-api"

    @Test(
        .enabled(if: Fixtures.has(folder), "fixtures folder is absent"),
        arguments: [("llama", "llama"), ("mistral", "llama"), ("qwen2", "qwen2"), ("qwen3", "qwen3")])
    func `The output matrix makes the library's logits of them`(name: String, architecture: String) throws {
        let model = try HuggingFaceModel(
            configuration: try Fixtures.bytes("\(Self.folder)/tiny_\(name)_config.json"),
            safetensors: try Fixtures.bytes("\(Self.folder)/tiny_\(name).safetensors"))
        let bytes = try Fixtures.bytes("\(Self.folder)/tiny_\(name)_logits.json")
        let reference = try JSONDecoder().decode(Reference.self, from: Data(bytes))
        let tied = model.configuration["tie_word_embeddings"] as? Bool == true
        let output = try #require(model.tensors[tied ? "model.embed_tokens.weight" : "lm_head.weight"])
        try #require(output.dataType == "F32")
        let weights = output.data.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
        let runner = try DecoderRunner(try read(model.gguf(architecture: architecture)), cacheType: .f32)
        for (tokens, expected) in zip(reference.sequences, reference.logits) {
            for (state, expected) in zip(try runner.hiddenStates(tokens, chunk: 5), expected) {
                let logits = expected.indices.map { row in
                    zip(weights[row * state.count..<(row + 1) * state.count], state)
                        .reduce(Float(0)) { $0 + $1.0 * $1.1 }
                }
                let difference = largestDifference(logits, expected)
                #expect(difference < 1e-4, "\(difference)")
            }
        }
    }

    @Test(arguments: ["llama with a window", "qwen3", "qwen3moe with odd sizes"])
    func `They have the same bits with and without logits, alone, in a batch and in any chunk`(name: String) throws {
        let decoder = try TinyDecoder.named(name)
        let file = try read(decoder.gguf())
        let alone = bits(try DecoderRunner(file).hiddenStates(decoder.tokens, chunk: decoder.tokens.count))
        for (threads, chunk) in [(1, 1), (2, 7), (3, 20)] {
            let runner = try DecoderRunner(file, slots: 2, threads: threads)
            var states: [[Float]] = []
            for start in stride(from: 0, to: decoder.tokens.count, by: chunk) {
                let range = start..<min(start + chunk, decoder.tokens.count)
                // Every other row wants logits too, and another sequence lies in between.
                var rows = DecoderRunner.rows(decoder.tokens.reversed(), range, slot: 1)
                for position in range {
                    rows.append(
                        ForwardRow(
                            token: Int32(decoder.tokens[position]), position: Int32(position), sequence: 0,
                            wantsLogits: position % 2 == 0, wantsHiddenState: true))
                }
                try runner.compute(ForwardStep(rows: rows, blockTables: runner.tables))
                for row in range.count..<rows.count {
                    states.append(Array(try #require(runner.workspace.hiddenState(row: row))))
                    #expect((runner.workspace.logits(row: row) != nil) == rows[row].wantsLogits)
                }
            }
            #expect(bits(states) == alone, "\(threads) threads, chunks of \(chunk)")
        }
    }

    @Test(arguments: ["llama", "qwen3", "qwen3moe"])
    func `Rows of the embedding in the place of tokens change nothing`(name: String) throws {
        let decoder = try TinyDecoder.named(name)
        let file = try read(decoder.gguf())
        let tensor = try #require(file.tensor(named: "token_embd.weight"))
        let vector = try #require(
            FloatVector(type: tensor.type, count: tensor.elementCount, bytes: file.bytes(of: tensor)))
        let table = withExtendedLifetime(vector) { Array($0.values) }
        let runner = try DecoderRunner(file, cacheType: .f32)
        let expected = bits(try runner.logits(decoder.tokens, chunk: 20))
        var logits: [[Float]] = []
        for start in stride(from: 0, to: 20, by: 6) {
            var rows = DecoderRunner.rows(decoder.tokens, start..<min(start + 6, 20))
            var embeddings: [Float] = []
            // Every third row stays a token.
            for index in rows.indices where index % 3 != 0 {
                let token = Int(rows[index].token)
                rows[index].embedding = Int32(embeddings.count / decoder.width)
                rows[index].token = 0
                embeddings += table[token * decoder.width..<(token + 1) * decoder.width]
            }
            var step = ForwardStep(rows: rows, blockTables: runner.tables)
            step.embeddings = embeddings
            try runner.compute(step)
            logits += try rows.indices.map { Array(try #require(runner.workspace.logits(row: $0))) }
        }
        #expect(bits(logits) == expected)
    }

    @Test func `A row that is not there is refused`() throws {
        let decoder = try TinyDecoder.named("llama")
        let runner = try DecoderRunner(try read(decoder.gguf()))
        for index: Int32 in [-1, 1] {
            var step = ForwardStep(rows: DecoderRunner.rows([1], 0..<1), blockTables: runner.tables)
            step.embeddings = Array(repeating: 0, count: 2 * decoder.width - 1)
            step.rows[0].embedding = index
            #expect(throws: ForwardError.embeddingOutOfRange(row: index, rows: 1)) { try runner.compute(step) }
        }
    }
}

extension DecoderRunner {
    func compute(_ step: ForwardStep) throws(ForwardError) {
        try model.forward(step, cache: cache, workspace: workspace, pool: pool)
    }

    /// Hidden states of each token, computed in chunks of `chunk` rows without logits.
    func hiddenStates(_ tokens: [Int], chunk: Int) throws -> [[Float]] {
        try stride(from: 0, to: tokens.count, by: chunk).flatMap { start in
            let rows = (start..<min(start + chunk, tokens.count)).map {
                ForwardRow(
                    token: Int32(tokens[$0]), position: Int32($0), sequence: 0, wantsLogits: false,
                    wantsHiddenState: true)
            }
            try compute(ForwardStep(rows: rows, blockTables: tables))
            return try rows.indices.map { Array(try #require(workspace.hiddenState(row: $0))) }
        }
    }
}
