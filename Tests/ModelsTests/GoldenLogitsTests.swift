import ModelFiles
import Models
import Tensors
import TestSupport
import Testing

@Suite struct GoldenLogitsTests {
    @Test(arguments: try TinyDecoder.fromTransformers()) func `Logits agree with the transformers library`(
        decoder: TinyDecoder
    ) throws {
        let logits = try DecoderRunner(try read(decoder.gguf()), threads: 2, cacheType: .f32)
            .logits(decoder.tokens, chunk: 6)
        for (position, expected) in decoder.logits {
            let row = try #require(Int(position))
            let difference = largestDifference(logits[row], expected)
            #expect(difference < 1e-4, "position \(row): \(difference)")
        }
    }

    @Test(arguments: try TinyDecoder.all()) func `Logits agree with a computation in double precision`(
        decoder: TinyDecoder
    ) throws {
        let file = try read(decoder.gguf())
        for chunk in [20, 1, 7] {
            let logits = try DecoderRunner(file, cacheType: .f32).logits(decoder.tokens, chunk: chunk)
            for (position, expected) in decoder.logits {
                let row = try #require(Int(position))
                let difference = largestDifference(logits[row], expected)
                #expect(difference < 1e-4, "position \(row), chunks of \(chunk): \(difference)")
            }
        }
    }

    @Test func `The configuration says what the file says`() throws {
        let qwen3 = try ModelRegistry.load(read(try TinyDecoder.named("qwen3").gguf()))
        let configuration = qwen3.configuration
        #expect(configuration.architecture == "qwen3" && configuration.tiedEmbeddings)
        #expect(configuration.layerCount == 2 && configuration.width == 20 && configuration.vocabularySize == 23)
        #expect(configuration.headCount == 4 && configuration.keyValueHeadCount == 2)
        #expect(configuration.headDimension == 8 && configuration.feedForwardWidth == 28)
        #expect(configuration.trainedContextLength == 64 && configuration.slidingWindow == nil)
        #expect(configuration.cacheBytesPerBlock(.f16) == 2 * 2 * 32 * (8 + 16) * 2)
        let perLayer = 20 + 20 * 32 + 2 * 20 * 16 + 2 * 8 + 32 * 20 + 20 + 3 * 20 * 28
        #expect(qwen3.parameterCount == UInt64(23 * 20 + 2 * perLayer + 20))
        #expect(qwen3.weightBytes == 4 * qwen3.parameterCount)
        let window = try ModelRegistry.load(read(try TinyDecoder.named("llama with a window").gguf()))
        #expect(window.configuration.slidingWindow == 5)
    }
}
