import EngineProtocol
import Foundation
import Platform
import TestSupport
import Testing

/// Sessions in a real, confined worker, as its gateway has them.
@Suite struct SessionProcessTests {
    private static let id = SessionID(rawValue: 11)

    private static func open(_ bytes: [UInt8]? = nil) throws -> WorkerProcess {
        let worker = try WorkerProcess(options: ["--confinement", "required"])
        if let bytes {
            _ = try worker.load(bytes)
        } else {
            let demo = LoadRequest(source: .bundledDemo, purpose: .generate, displayName: "demo", threads: 2)
            _ = try worker.ask(.load(demo))
        }
        #expect(try worker.ask(.openSession(id)) == .result(.session(SessionState())))
        return worker
    }

    private static func ids(_ events: [EngineEvent]) -> [Int32] {
        events.flatMap { event -> [Int32] in if case .tokens(let chunk) = event { chunk.ids } else { [] } }
    }

    private static func usage(_ events: [EngineEvent]) throws -> Usage {
        guard case .finished(let usage, _)? = events.last else {
            throw WorkerProcess.Timeout(description: "\(events.last as Any)")
        }
        return usage
    }

    @Test func `a chat with the demo model in turns is the chat at once`() throws {
        let worker = try Self.open()
        var messages: [String] = []
        for words in ["Hello!", "What can you do?", "Tell me more."] {
            let new = #"{"role": "user", "content": "\#(words)"}"#
            messages.append(new)
            var turn = GenerateRequest(
                inputs: [.chat(ChatInput(messagesJSON: "[\(new)]"))], maximumTokens: 60,
                sampling: SamplingParameters(temperature: 0))
            turn.session = SessionUse(id: Self.id, keepsHistory: true)
            var whole = turn
            whole.inputs = [.chat(ChatInput(messagesJSON: "[\(messages.joined(separator: ","))]"))]
            whole.session = nil
            let events = try worker.finished(worker.send(.generate(turn)))
            let expected = try worker.finished(worker.send(.generate(whole)))
            #expect(Self.ids(events) == Self.ids(expected))
            #expect(try Self.usage(events).promptTokens == Self.usage(expected).promptTokens)
            let text = WorkerProcessTests.text(events)
            #expect(!text.isEmpty)
            let content = String(decoding: try JSONEncoder().encode(text), as: UTF8.self)
            messages.append(#"{"role": "assistant", "content": \#(content)}"#)
        }
        let cleared = try worker.ask(.changeSession(Self.id, .clear(keepsSystemPrompt: false)))
        #expect(cleared == .result(.session(SessionState())))
        #expect(try worker.ask(.closeSession(Self.id)) == .result(.session(SessionState())))
        guard case .failed(.invalidRequest("session", _)) = try worker.ask(.closeSession(Self.id)) else {
            Issue.record("closed twice")
            return
        }
        #expect(try worker.end().exit == .status(0))
    }

    @Test func `a prompt cache goes through a file from one confined worker to another`() throws {
        let path = NSTemporaryDirectory() + "prompt-cache-\(UUID().uuidString)"
        let file = Glibc.open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        try #require(file >= 0)
        defer {
            close(file)
            unlink(path)
        }
        var request = WorkerProcessTests.letters("q", tokens: 8)
        request.inputs = [.text(String(repeating: "the fox an ", count: 15))]
        request.sampling.logitBias = []
        request.logProbabilities = LogProbabilityOptions(top: 3)
        request.session = SessionUse(id: Self.id, savesCache: true)
        let writer = try Self.open(TinyModel().bytes())
        let first = try writer.finished(writer.send(.generate(request), descriptors: [file]))
        #expect(try Self.usage(first).cachedTokens == 0)
        #expect(try writer.end().exit == .status(0))

        let reader = try Self.open(TinyModel().bytes())
        let loaded = try reader.end(
            of: reader.send(.changeSession(Self.id, .loadCache), descriptors: [file]))
        let positions = try Self.usage(first).promptTokens / 32 * 32
        #expect(positions > 32)
        #expect(loaded == .result(.session(SessionState(cachedPositions: positions))))
        request.session?.savesCache = false
        let second = try reader.finished(reader.send(.generate(request)))
        #expect(try Self.usage(second).cachedTokens == positions)
        #expect(Self.chunks(second) == Self.chunks(first))
        #expect(try reader.end().exit == .status(0))
    }

    private static func chunks(_ events: [EngineEvent]) -> [TokenChunk] {
        events.compactMap { if case .tokens(let chunk) = $0 { chunk } else { nil } }
    }

    @Test func `a pause over the link ends a generation, and another one goes on`() throws {
        let worker = try Self.open(TinyModel().bytes())
        var request = WorkerProcessTests.letters("q", tokens: 200)
        let expected = try worker.finished(worker.send(.generate(request)))
        request.session = SessionUse(id: Self.id)
        // It waits for credit until it is paused.
        request.tensors = TensorRequest(kind: .hiddenStates, credit: 1000)
        let call = worker.send(.generate(request))
        _ = try worker.events(of: call) { !Self.ids($0).isEmpty }
        worker.send(.pause, call: call)
        var text = WorkerProcessTests.text(try worker.finished(call))
        #expect(try worker.finished(call).contains(.choiceFinished(choice: 0, reason: .paused)))
        request.inputs = [.resumed]
        (request.maximumTokens, request.tensors) = (nil, nil)
        text += WorkerProcessTests.text(try worker.finished(worker.send(.generate(request))))
        #expect(text == WorkerProcessTests.text(expected))
    }
}
