import EngineProtocol
import Foundation
import JSON
import TestSupport
import Testing

@testable import OpenAIAPI

@Suite("Writing answers")
struct ResponseFormatTests {
    private let usage = Usage(
        promptTokens: 3, completionTokens: 2, cachedTokens: 1, acceptedDraftTokens: 1, rejectedDraftTokens: 5)
    private let timings = Timings(preparation: 1_000_000, queue: 500_000, prefill: 2_000_000, decode: 0)

    private func format(_ shape: GenerationRequest.Shape, usage: Bool) -> ResponseFormat {
        ResponseFormat(shape: shape, id: "id-1", model: "m", created: 7, includesUsage: usage)
    }

    private func stream(_ format: ResponseFormat) -> String {
        var bytes: [UInt8] = []
        var offset = 0
        format.appendChunk(
            TokenChunk(choice: 0, ids: [1], text: "Hel\"lo"), isFirst: true, offset: &offset, to: &bytes)
        format.appendChunk(TokenChunk(choice: 0, ids: [2], text: "!"), isFirst: false, offset: &offset, to: &bytes)
        format.appendFinish(choice: 0, reason: .length, isFirst: false, to: &bytes)
        format.appendUsage(usage, timings, to: &bytes)
        ResponseFormat.appendDone(to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test("a chat stream: role and first text together, usage null until the usage chunk")
    func chatStream() {
        let head = #"data: {"id":"id-1","object":"chat.completion.chunk","created":7,"model":"m","choices":["#
        let frames = [
            head
                + #"{"index":0,"delta":{"role":"assistant","content":"Hel\"lo"},"logprobs":null,"finish_reason":null}],"usage":null}"#,
            head + #"{"index":0,"delta":{"content":"!"},"logprobs":null,"finish_reason":null}],"usage":null}"#,
            head + #"{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}],"usage":null}"#,
            head
                + #"],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":1},"#
                + #""completion_tokens_details":{"accepted_prediction_tokens":1,"rejected_prediction_tokens":5}},"#
                + #""timings":{"preparation_ms":1.0,"queue_ms":0.5,"prefill_ms":2.0,"decode_ms":0.0}}"#,
            "data: [DONE]",
        ]
        #expect(stream(format(.chat, usage: true)) == frames.map { $0 + "\n\n" }.joined())
    }

    @Test("without a wish for usage there is none")
    func noUsage() {
        let text = stream(format(.completion, usage: false))
        #expect(!text.contains("usage"))
        #expect(
            text.hasPrefix(
                #"data: {"id":"id-1","object":"text_completion","created":7,"model":"m","choices":["#
                    + #"{"index":0,"text":"Hel\"lo","logprobs":null,"finish_reason":null}]}"#))
        #expect(text.components(separatedBy: "\n\n").count == 5)
    }

    @Test("an empty answer still has its role")
    func emptyAnswer() {
        var bytes: [UInt8] = []
        format(.chat, usage: false).appendFinish(choice: 1, reason: .stop, isFirst: true, to: &bytes)
        #expect(
            String(decoding: bytes, as: UTF8.self).contains(
                #"{"index":1,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":"stop"}"#))
    }

    // MARK: Log-probabilities

    private static func token(_ id: Int32, _ value: Float, _ bytes: [UInt8]) -> TokenLogProbability {
        TokenLogProbability(id: id, logProbability: value, bytes: bytes)
    }

    /// "é" in one token, then "€" in two, whose first is not the likeliest.
    private static let entries = [
        TokenLogProbabilities(
            chosen: token(1, -0.25, Array("é".utf8)),
            top: [token(1, -0.25, Array("é".utf8)), token(2, -2.5, Array("</s>".utf8))]),
        TokenLogProbabilities(chosen: token(3, -1.5, [0xE2, 0x82]), top: [token(4, -0.5, Array(" a".utf8))]),
        TokenLogProbabilities(
            chosen: token(5, 0, [0xAC]), top: [token(6, 0, Array("x".utf8)), token(7, -3, Array("x".utf8))]),
    ]

    @Test("a chat's log-probabilities are objects by token, in whole answers and in chunks")
    func chatLogProbabilities() throws {
        var choice = CollectedChoice(wantsLogProbabilities: true)
        choice.text = "é€"
        choice.logProbabilities = Self.entries
        choice.reason = .length
        let whole = try JSONValue.parse(format(.chat, usage: false).wholeAnswer([choice], usage, timings))
        let expected = try JSONValue.parse(
            #"""
            {"content": [
              {"token": "é", "logprob": -0.25, "bytes": [195, 169], "top_logprobs": [
                {"token": "é", "logprob": -0.25, "bytes": [195, 169]},
                {"token": "</s>", "logprob": -2.5, "bytes": [60, 47, 115, 62]}]},
              {"token": "\#u{FFFD}", "logprob": -1.5, "bytes": [226, 130], "top_logprobs": [
                {"token": " a", "logprob": -0.5, "bytes": [32, 97]}]},
              {"token": "\#u{FFFD}", "logprob": 0.0, "bytes": [172], "top_logprobs": [
                {"token": "x", "logprob": 0.0, "bytes": [120]}, {"token": "x", "logprob": -3.0, "bytes": [120]}]}
            ], "refusal": null}
            """#)
        #expect(whole["choices"]?.arrayValue?.first?["logprobs"] == expected)
        var bytes: [UInt8] = []
        var offset = 0
        let chunk = TokenChunk(choice: 0, ids: [1, 3, 5], text: "é€", logProbabilities: Self.entries)
        format(.chat, usage: false).appendChunk(chunk, isFirst: true, offset: &offset, to: &bytes)
        let streamed = try JSONValue.parse(Array(bytes.dropFirst(6)))
        #expect(streamed["choices"]?.arrayValue?.first?["logprobs"] == expected)
    }

    @Test("a completion's log-probabilities are four lists, whose offsets go on from chunk to chunk")
    func completionLogProbabilities() throws {
        let format = format(.completion, usage: false)
        var choice = CollectedChoice(wantsLogProbabilities: true)
        choice.logProbabilities = Self.entries
        let whole = try JSONValue.parse(format.wholeAnswer([choice], usage, timings))
        let expected = try JSONValue.parse(
            #"""
            {"tokens": ["é", "bytes:\\xe2\\x82", "bytes:\\xac"], "token_logprobs": [-0.25, -1.5, 0.0],
             "top_logprobs": [{"é": -0.25, "</s>": -2.5}, {" a": -0.5, "bytes:\\xe2\\x82": -1.5},
                              {"x": 0.0, "bytes:\\xac": 0.0}],
             "text_offset": [0, 1, 2]}
            """#)
        #expect(whole["choices"]?.arrayValue?.first?["logprobs"] == expected)
        var offset = 0
        var offsets: [Int64?] = []
        for entry in Self.entries {
            var bytes: [UInt8] = []
            let chunk = TokenChunk(choice: 0, ids: [1], text: "", logProbabilities: [entry])
            format.appendChunk(chunk, isFirst: false, offset: &offset, to: &bytes)
            let choice = try JSONValue.parse(Array(bytes.dropFirst(6)))["choices"]?.arrayValue?.first
            offsets.append(choice?["logprobs"]?["text_offset"]?.arrayValue?.first?.int64Value)
        }
        #expect(offsets == [0, 1, 2])
    }

    @Test("log-probabilities that were asked for are there even without a token")
    func emptyLogProbabilities() throws {
        let choice = CollectedChoice(wantsLogProbabilities: true)
        let chat = String(decoding: format(.chat, usage: false).wholeAnswer([choice], usage, timings), as: UTF8.self)
        #expect(chat.contains(#""logprobs":{"content":[],"refusal":null}"#))
    }

    private static let chat = "conformance/vercel-ai-wire/openai/src/chat/__fixtures__/openai-text"
    private static let completion =
        "conformance/vercel-ai-wire/openai/src/completion/__fixtures__/openai-completion-text"

    /// Members of the recorded answers that are about things which do not exist here.
    private static let absent: Set<String> = [
        "annotations", "audio_tokens", "completion_tokens_details", "service_tier", "system_fingerprint",
        "obfuscation",
    ]

    @Test(
        "whole answers have the members and types of recorded ones",
        .enabled(if: Fixtures.has(chat + ".json"), "fixtures folder is absent"))
    func recordedAnswers() throws {
        var choice = CollectedChoice()
        choice.text = "x"
        choice.reason = .stop
        for (shape, path) in [(GenerationRequest.Shape.chat, Self.chat), (.completion, Self.completion)] {
            let recorded = try JSONValue.parse(try Fixtures.bytes(path + ".json"))
            let ours = try JSONValue.parse(format(shape, usage: false).wholeAnswer([choice], usage, timings))
            expect(ours, covers: recorded, at: path)
        }
    }

    @Test(
        "stream chunks have the members and types of recorded ones",
        .enabled(if: Fixtures.has(chat + ".chunks.txt"), "fixtures folder is absent"))
    func recordedChunks() throws {
        for (shape, path) in [(GenerationRequest.Shape.chat, Self.chat), (.completion, Self.completion)] {
            let text = String(decoding: try Fixtures.bytes(path + ".chunks.txt"), as: UTF8.self)
            let recorded = try text.split(separator: "\n").map { try JSONValue.parse(String($0)) }
            let ours = try stream(format(shape, usage: true)).components(separatedBy: "\n\n").dropLast(2).map {
                try JSONValue.parse(String($0.dropFirst(6)))
            }
            expect(ours[0], covers: recorded[0], at: path + " first", except: ["refusal"])
            expect(ours[1], covers: recorded[1], at: path + " second")
            let last = recorded[recorded.count - 2]
            expect(ours[2], covers: last, at: path + " finish", except: shape == .chat ? [] : ["finish_reason"])
            expect(ours[3], covers: try #require(recorded.last), at: path + " usage")
        }
    }

    private func expect(_ ours: JSONValue, covers recorded: JSONValue, at place: String, except: Set<String> = []) {
        #expect(ours.typeName == recorded.typeName, "\(place)")
        for (left, right) in zip(ours.arrayValue ?? [], recorded.arrayValue ?? []) {
            expect(left, covers: right, at: place + "[]", except: except)
        }
        for member in recorded.objectValue?.members ?? [] {
            guard !Self.absent.contains(member.key), !except.contains(member.key) else { continue }
            guard let mine = ours[member.key] else {
                Issue.record("\(place).\(member.key) is missing")
                continue
            }
            expect(mine, covers: member.value, at: "\(place).\(member.key)", except: except)
        }
    }
}
