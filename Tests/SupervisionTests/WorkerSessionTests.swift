import EngineProtocol
import Observability
import TestSupport
import Testing

@testable import Supervision

/// A program with a worker of its own.
@Suite("Worker session", .timeLimit(.minutes(10))) struct WorkerSessionTests {
    @Test("a program that is handed rows has taken them, so the next ones come")
    func tensors() throws {
        let session = try WorkerSession(
            workerPath: Programs.path("apus-worker"), sources: ModelSources(.bundledDemo),
            load: LoadRequest(source: .bundledDemo, purpose: .generate, displayName: "demo", parallel: 2),
            logger: Logger(component: "test", level: .error, sink: MemorySink()))
        let width = session.description.embeddingWidth
        #expect(width > 0)
        var request = GenerateRequest(
            inputs: [.text(String(repeating: "Hello there. ", count: 20))], maximumTokens: 3, ignoreEndOfSequence: true)
        request.tensors = TensorRequest(kind: .hiddenStates, credit: UInt64(3 * 4 * width))
        var rows: UInt32 = 0
        var promptTokens: UInt32?
        try session.run([.generate(request)]) { _, event in
            if case .tensor(let chunk) = event {
                #expect(chunk.firstRow == rows && chunk.tensor.columns == width && chunk.tensor.rows <= 3)
                rows += chunk.tensor.rows
            }
            if case .finished(let usage, _) = event { promptTokens = usage.promptTokens }
        }
        #expect(rows > 40 && promptTokens.map { $0 + 2 } == rows)
        let inputs = EmbedRequest(inputs: [.text("one"), .text("two")])
        guard case .embedded(let vectors, _) = try session.call(.embed(inputs)) else { throw CancellationError() }
        #expect(vectors.rows == 2 && vectors.columns == width)
    }
}
