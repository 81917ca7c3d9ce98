import EngineProtocol
import ModelFiles
import NativeEngine
import TestSupport
import Testing

/// Rows that leave a generation: hidden states and logits.
@Suite struct TensorTests {
    static let unlimited = UInt64.max

    static func request(
        _ text: String, kind: TensorRequest.Kind, tokens: UInt32, credit: UInt64 = unlimited, choices: UInt32 = 1
    ) -> GenerateRequest {
        var request = GenerateRequest.text(text, tokens: tokens, choices: choices)
        request.tensors = TensorRequest(kind: kind, credit: credit)
        return request
    }

    static let prompt = String(repeating: "the an a quick brown fox jumps ", count: 4)

    @Test(arguments: [TensorRequest.Kind.hiddenStates, .logits])
    func `every position but that of the last token has its row`(kind: TensorRequest.Kind) throws {
        let harness = try EngineHarness()
        let events = try harness.run(Self.request(Self.prompt, kind: kind, tokens: 6))
        let usage = try #require(events.usage)
        let rows = try events.rows()
        #expect(rows.count == Int(usage.promptTokens) + 5 && usage.cachedTokens == 0)
        let width = kind == .logits ? TinyModel.vocabularySize : TinyModel().width
        #expect(rows.allSatisfy { $0.count == width && $0.allSatisfy(\.isFinite) })
        #expect(harness.model.description.embeddingWidth == 32)
        // Rows come before the token that is chosen from them, and all is there when the choice ends.
        let lastToken = events.lastIndex { if case .tokens = $0 { true } else { false } }
        let lastRow = events.lastIndex { if case .tensor = $0 { true } else { false } }
        #expect(try #require(lastRow) < #require(lastToken))
    }

    @Test func `asking for rows changes no token, and the second time nothing is missing`() throws {
        let harness = try EngineHarness()
        let plain = try harness.run(.text(Self.prompt, tokens: 12)).ids()
        for kind in [TensorRequest.Kind.hiddenStates, .logits] {
            let first = try harness.run(Self.request(Self.prompt, kind: kind, tokens: 12))
            let second = try harness.run(Self.request(Self.prompt, kind: kind, tokens: 12))
            #expect(first.ids() == plain && second.ids() == plain)
            #expect(try first.rows() == second.rows())
        }
        // What it computed stays its own: the cache knows the prompt from the plain run alone.
        #expect(try harness.run(.text(Self.prompt, tokens: 1)).usage?.cachedTokens ?? 0 > 0)
    }

    @Test func `logits are those that the token is chosen from, before any parameter changes them`() throws {
        let harness = try EngineHarness()
        var request = Self.request(Self.prompt, kind: .logits, tokens: 8)
        request.sampling = SamplingParameters(temperature: 0)
        let events = try harness.run(request)
        let rows = try events.rows()
        let promptTokens = Int(try #require(events.usage).promptTokens)
        for (step, id) in events.ids().enumerated() {
            let row = rows[promptTokens - 1 + step]
            #expect(row.indices.max { row[$0] < row[$1] } == Int(id))
        }
        request.sampling = SamplingParameters(
            temperature: 0.2, topK: 3, repetitionPenalty: 3, logitBias: [LogitBias(token: 290, bias: -100)], seed: 9)
        let changed = try harness.run(request).rows()
        #expect(Array(changed[..<promptTokens]) == Array(rows[..<promptTokens]))
    }

    @Test(arguments: [TensorRequest.Kind.hiddenStates, .logits])
    func `rows have the same bits alone, in a batch, in chunks and one by one`(kind: TensorRequest.Kind) throws {
        let request = Self.request(Self.prompt, kind: kind, tokens: 10)
        let alone = bits(try EngineHarness().run(request).rows())
        var limits = EngineLimits()
        limits.prefillRows = 5
        limits.prefillRowsBesideDecoding = 3
        #expect(bits(try EngineHarness(threads: 1, limits: limits).run(request).rows()) == alone)
        limits = EngineLimits()
        limits.tensorBytesPerStep = 1
        #expect(bits(try EngineHarness(limits: limits).run(request).rows()) == alone)
        let harness = try EngineHarness(parallel: 6)
        let others = try (0..<8).map {
            try harness.start(.text(String(repeating: "fox the ", count: $0 + 1), tokens: 20))
        }
        let calls = try (0..<4).map { _ in try harness.start(request) }
        for call in calls { #expect(bits(try harness.log.finished(call).rows()) == alone) }
        for call in others { #expect(try harness.log.finished(call).count(where: \.isEnd) == 1) }
    }

    @Test func `each choice has rows of its own`() throws {
        var request = Self.request("the", kind: .hiddenStates, tokens: 4, choices: 2)
        request.inputs = [.text("the an"), .text("a fox")]
        let events = try EngineHarness().run(request)
        let prompt = try events.rows(choice: 0)[..<2]
        #expect(try events.rows(choice: 1)[..<2] == prompt)
        for choice: UInt32 in 0..<4 {
            var alone = Self.request("the", kind: .hiddenStates, tokens: 1, choices: 1)
            alone.inputs = [request.inputs[Int(choice / 2)]]
            let rows = try EngineHarness().run(alone).rows()
            #expect(try Array(events.rows(choice: choice)[..<rows.count]) == rows)
            #expect(try events.rows(choice: choice).count == rows.count + 3)
        }
    }

    @Test(arguments: [TensorRequest.Kind.hiddenStates, .logits])
    func `without tokens only the prompt is computed`(kind: TensorRequest.Kind) throws {
        let harness = try EngineHarness()
        let whole = try harness.run(Self.request(Self.prompt, kind: kind, tokens: 3))
        let events = try harness.run(Self.request(Self.prompt, kind: kind, tokens: 0))
        let rows = try events.rows()
        #expect(try rows == Array(whole.rows()[..<rows.count]))
        #expect(events.ids().isEmpty && events.reason() == .length)
        let usage = try #require(events.usage)
        #expect(rows.count == Int(usage.promptTokens) && usage.completionTokens == 0)
        #expect(try #require(events.timings).prefill > 0)
        // It may fill the whole context, as nothing follows it.
        let tight = try EngineHarness(context: usage.promptTokens)
        #expect(try tight.run(Self.request(Self.prompt, kind: kind, tokens: 0)).rows() == rows)
        #expect(throws: EngineError.self) { try tight.start(Self.request(Self.prompt, kind: kind, tokens: 1)) }
        #expect(throws: EngineError.invalidRequest(parameter: "max_tokens", message: "max_tokens is 0, the least is 1"))
        {
            try harness.start(.text("a", tokens: 0))
        }
    }

    @Test func `a sequence that lost its blocks goes on without giving a row twice`() throws {
        var limits = EngineLimits()
        limits.defaultWholeSequences = 1
        // Four whole sequences do not fit together.
        let model = try EngineHarness.load(TinyModel().bytes(), context: 96, parallel: 4, limits: limits)
        let small = try EngineHarness.load(
            TinyModel().bytes(), context: 96, parallel: 0, limits: limits)
        let calm = try EngineHarness(model: model)
        let request = Self.request("the an a quick", kind: .hiddenStates, tokens: 60)
        let expected = try calm.run(request).rows()
        let harness = try EngineHarness(model: small)
        let calls = try (0..<5).map { _ in try harness.start(request) }
        for call in calls { #expect(try harness.log.finished(call).rows() == expected) }
        #expect(harness.engine.statistics.preemptions > 0)
    }

    // MARK: Credit

    @Test func `without credit a call waits, and nobody else does`() throws {
        let harness = try EngineHarness(parallel: 2)
        let expected = try harness.run(Self.request("the an a", kind: .hiddenStates, tokens: 4)).rows()
        let call = try harness.start(Self.request("the an a", kind: .hiddenStates, tokens: 4, credit: 1))
        // The first row exceeds the credit, and there is no second one.
        #expect(try harness.log.events(of: call) { $0.tensorRows == 1 }.rows() == Array(expected[..<1]))
        #expect(try harness.run(.text(Self.prompt, tokens: 30)).ids().count == 30)
        #expect(try harness.log.events(of: call) { _ in true }.tensorRows == 1)
        let rowBytes = UInt32(TinyModel().width * 4)
        // One byte was given and a row was taken, so that what fills up the debt gives no further one.
        harness.engine.credit(rowBytes - 1, call: call)
        #expect(try harness.run(.text(Self.prompt, tokens: 30)).ids().count == 30)
        #expect(try harness.log.events(of: call) { _ in true }.tensorRows == 1)
        for rows in 2...expected.count {
            harness.engine.credit(rows == 2 ? 1 : rowBytes, call: call)
            _ = try harness.log.events(of: call) { $0.tensorRows == rows }
            if rows == 2 { harness.engine.credit(rowBytes - 1, call: call) }
        }
        #expect(try harness.log.finished(call).rows() == expected)
    }

    @Test func `a call without credit can be cancelled, and its deadline ends it`() throws {
        let harness = try EngineHarness()
        let cancelled = try harness.start(Self.request(Self.prompt, kind: .logits, tokens: 4, credit: 0))
        var request = Self.request(Self.prompt, kind: .logits, tokens: 4, credit: 0)
        request.deadline = 1
        let late = try harness.start(request)
        #expect(try harness.log.finished(late).last == .failed(.deadlineExceeded))
        harness.engine.cancel(cancelled)
        #expect(try harness.log.finished(cancelled).last == .failed(.cancelled))
        #expect(try harness.log.events(of: cancelled) { _ in true }.tensorRows == 0)
        harness.engine.credit(1, call: cancelled)
        #expect(try harness.run(.text("a", tokens: 3)).ids().count == 3)
    }

    // MARK: Rows in the place of tokens

    static func embedding(of ids: [Int32], _ tiny: TinyModel = TinyModel()) throws -> Tensor {
        let model = try EngineHarness.load(tiny.bytes())
        let tensor = try #require(model.file.tensor(named: "token_embd.weight"))
        let table = model.file.bytes(of: tensor)
        let values = ids.flatMap { id in
            (0..<tiny.width).map { column in
                table.loadUnaligned(fromByteOffset: (Int(id) * tiny.width + column) * 4, as: Float.self)
            }
        }
        return Tensor(rows: UInt32(ids.count), columns: UInt32(tiny.width), values: values)
    }

    @Test func `the rows of the tokens give what the tokens give`() throws {
        let harness = try EngineHarness()
        let ids = (0..<70).map { Int32(3 + $0 * 7 % 280) }
        var tokens = Self.request("", kind: .logits, tokens: 12)
        tokens.inputs = [.ids(ids)]
        var rows = tokens
        rows.inputs = [.embeddings(try Self.embedding(of: ids))]
        let (expected, events) = (try harness.run(tokens), try harness.run(rows))
        #expect(try events.ids() == expected.ids() && events.rows() == expected.rows())
        #expect(events.usage?.promptTokens == 70)
        // Without tensors too, and beside the same number of real tokens, which are not taken for the rows.
        (tokens.tensors, rows.tensors) = (nil, nil)
        var zeros = tokens
        zeros.inputs = [.ids(Array(repeating: 0, count: 70))]
        _ = try harness.run(zeros)
        #expect(try harness.run(rows).ids() == harness.run(tokens).ids())
        #expect(try harness.run(rows).usage?.cachedTokens == 0)
    }

    @Test func `rows that do not fit the model are refused by name`() throws {
        let harness = try EngineHarness(context: 64)
        let width = UInt32(TinyModel().width)
        let bad: [Tensor] = [
            Tensor(rows: 1, columns: width - 1, values: Array(repeating: 0, count: Int(width) - 1)),
            Tensor(rows: 0, columns: width, values: []),
            Tensor(rows: 2, columns: width, values: Array(repeating: 0, count: Int(width))),
            Tensor(rows: 1, columns: width, values: Array(repeating: .nan, count: Int(width))),
        ]
        for tensor in bad {
            let error = #expect(throws: EngineError.self) {
                try harness.start(GenerateRequest(inputs: [.embeddings(tensor)]))
            }
            guard case .invalidRequest(parameter: "prompt", _) = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
        let long = Tensor(rows: 64, columns: width, values: Array(repeating: 0, count: 64 * Int(width)))
        #expect(throws: EngineError.contextLengthExceeded(limit: 64, prompt: 64, requested: 1)) {
            try harness.start(GenerateRequest(inputs: [.embeddings(long)], maximumTokens: 1))
        }
    }
}

func bits(_ rows: [[Float]]) -> [[UInt32]] { rows.map { $0.map(\.bitPattern) } }

extension [EngineEvent] {
    /// The rows of a choice, checked to follow each other without a gap.
    func rows(choice: UInt32 = 0) throws -> [[Float]] {
        var rows: [[Float]] = []
        for case .tensor(let chunk) in self where chunk.input == choice {
            try #require(Int(chunk.firstRow) == rows.count)
            let columns = Int(chunk.tensor.columns)
            try #require(chunk.tensor.values.count == Int(chunk.tensor.rows) * columns && chunk.tensor.rows > 0)
            for row in 0..<Int(chunk.tensor.rows) {
                rows.append([Float](chunk.tensor.values[row * columns..<(row + 1) * columns]))
            }
        }
        return rows
    }

    var tensorRows: Int {
        reduce(0) { if case .tensor(let chunk) = $1 { $0 + Int(chunk.tensor.rows) } else { $0 } }
    }
}
