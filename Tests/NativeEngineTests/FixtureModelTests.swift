import EngineProtocol
import NativeEngine
import TestSupport
import Testing

/// Models and vocabularies that these tests did not make.
@Suite struct FixtureModelTests {
    static let models = [
        "models/ollama-llama2-tiny-random-gguf/llama-2-tiny-random.gguf"
    ]
    static let vocabularies = ["gpt-2", "llama-spm", "phi-3", "deepseek-coder"].map {
        "vocabularies/llamacpp-vocab/ggml-vocab-\($0).gguf"
    }

    @Test(.enabled(if: Fixtures.has(models[0]), "fixtures folder is absent"), arguments: models)
    func `a foreign model generates the same text twice`(path: String) throws {
        let model = try EngineHarness.load(try Fixtures.bytes(path))
        let harness = try EngineHarness(model: model)
        var request = GenerateRequest.text("Once upon a time", tokens: 12, temperature: 0)
        let first = try harness.run(request)
        #expect(first.ids().count == 12)
        #expect(try harness.run(request).ids() == first.ids())
        request.inputs = [.text("")]
        #expect(try harness.run(request).usage?.promptTokens == 1)
    }

    @Test(.enabled(if: Fixtures.has(vocabularies[0]), "fixtures folder is absent"), arguments: vocabularies)
    func `a vocabulary without tensors tokenizes and says that it cannot generate`(path: String) throws {
        let bytes = try Fixtures.bytes(path)
        let model = try EngineHarness.load(bytes, purpose: .tokenize)
        let text = "Hello world! 123 привет 你好 👋🏽"
        let ids = try model.tokenize(TokenizeRequest(text: text, addSpecial: false))
        let decoded = String(decoding: try model.detokenize(ids), as: UTF8.self)
        #expect(decoded.hasSuffix(text))
        #expect(throws: EngineError.self) { try EngineHarness.load(bytes) }
    }
}
