import ApusClient
import EngineProtocol
import Foundation
import TestSupport
import Testing

/// Values that the other doors refuse before anything is sent: here nobody stands between the client and the engine.
@Suite(.serialized, .timeLimit(.minutes(10))) struct HostileValueTests {
    private static func request(_ change: (inout GenerateRequest) -> Void) -> GenerateRequest {
        var request = GenerateRequest(inputs: [.text("Hello")], maximumTokens: 4)
        request.sampling.temperature = 0
        change(&request)
        return request
    }

    /// Each is refused with an error that is the request's own fault.
    static let refused: [(String, GenerateRequest)] = [
        ("no input", request { $0.inputs = [] }),
        ("no choice", request { $0.choices = 0 }),
        (
            "129 choices",
            request {
                $0.choices = 128
                $0.inputs = Array(repeating: .text("x"), count: 2048)
            }
        ),
        ("a token below the vocabulary", request { $0.inputs = [.ids([-1])] }),
        ("a token above the vocabulary", request { $0.inputs = [.ids([.max])] }),
        (
            "embeddings of another width",
            request { $0.inputs = [.embeddings(Tensor(rows: 1, columns: 3, values: [1, 2, 3]))] }
        ),
        ("no embedding", request { $0.inputs = [.embeddings(Tensor(rows: 0, columns: 0, values: []))] }),
        ("a negative temperature", request { $0.sampling.temperature = -1 }),
        ("a top-p of 2", request { $0.sampling.topP = 2 }),
        ("a top-p of -1", request { $0.sampling.topP = -1 }),
        ("a min-p of -1", request { $0.sampling.minP = -1 }),
        ("a typical-p of 2", request { $0.sampling.typicalP = 2 }),
        ("a repetition penalty of 0", request { $0.sampling.repetitionPenalty = 0 }),
        ("a repetition penalty of -1", request { $0.sampling.repetitionPenalty = -1 }),
        ("an XTC probability of 2", request { $0.sampling.xtcProbability = 2 }),
        ("a bias of no token", request { $0.sampling.logitBias = [LogitBias(token: .min, bias: 1)] }),
        ("a stop token below the vocabulary", request { $0.stopTokenIDs = [-7] }),
        ("messages that are no JSON", request { $0.inputs = [.chat(ChatInput(messagesJSON: "{"))] }),
        ("messages that are no array", request { $0.inputs = [.chat(ChatInput(messagesJSON: "7"))] }),
        (
            "a template that does not end",
            request {
                var chat = ChatInput(messagesJSON: "[]")
                chat.templateOverride =
                    "{% for i in range(1000000000) %}{% for j in range(1000000000) %}x{% endfor %}{% endfor %}"
                $0.inputs = [.chat(chat)]
            }
        ),
        ("a deadline that has passed", request { $0.deadline = 1 }),
    ]

    /// Each is an answer, or the request's own fault.
    static let survived: [(String, GenerateRequest)] = [
        ("no token of a prompt", request { $0.inputs = [.ids([])] }),
        ("tools that are no array", request { $0.inputs = [.chat(ChatInput(messagesJSON: "[]", toolsJSON: "7"))] }),
        ("no token to generate", request { $0.maximumTokens = 0 }),
        ("more tokens than there are", request { $0.maximumTokens = .max }),
        ("more minimum tokens than maximum", request { $0.minimumTokens = .max }),
        ("an empty stop string", request { $0.stopStrings = [""] }),
        ("a huge temperature", request { $0.sampling.temperature = .greatestFiniteMagnitude }),
        ("a tiny temperature", request { $0.sampling.temperature = .leastNonzeroMagnitude }),
        ("a huge bias", request { $0.sampling.logitBias = [LogitBias(token: 1, bias: .greatestFiniteMagnitude)] }),
        ("huge penalties", request { $0.sampling.presencePenalty = .greatestFiniteMagnitude }),
        ("a huge repetition penalty", request { $0.sampling.repetitionPenalty = .greatestFiniteMagnitude }),
        ("a top-k without end", request { $0.sampling.topK = .max }),
        (
            "a top-n-sigma that is tiny",
            request {
                $0.sampling.topNSigma = .leastNonzeroMagnitude
                $0.sampling.temperature = 1
            }
        ),
        (
            "a mirostat without target",
            request {
                $0.sampling.mirostat.version = .two
                $0.sampling.mirostat.target = 0
            }
        ),
        (
            "a mirostat that races",
            request {
                $0.sampling.mirostat.version = .one
                $0.sampling.mirostat.rate = .greatestFiniteMagnitude
            }
        ),
        (
            "a DRY that explodes",
            request {
                $0.sampling.dry.multiplier = .greatestFiniteMagnitude
                $0.sampling.dry.base = .greatestFiniteMagnitude
            }
        ),
        (
            "a dynamic temperature without bounds",
            request {
                $0.sampling.dynamicTemperatureRange = .greatestFiniteMagnitude
                $0.sampling.temperature = 1
            }
        ),
        ("128 likeliest tokens", request { $0.logProbabilities = LogProbabilityOptions(top: 128) }),
        ("a credit without end", request { $0.tensors = TensorRequest(kind: .logits, credit: .max) }),
        (
            "embeddings that are no numbers",
            request { $0.inputs = [.embeddings(Tensor(rows: 1, columns: 3, values: [.nan, .infinity, 0]))] }
        ),
    ]

    @Test func everyHostileValueIsTheRequestsOwnFault() async throws {
        let door = try LocalDoor()
        let client = try door.client()
        let worker = door.server.workerProcessIDs
        for (name, request) in Self.refused {
            let outcome = await client.generate(request).outcome()
            guard case .engine(let error) = outcome.error else {
                Issue.record("\(name): \(outcome)")
                continue
            }
            switch error {
            case .invalidRequest, .contextLengthExceeded, .resourceExhausted(_, permanent: true), .deadlineExceeded,
                .unsupported, .queueFull:
                break
            default: Issue.record("\(name): \(error)")
            }
        }
        for (name, request) in Self.survived {
            let outcome = await client.generate(request).outcome()
            switch outcome.error {
            case nil, .engine(.invalidRequest), .engine(.contextLengthExceeded), .engine(.resourceExhausted): break
            case .some(let error): Issue.record("\(name): \(error)")
            }
        }
        #expect(door.server.workerProcessIDs == worker, "\(door.server.logSoFar)")
        #expect(try await client.generate(Self.request { _ in }).text().isEmpty == false)
    }

    @Test func thousandsOfMutatedRequestsEndOneByOne() async throws {
        let door = try LocalDoor()
        let client = try door.client()
        let worker = door.server.workerProcessIDs
        var random = SeededRandom(seed: 11)
        var refusedCount = 0
        for _ in 0..<400 {
            var (_, request) = (Self.refused + Self.survived)[
                Int(random.next() % UInt64(Self.refused.count + Self.survived.count))]
            request.maximumTokens = UInt32(random.next() % 4)
            request.sampling.topP = Float(bitPattern: UInt32(truncatingIfNeeded: random.next()))
            request.sampling.temperature = Float(bitPattern: UInt32(truncatingIfNeeded: random.next()))
            request.sampling.minP = Float(random.next() % 3)
            if await client.generate(request).outcome().error != nil { refusedCount += 1 }
        }
        #expect(refusedCount > 100)
        #expect(door.server.workerProcessIDs == worker)
        #expect(try await client.generate(Self.request { _ in }).text().isEmpty == false)
    }
}
