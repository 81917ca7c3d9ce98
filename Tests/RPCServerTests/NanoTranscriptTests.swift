import EngineProtocol
import Foundation
import JSON
import TestSupport
import Testing

@testable import RPCServer

/// The ancestor's wire form against transcripts that were written from its description.
///
/// A transcript's lines: `>` what the client sends, `<` what the server answers, `*` what the engine tells.
@Suite("Compatibility with nano") struct NanoTranscriptTests {
    @Test("transcripts", arguments: ["run", "run_async", "abort", "error", "hidden_states", "generation_c"])
    func transcript(name: String) throws {
        let text = String(decoding: try Goldens.bytes("RPCServerTests/Goldens/nano_\(name).txt"), as: UTF8.self)
        let bench = try RPCBench()
        let client = bench.connect()
        var received: [String] = []
        var answers = 0
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let rest = String(line.dropFirst(2))
            switch line.first {
            case ">": client.send(rest)
            case "*": bench.worker.tell(try Self.event(rest))
            case "<":
                received += client.takeLines()
                let got = try #require(received.first, "nothing for \(rest)")
                received.removeFirst()
                #expect(try Self.comparable(got) == Self.comparable(rest))
                answers += 1
            default: Issue.record("\(name): \(line)")
            }
        }
        #expect(received + client.takeLines() == [], "nothing more is sent")
        #expect(answers > 2)
        #expect(client.session.runs.isEmpty, "a transcript ends with the end of its run")
    }

    /// What no transcript can know is taken out: how much memory a process has had, and handles.
    private static func comparable(_ line: String) throws -> String {
        var line = line
        for pattern in [#""memory_usage_mb":[0-9.]+"#, #""handle":"[a-z0-9-]+""#] {
            line = line.replacingOccurrences(of: pattern, with: "*", options: .regularExpression)
        }
        guard line.contains("\"message\"") else { return line }
        // Words for people are not part of the form.
        return line.replacingOccurrences(of: #""message":"[^"]*""#, with: "*", options: .regularExpression)
    }

    private static func event(_ text: String) throws -> EngineEvent {
        let words = text.split(separator: " ", maxSplits: 1).map(String.init)
        let rest = words.count > 1 ? words[1] : ""
        switch words[0] {
        case "accepted": return accepted
        case "started": return started
        case "tokens":
            let value = try JSONValue.parse(rest)
            let ids = value["ids"]?.arrayValue?.compactMap { $0.int64Value.map { Int32($0) } } ?? []
            return tokens(value["text"]?.stringValue ?? "", ids)
        case "rows":
            let values = try JSONValue.parse(rest).arrayValue?.compactMap { $0.doubleValue.map { Float($0) } } ?? []
            return .tensor(
                TensorChunk(
                    input: 0, kind: .hiddenStates, firstRow: 0,
                    tensor: Tensor(rows: UInt32(values.count / 4), columns: 4, values: values)))
        case "stop": return .choiceFinished(choice: 0, reason: .stop)
        case "finished": return finished()
        case "lost": return .failed(.workerLost(.crashed, retryAfterMilliseconds: 1000))
        default: throw Unknown(word: words[0])
        }
    }

    private struct Unknown: Error { let word: String }
}
