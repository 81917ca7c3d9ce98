import ApusClient
import EngineProtocol
import Foundation
import JSON
import TestSupport
import Testing

/// The door for local clients as a Swift program uses it, with a real server and real workers.
@Suite(.serialized, .timeLimit(.minutes(10))) struct ClientTests {
    @Test(arguments: [true, false])
    func theDemoModelAnswersAsOverHTTP(usesSharedMemory: Bool) async throws {
        let door = try LocalDoor()
        let client = try door.client { $0.usesSharedMemory = usesSharedMemory }
        var request = GenerateRequest(inputs: [.text("The lighthouse")], maximumTokens: 24)
        request.sampling = SamplingParameters(temperature: 0)
        let text = try await client.generate(request).text()
        let body = #"{"prompt":"The lighthouse","max_tokens":24,"temperature":0}"#
        let answer = try HTTPExchange.post(port: door.server.port, "/v1/completions", body)
        let document = try JSONValue.parse(Array(answer.text.utf8))
        #expect(document["choices"]?.arrayValue?.first?["text"]?.stringValue == text)
        #expect(!text.isEmpty)
    }

    @Test func everyRequestHasItsAnswer() async throws {
        let door = try LocalDoor()
        let client = try door.client()
        let models = try await client.models()
        #expect(models.map(\.name) == ["apus-demo"] && models[0].state == "ready" && models[0].contextLength > 0)
        let ids = try await client.tokenize(TokenizeRequest(text: "Hello, world", addSpecial: false))
        #expect(try await client.detokenize(ids) == Array("Hello, world".utf8))
        let score = try await client.score(ScoreRequest(text: "Once upon a time there was a lighthouse."))
        #expect(score.tokens > 4 && score.negativeLogLikelihood > 0)
        let chat = ChatInput(messagesJSON: #"[{"role":"user","content":"Hello"}]"#)
        #expect(try await client.render(chat).contains("Hello"))
        #expect(try await client.ping() > 0)
    }

    @Test func errorsAreTheServersOwn() async throws {
        let door = try LocalDoor()
        let client = try door.client()
        await #expect(throws: ClientError.engine(.modelNotFound(model: "nobody"))) {
            try await client.tokenize(TokenizeRequest(text: "x"), model: "nobody")
        }
        let long = GenerateRequest(inputs: [.text(String(repeating: "word ", count: 20_000))], maximumTokens: 1)
        let outcome = await client.generate(long).outcome()
        guard case .engine(.contextLengthExceeded(let limit, let prompt, _)) = outcome.error else {
            Issue.record("\(String(describing: outcome.error))")
            return
        }
        #expect(prompt > limit)
    }

    @Test func aHundredStreamsShareOneConnection() async throws {
        let door = try LocalDoor(worker: Scripted.worker)
        let client = try door.client()
        let texts = await withTaskGroup(of: (UInt64, String, ClientError?).self) { group in
            for seed in 0..<100 {
                group.addTask {
                    let outcome = await client.generate(Scripted.request(words: 40, seed: UInt64(seed))).outcome()
                    return (UInt64(seed), outcome.text, outcome.error)
                }
            }
            var all: [(UInt64, String, ClientError?)] = []
            for await one in group { all.append(one) }
            return all
        }
        for (seed, text, error) in texts {
            #expect(error == nil)
            #expect(text == Scripted.text(words: 40, seed: seed))
        }
        #expect(try door.server.metric("apus_local_connections_total") == 1)
    }

    @Test func cancellingEndsTheGenerationAndFreesItsPlace() async throws {
        let door = try LocalDoor(worker: Scripted.worker)
        let client = try door.client()
        let generation = client.generate(Scripted.request(words: 1_000_000))
        var seen = 0
        var failure: ClientError?
        do {
            for try await event in generation {
                if case .tokens = event { seen += 1 }
                if seen == 3 { generation.cancel() }
            }
        } catch { failure = error }
        #expect(failure == .engine(.cancelled))
        #expect(try ServerProcess.eventually { try door.server.metric("apus_calls_in_flight") == 0 })
    }

    @Test func whoeverStopsReadingEarlyCancels() async throws {
        let door = try LocalDoor(worker: Scripted.worker)
        let client = try door.client()
        for try await event in client.generate(Scripted.request(words: 1_000_000)) {
            if case .tokens = event { break }
        }
        let task = Task { await client.generate(Scripted.request(words: 1_000_000)).outcome().error }
        try await Task.sleep(nanoseconds: 50_000_000)
        task.cancel()
        #expect(await task.value == .engine(.cancelled))
        #expect(try ServerProcess.eventually { try door.server.metric("apus_calls_in_flight") == 0 })
    }

    @Test func aReaderThatStandsStillSlowsNobodyElse() async throws {
        let door = try LocalDoor(worker: Scripted.worker)
        let client = try door.client()
        // It is never read; its events fill its window and then its outbox.
        let still = client.generate(Scripted.request(words: 1_000_000))
        for seed in 1...3 as ClosedRange<UInt64> {
            let outcome = await client.generate(Scripted.request(words: 200, seed: seed)).outcome()
            #expect(outcome.error == nil && outcome.text == Scripted.text(words: 200, seed: seed))
        }
        still.cancel()
    }

    @Test func aWorkersDeathIsATypedErrorOrGoesUnseen() async throws {
        let door = try LocalDoor(worker: Scripted.worker)
        let client = try door.client()
        let lost = await client.generate(Scripted.request("segv@5", words: 20)).outcome()
        guard case .engine(.workerLost(.crashed, _)) = lost.error else {
            Issue.record("\(String(describing: lost.error))")
            return
        }
        #expect(Scripted.text(words: 20).hasPrefix(lost.text) && !lost.text.isEmpty)
        let next = await client.generate(Scripted.request(words: 20)).outcome()
        #expect(next.error == nil && next.text == Scripted.text(words: 20))
    }

    @Test func aServersDeathIsToldAndTheClientComesBack() async throws {
        var door: LocalDoor? = try LocalDoor(worker: Scripted.worker)
        let path = try #require(door?.path)
        let client = try #require(try door?.client { $0.connectSeconds = 20 })
        var iterator = client.generate(Scripted.request(words: 1_000_000)).makeAsyncIterator()
        while case .tokens? = try await iterator.next() { break }
        door?.server.signal(SIGKILL)
        var failure: ClientError?
        do { while try await iterator.next() != nil {} } catch { failure = error }
        guard case .connectionLost(delivered: true, _) = failure else {
            Issue.record("\(String(describing: failure))")
            return
        }
        door = nil
        async let waiting = client.generate(Scripted.request()).outcome()
        let again = try LocalDoor(path: path, worker: Scripted.worker)
        let outcome = await waiting
        #expect(outcome.error == nil && outcome.text == Scripted.text())
        #expect(again.server.isRunning)
    }

    @Test func withoutAServerACallFailsInTime() async throws {
        var options = ClientOptions()
        options.connectSeconds = 0.2
        let brief = try ApusClient(path: "/tmp/apus-nobody-\(UUID())/door", options: options)
        do {
            _ = try await brief.models()
            Issue.record("an answer from nobody")
        } catch {
            guard case .notConnected = error else {
                Issue.record("\(error)")
                return
            }
        }
    }

    @Test func keysAreNeededHereToo() async throws {
        let keys = FileManager.default.temporaryDirectory.appendingPathComponent("apus-keys-\(UUID())")
        try "a-long-enough-key-for-anna\n".write(to: keys, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(at: keys) }
        let door = try LocalDoor(["--api-key-file", keys.path], worker: Scripted.worker)
        for token in [nil, "wrong"] as [String?] {
            let client = try door.client { $0.token = token }
            do {
                _ = try await client.models()
                Issue.record("let in with \(token ?? "nothing")")
            } catch {
                guard case .refused = error else {
                    Issue.record("\(error)")
                    continue
                }
            }
        }
        let client = try door.client { $0.token = "a-long-enough-key-for-anna" }
        #expect(try await client.models().count == 1)
    }

    @Test func theModelCallsAToolAndGoesOnWithItsResult() async throws {
        let door = try LocalDoor(worker: Scripted.worker)
        var dialogue = Dialogue(
            client: try door.client(),
            tools: [Tool(name: "weather", purpose: "the weather of a town", parameters: .object(JSONObject()))])
        let answer = try await dialogue.answer("Use the tool") { call in
            #expect(call.name == "weather" && call.arguments["town"]?.stringValue == "Oslo")
            return "rain"
        }
        #expect(answer == "The tool said rain.")
        let roles = dialogue.messages.compactMap { $0["role"]?.stringValue }
        #expect(roles == ["user", "assistant", "tool", "assistant"])
    }
}
