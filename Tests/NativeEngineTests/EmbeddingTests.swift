import EngineProtocol
import NativeEngine
import TestSupport
import Testing

/// One vector for each input.
@Suite struct EmbeddingTests {
    static let inputs: [GenerateRequest.Input] = [
        .text(TensorTests.prompt), .text("a"), .ids([5, 290, 7, 9]),
        .chat(ChatInput(messagesJSON: #"[{"role":"user","content":"Hi"}]"#)),
        .text(""),
    ]

    static func vectors(_ events: [EngineEvent]) throws -> [[Float]] {
        guard events.count == 1, case .result(.embedded(let tensor, _))? = events.last else {
            throw CancellationError()
        }
        let columns = Int(tensor.columns)
        return (0..<Int(tensor.rows)).map { Array(tensor.values[$0 * columns..<($0 + 1) * columns]) }
    }

    @Test(arguments: [EmbedRequest.Pooling.last, .mean, .first])
    func `vectors are made of the hidden states`(pooling: EmbedRequest.Pooling) throws {
        let harness = try EngineHarness()
        let vectors = try Self.vectors(
            harness.embed(EmbedRequest(inputs: Self.inputs, pooling: pooling, normalizes: false)))
        let unit = try Self.vectors(harness.embed(EmbedRequest(inputs: Self.inputs, pooling: pooling)))
        try #require(vectors.count == Self.inputs.count && unit.count == Self.inputs.count)
        var promptTokens: UInt32 = 0
        for (index, input) in Self.inputs.enumerated() {
            var request = GenerateRequest(inputs: [input], maximumTokens: 0)
            request.tensors = TensorRequest(kind: .hiddenStates, credit: .max)
            let events = try harness.run(request)
            let rows = try events.rows()
            promptTokens += UInt32(rows.count)
            let expected: [Double] = rows[0].indices.map { column in
                switch pooling {
                case .last: Double(rows[rows.count - 1][column])
                case .first: Double(rows[0][column])
                case .mean: rows.reduce(0) { $0 + Double($1[column]) } / Double(rows.count)
                }
            }
            #expect(vectors[index] == expected.map { Float($0) })
            let length = expected.reduce(0) { $0 + $1 * $1 }.squareRoot()
            for (value, expected) in zip(unit[index], expected) {
                #expect(abs(Double(value) - expected / length) < 1e-6)
            }
        }
        let events = try harness.embed(EmbedRequest(inputs: Self.inputs, pooling: pooling))
        guard case .result(.embedded(_, promptTokens)) = events[0] else {
            Issue.record("another number of tokens than \(promptTokens)")
            return
        }
    }

    @Test(arguments: [EmbedRequest.Pooling.last, .mean])
    func `a vector has the same bits alone, in a batch and in chunks`(pooling: EmbedRequest.Pooling) throws {
        let request = EmbedRequest(inputs: Self.inputs, pooling: pooling)
        let alone = try Self.inputs.map { input in
            bits(try Self.vectors(EngineHarness(parallel: 1).embed(EmbedRequest(inputs: [input], pooling: pooling))))[0]
        }
        #expect(bits(try Self.vectors(EngineHarness().embed(request))) == alone)
        var limits = EngineLimits()
        limits.prefillRows = 3
        #expect(bits(try Self.vectors(EngineHarness(limits: limits).embed(request))) == alone)
        let harness = try EngineHarness(parallel: 3)
        let others = try (0..<6).map { try harness.start(.text("fox", tokens: UInt32(10 + $0))) }
        let calls = try (0..<3).map { _ in try harness.startEmbedding(request) }
        for call in calls { #expect(bits(try Self.vectors(harness.log.finished(call))) == alone) }
        for call in others { #expect(try harness.log.finished(call).count(where: \.isEnd) == 1) }
    }

    @Test func `rows in the place of tokens are embedded as the tokens are`() throws {
        let harness = try EngineHarness()
        let ids: [Int32] = [1, 70, 280, 33]
        let request = EmbedRequest(inputs: [.ids(ids), .embeddings(try TensorTests.embedding(of: ids))])
        let vectors = try Self.vectors(harness.embed(request))
        #expect(vectors[0] == vectors[1])
    }

    @Test func `a model that ends its texts has the end token embedded too`() throws {
        var writer = TinyModel().writer()
        writer.set("tokenizer.ggml.add_eos_token", .bool(true))
        let harness = try EngineHarness(model: EngineHarness.load(writer.bytes()))
        let model = harness.model
        let ids = try model.tokenize(TokenizeRequest(text: "the fox"))
        #expect(ids.last == TinyModel.eos)
        let vectors = try Self.vectors(harness.embed(EmbedRequest(inputs: [.text("the fox"), .ids(ids)])))
        #expect(vectors[0] == vectors[1])
    }

    @Test func `inputs that do not fit are refused`() throws {
        let harness = try EngineHarness(context: 32)
        #expect(throws: EngineError.contextLengthExceeded(limit: 32, prompt: 33, requested: 0)) {
            try harness.startEmbedding(EmbedRequest(inputs: [.text("a"), .ids(Array(repeating: 5, count: 33))]))
        }
        let whole = EmbedRequest(inputs: [.ids(Array(repeating: 5, count: 32))])
        #expect(try Self.vectors(harness.embed(whole)).count == 1)
        for (inputs, parameter) in [
            ([], "input"), ([.ids([-1])], "input"), ([.chat(ChatInput(messagesJSON: "x"))], "messages"),
        ]
            as [([GenerateRequest.Input], String)]
        {
            let error = #expect(throws: EngineError.self) { try harness.startEmbedding(EmbedRequest(inputs: inputs)) }
            guard case .invalidRequest(parameter, _) = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
        let many = EmbedRequest(inputs: Array(repeating: .text("a"), count: 257))
        #expect(
            throws: EngineError.invalidRequest(parameter: "input", message: "there are 257 inputs, the limit is 256")
        ) { try harness.startEmbedding(many) }
    }

    @Test func `a call ends by its deadline and by a cancellation`() throws {
        let harness = try EngineHarness(parallel: 1)
        _ = try harness.start(.text("a", tokens: 20))
        let inputs = Array(repeating: GenerateRequest.Input.text(TensorTests.prompt), count: 40)
        let late = try harness.startEmbedding(EmbedRequest(inputs: inputs, deadline: 1))
        #expect(try harness.log.finished(late) == [.failed(.deadlineExceeded)])
        let call = try harness.startEmbedding(EmbedRequest(inputs: inputs))
        harness.engine.cancel(call)
        #expect(try harness.log.finished(call).count == 1)
    }
}

extension EngineHarness {
    func startEmbedding(_ request: EmbedRequest) throws -> CallID {
        let call = nextCall()
        try engine.submit(model.prepare(request), call: call)
        return call
    }

    func embed(_ request: EmbedRequest) throws -> [EngineEvent] { try log.finished(startEmbedding(request)) }
}
