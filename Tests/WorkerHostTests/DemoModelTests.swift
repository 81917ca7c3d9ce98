import EngineProtocol
import Platform
import Testing

/// The model that is part of the worker's binary.
@Suite struct DemoModelTests {
    @Test func `the bundled model loads without any file and answers a chat`() throws {
        let worker = try WorkerProcess()
        let load = LoadRequest(source: .bundledDemo, purpose: .generate, displayName: "demo", threads: 2)
        guard case .result(.loaded(let model)) = try worker.ask(.load(load)) else {
            Issue.record("not loaded")
            return
        }
        #expect(model.architecture == "llama")
        #expect(model.hasChatTemplate)
        let chat = ChatInput(messagesJSON: #"[{"role": "user", "content": "Hello!"}]"#)
        let events = try worker.finished(
            worker.send(
                .generate(
                    GenerateRequest(
                        inputs: [.chat(chat)], maximumTokens: 100, sampling: SamplingParameters(temperature: 0)))))
        #expect(!WorkerProcessTests.text(events).isEmpty)
        #expect(events.contains(.choiceFinished(choice: 0, reason: .stop)))
        #expect(try worker.end().exit == .status(0))
    }
}
