import Foundation
import TestSupport
import Testing

/// The first impression: the bundled model, asked through the HTTP API at temperature 0.
///
/// The questions are in `tools/demo-model/questions.json`; `check.py` beside them compares them with the lines that the model
/// was trained on.
@Suite(.timeLimit(.minutes(10))) struct DemoModelTests {
    private struct Question: Decodable {
        let ask: String
        let expect: String
    }

    private struct Questions: Decodable {
        let questions: [Question]
        let conversations: [[Question]]
    }

    private static let folder = Fixtures.packageRoot.appendingPathComponent("tools/demo-model")

    private static func load() throws -> Questions {
        try JSONDecoder().decode(
            Questions.self, from: Data(contentsOf: folder.appendingPathComponent("questions.json")))
    }

    @Test func itAnswersTheWrittenQuestionsAndEndsByItself() throws {
        let server = try ServerProcess()
        let questions = try Self.load().questions
        #expect(questions.count == 25)
        for question in questions {
            let answer = try Self.answer(server, [("user", question.ask)])
            #expect(answer.contains(try Regex(question.expect)), "\(question.ask) → \(answer)")
        }
    }

    @Test func itHoldsConversationsOfThreeTurns() throws {
        let server = try ServerProcess()
        let conversations = try Self.load().conversations
        #expect(!conversations.isEmpty && conversations.allSatisfy { $0.count >= 3 })
        for conversation in conversations {
            var turns: [(role: String, text: String)] = []
            for question in conversation {
                turns.append(("user", question.ask))
                let answer = try Self.answer(server, turns)
                #expect(answer.contains(try Regex(question.expect)), "\(question.ask) → \(answer)")
                turns.append(("assistant", answer))
            }
        }
    }

    @Test func noQuestionIsATrainingLineAndTheFileIsSmall() throws {
        let output = try Programs.run(
            "/usr/bin/env", ["python3", Self.folder.appendingPathComponent("check.py").path])
        #expect(output.status == 0, "\(output.standardOutput)\(output.standardError)")
    }

    private static func answer(_ server: ServerProcess, _ turns: [(role: String, text: String)]) throws -> String {
        let body: [String: Any] = [
            "model": Chat.model, "temperature": 0, "max_tokens": 200,
            "messages": turns.map { ["role": $0.role, "content": $0.text] },
        ]
        let json = String(decoding: try JSONSerialization.data(withJSONObject: body), as: UTF8.self)
        let exchange = try HTTPExchange.post(port: server.port, "/v1/chat/completions", json)
        let choice = try #require(Chat.choice(exchange.json()), "\(exchange.text)")
        #expect(choice["finish_reason"] as? String == "stop", "\(turns.last?.text ?? "") does not end")
        return try #require((choice["message"] as? [String: Any])?["content"] as? String)
    }
}
