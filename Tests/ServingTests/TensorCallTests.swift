import EngineProtocol
import Testing

@testable import Serving

/// Rows on their way to a door: the worker gets credit for what the door has taken.
@Suite("Calls with tensors") struct TensorCallTests {
    private static let rows = 64
    private static let columns = 256
    private static let bytes = rows * columns * 4

    private func tensor(_ firstRow: Int = 0) -> EngineEvent {
        .tensor(
            TensorChunk(
                input: 0, kind: .hiddenStates, firstRow: UInt32(firstRow),
                tensor: Tensor(
                    rows: UInt32(Self.rows), columns: UInt32(Self.columns),
                    values: Array(repeating: 0.5, count: Self.rows * Self.columns))))
    }

    private func submit(
        to bench: ServingBench, _ listener: RecordingListener, resumes: Bool = false
    ) throws -> (call: ServedCall, id: CallID) {
        var request = GenerateRequest(inputs: [.text("x")])
        request.tensors = TensorRequest(kind: .hiddenStates, credit: .max)
        let identity = CallIdentity(publicID: "p", requestID: "r", tenant: "t")
        let call = try bench.serving.submit(
            .generate(request), model: nil, identity: identity, resumes: resumes, listener: listener)
        return (call, try #require(bench.worker.sent.last?.id))
    }

    private func readyBench() throws -> ServingBench {
        let bench = try ServingBench()
        bench.worker.becomeReady()
        return bench
    }

    private func credits(_ bench: ServingBench, _ id: CallID) -> [UInt32] {
        bench.worker.sent.compactMap { sent in
            if case .credit(let bytes) = sent.request, sent.id == id { bytes } else { nil }
        }
    }

    @Test("a worker begins with credit for one outbox, whatever the door asks for, and gets back what is taken")
    func credit() throws {
        let bench = try readyBench()
        let listener = RecordingListener()
        listener.reads = false
        let (call, id) = try submit(to: bench, listener)
        guard case .generate(let sent)? = bench.worker.sent.last?.request else { throw CancellationError() }
        #expect(sent.tensors == TensorRequest(kind: .hiddenStates, credit: UInt64(Outbox.byteLimit)))
        #expect(sent.tenant == "t")
        bench.worker.onEvents([(id, accepted), (id, tensor()), (id, tensor(64))])
        #expect(credits(bench, id).isEmpty)
        #expect(call.next() == accepted)
        #expect(credits(bench, id).isEmpty)
        #expect(call.next() == tensor())
        #expect(credits(bench, id) == [UInt32(Self.bytes)])
        listener.take(from: call)
        #expect(credits(bench, id) == [UInt32(Self.bytes), UInt32(Self.bytes)])
        bench.worker.onEvents([(id, tensor(128)), (id, finish)])
        listener.take(from: call)
        // After the end nobody waits for credit.
        #expect(credits(bench, id).count == 2)
        #expect(listener.ends.count == 1)
    }

    @Test("a cancelled call gets no more credit")
    func cancelled() throws {
        let bench = try readyBench()
        let listener = RecordingListener()
        listener.reads = false
        let (call, id) = try submit(to: bench, listener)
        bench.worker.onEvents([(id, accepted), (id, tensor())])
        bench.serving.cancel(call)
        listener.take(from: call)
        #expect(credits(bench, id).isEmpty && bench.worker.cancels == [id])
    }

    @Test("a door that leaves the whole credit in its outbox is a slow one")
    func slowConsumer() throws {
        let bench = try readyBench()
        let listener = RecordingListener()
        listener.reads = false
        let (call, id) = try submit(to: bench, listener)
        // The worker stops when its credit is used up, to the byte.
        for number in 0..<Outbox.byteLimit / Self.bytes {
            #expect(call.outbox.fullSince == nil)
            bench.worker.onEvents([(id, tensor(number * Self.rows))])
        }
        let full = try #require(call.outbox.fullSince)
        bench.serving.abandonSlowConsumers(now: full + Outbox.fullNanosecondsLimit)
        #expect(bench.worker.cancels == [id])
        listener.take(from: call)
        #expect(listener.failure == .slowConsumer)
        #expect(listener.events.count == 1 + Outbox.byteLimit / Self.bytes)
    }

    @Test(
        "a call that gave rows away fails with its worker; one that did not goes to the next", arguments: [false, true])
    func replay(resumes: Bool) throws {
        let bench = try readyBench()
        let (begun, untouched) = (RecordingListener(), RecordingListener())
        let first = try submit(to: bench, begun, resumes: resumes)
        _ = try submit(to: bench, untouched, resumes: resumes)
        bench.worker.onEvents([(first.id, accepted), (first.id, tensor())])
        bench.worker.restart()
        guard case .workerLost? = begun.failure else { throw CancellationError() }
        #expect(untouched.ends.isEmpty && bench.serving.callsInFlight == 1)
    }

    @Test("a full outbox keeps tool calls apart")
    func toolCalls() {
        var outbox = Outbox()
        let long = String(repeating: "x", count: Outbox.byteLimit)
        outbox.append(.tokens(TokenChunk(choice: 0, ids: [1], text: long)), now: 1)
        for text in ["{}", "{\"a\":1}"] {
            outbox.append(.tokens(TokenChunk(choice: 0, ids: [], text: text, kind: .toolCall)), now: 1)
        }
        var texts: [String] = []
        while case .tokens(let chunk)? = outbox.next() { texts.append(chunk.text) }
        #expect(texts == [long, "{}", "{\"a\":1}"])
    }

    @Test("inputs to embed carry their tenant, and their deadline ends them")
    func embedding() throws {
        let bench = try readyBench()
        let identity = CallIdentity(publicID: "p", requestID: "r", tenant: "t")
        let listener = RecordingListener()
        let request = EmbedRequest(inputs: [.text("x")], tenant: "somebody else", deadline: 1 << 62)
        _ = try bench.serving.submit(.embed(request), model: nil, identity: identity, listener: listener)
        guard case .embed(let sent)? = bench.worker.sent.last?.request else { throw CancellationError() }
        #expect(sent.tenant == "t" && sent.deadline == 1 << 62)
        #expect(throws: EngineError.deadlineExceeded) {
            try bench.serving.submit(
                .embed(EmbedRequest(inputs: [.text("x")], deadline: 1)), model: nil, identity: identity,
                listener: listener)
        }
        let id = try #require(bench.worker.sent.last?.id)
        let vectors = EngineEvent.result(
            .embedded(Tensor(rows: 1, columns: 2, values: [0.6, 0.8]), promptTokens: 1))
        bench.worker.onEvents([(id, vectors)])
        #expect(listener.events == [vectors] && bench.serving.callsInFlight == 0)
    }
}
